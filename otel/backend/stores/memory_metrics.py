"""Metrics in memory: the part of `MemoryStore` that keeps series and their points. Its owner's lock guards it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics

from otel.backend.metric_ports import MetricPoint, MetricSeries
from otel.backend.stores.flat_metrics import FlatPoint, flat_points, has_exemplars
from otel.backend.stores.matching import service_of

MAX_SERIES = 20_000


@dataclass(frozen=True, slots=True)
class _StoredPoint:
    point: MetricPoint
    arrival_unix_nano: int
    size_bytes: int


@dataclass(slots=True)
class _StoredSeries:
    series: MetricSeries
    points: dict[tuple[int, int], _StoredPoint] = field(default_factory=dict)


class MemoryMetrics:
    """Series in the order in which they last got points, each with its points in the order of arrival."""

    def __init__(self) -> None:
        self._stored: dict[tuple[bytes, ...], _StoredSeries] = {}
        self._number = 0
        self.used_bytes = 0

    @property
    def point_count(self) -> int:
        """How many points there are."""
        return sum(len(stored.points) for stored in self._stored.values())

    def write(self, metrics: Iterable[ResourceMetrics], now_unix_nano: int) -> tuple[int, int]:
        """Store points; returns how many were new and how many were seen before."""
        new_count = duplicate_count = 0
        for part in metrics:
            for scope_metrics in part.scope_metrics:
                origin = ResourceMetrics(resource=part.resource, schema_url=part.schema_url)
                origin.scope_metrics.add(scope=scope_metrics.scope, schema_url=scope_metrics.schema_url)
                for flat in flat_points(scope_metrics):
                    if self._add(origin, flat, now_unix_nano):
                        new_count += 1
                    else:
                        duplicate_count += 1
        for key in list(self._stored)[: max(0, len(self._stored) - MAX_SERIES)]:
            self._drop(self._stored.pop(key).points.values())
        return new_count, duplicate_count

    def series(self) -> list[MetricSeries]:
        """Return every series."""
        return [stored.series for stored in self._stored.values()]

    def points(
        self, numbers: Collection[int], time_min_unix_nano: int, time_max_unix_nano: int, every_ns: int
    ) -> list[tuple[int, Sequence[MetricPoint]]]:
        """Return the points of these series within the bounds, and the last before; of slots the last ones."""
        found: list[tuple[int, Sequence[MetricPoint]]] = []
        for stored in self._stored.values():
            if stored.series.number not in numbers:
                continue
            ordered = [stored.points[key].point for key in sorted(stored.points) if key[0] <= time_max_unix_nano]
            before = [point.time_unix_nano for point in ordered if point.time_unix_nano < time_min_unix_nano]
            first = before[-1] if before else time_min_unix_nano
            if points := [point for point in ordered if point.time_unix_nano >= first]:
                if every_ns:
                    arrived = [each.point for each in stored.points.values()]
                    points = _last_of_slots(arrived, points, time_min_unix_nano, every_ns)
                found.append((stored.series.number, points))
        return found

    def first_arrival(self) -> list[int]:
        """Return when the first point that is left arrived, in a list that may be empty."""
        firsts = (next(iter(stored.points.values())).arrival_unix_nano for stored in self._stored.values())
        return sorted(firsts)[:1]

    def drop_before(self, arrival_unix_nano: int) -> None:
        """Drop points that arrived earlier, and series that have none left."""
        for key, stored in list(self._stored.items()):
            gone = [time for time, point in stored.points.items() if point.arrival_unix_nano < arrival_unix_nano]
            self._drop([stored.points.pop(time) for time in gone])
            if not stored.points:
                del self._stored[key]

    def _drop(self, points: Iterable[_StoredPoint]) -> None:
        self.used_bytes -= sum(point.size_bytes for point in points)

    def _add(self, origin: ResourceMetrics, flat: FlatPoint, now_unix_nano: int) -> bool:
        key = (origin.SerializeToString(deterministic=True), flat.header_bytes, flat.attribute_bytes)
        stored = self._stored.pop(key, None) or self._new(origin, flat)
        self._stored[key] = stored
        times = (flat.point.time_unix_nano, flat.point.start_time_unix_nano)
        if times in stored.points:
            return False
        stored.points[times] = _StoredPoint(flat.point, now_unix_nano, flat.point.ByteSize())
        self.used_bytes += flat.point.ByteSize()
        return True

    def _new(self, origin: ResourceMetrics, flat: FlatPoint) -> _StoredSeries:
        self._number += 1
        scope = origin.scope_metrics[0]
        series = MetricSeries(
            self._number,
            service_of(origin.resource),
            origin.resource,
            origin.schema_url,
            scope.scope,
            scope.schema_url,
            flat.header,
            tuple(flat.attributes.values),
        )
        return _StoredSeries(series)


def _last_of_slots(
    arrived: Iterable[MetricPoint], points: Sequence[MetricPoint], begin_unix_nano: int, every_ns: int
) -> list[MetricPoint]:
    """Of `points`, by time, the last of each slot and start; and of each the last to arrive that has exemplars."""
    wanted = {_times(point) for point in points}
    kept = {(point.start_time_unix_nano, _slot(point, begin_unix_nano, every_ns)): point for point in points}
    exemplars = {
        _slot(point, begin_unix_nano, every_ns): point
        for point in arrived
        if has_exemplars(point) and point.time_unix_nano > begin_unix_nano and _times(point) in wanted
    }
    told = {_times(point): point for point in (*kept.values(), *exemplars.values())}
    return [told[times] for times in sorted(told)]


def _slot(point: MetricPoint, begin_unix_nano: int, every_ns: int) -> int:
    return max(-1, (point.time_unix_nano - begin_unix_nano - 1) // every_ns)


def _times(point: MetricPoint) -> tuple[int, int]:
    return point.time_unix_nano, point.start_time_unix_nano
