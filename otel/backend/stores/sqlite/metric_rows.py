"""Metrics as rows: a row per series, held in memory too, and a row per point.

The writer's thread adds; any thread reads. After a transaction that failed the series are loaded anew, since memory may
name rows that were never committed.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from opentelemetry.proto.common.v1.common_pb2 import KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from otel.backend.metric_ports import POINT_TYPES, MetricPoint, MetricSeries
from otel.backend.stores.flat_metrics import FlatPoint, flat_points, has_exemplars
from otel.backend.stores.matching import service_of
from otel.backend.stores.sqlite.log_rows import int64
from otel.backend.stores.sqlite.names import DIGEST_BYTES, Names
from otel.backend.stores.sqlite.point_packing import pack, unpack

# A sender that puts ids into attributes must not fill the memory: past this, series that were silent longest go.
MAX_SERIES = 20_000
# So much less is kept then, so that it is not done at every write.
KEPT_SERIES_RATIO = 0.95
# One step of expiry drops at most so many.
POINTS_PER_STEP = 1_000
HOUR_NS = 3600 * 1_000_000_000

# Arrival, series, time, start, packed point.
PointRow = tuple[int, int, int, int, bytes]


@dataclass(frozen=True, slots=True)
class SeriesOrigin:
    """What a series was sent under: its service's name, and rows of `origin`."""

    service: str
    resource_id: int
    scope_id: int


class SeriesTable:
    """Every series of a store by number, in the order in which they last got points, to the hour after a restart."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.load(None)

    def load(self, connection: sqlite3.Connection | None) -> None:
        """Forget everything and read what is stored; after the names have been."""
        self._series: dict[int, MetricSeries] = {}
        self._ids: dict[bytes, int] = {}
        self._digests: dict[int, bytes] = {}
        self._seen: dict[int, int] = {}
        if connection is None:
            return
        for row_id, digest, service_id, resource_id, scope_id, header, attributes, seen in connection.execute(
            "SELECT id, digest, service_id, resource_id, scope_id, header, attributes, seen FROM metric_series"
            " ORDER BY seen, id"
        ):
            origin = SeriesOrigin(self._names.service_names.get(service_id, ""), resource_id, scope_id)
            found = KeyValueList.FromString(attributes)
            self._remember(row_id, digest, origin, Metric.FromString(header), found, seen)

    def all(self) -> list[MetricSeries]:
        """Return every series."""
        return list(self._series.values())

    def known(self, number: int) -> MetricSeries | None:
        """Return a series by number."""
        return self._series.get(number)

    def id_of(self, connection: sqlite3.Connection, flat: FlatPoint, origin: SeriesOrigin, now_unix_nano: int) -> int:
        """Return the number of a point's series, storing the series where it is new."""
        content = b"%d %d %d " % (origin.resource_id, origin.scope_id, len(flat.header_bytes)) + flat.header_bytes
        digest = hashlib.blake2b(content + flat.attribute_bytes, digest_size=DIGEST_BYTES).digest()
        row_id = self._ids.get(digest)
        hour = now_unix_nano // HOUR_NS * HOUR_NS
        if row_id is None:
            row_id = self._insert(connection, flat, origin, digest, now_unix_nano)
        elif self._seen[row_id] < hour:
            connection.execute("UPDATE metric_series SET seen = ? WHERE id = ?", (hour, row_id))
        # The end of a dictionary is what came last; this one only the writer's thread reads.
        self._seen[row_id] = max(hour, self._seen.pop(row_id))
        return row_id

    def drop(self, connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
        """Drop series that have no points any more."""
        for number in numbers:
            connection.execute("DELETE FROM metric_series WHERE id = ?", (number,))
            if self._series.pop(number, None) is not None:
                del self._ids[self._digests.pop(number)]
                del self._seen[number]

    def drop_silent(self, connection: sqlite3.Connection) -> None:
        """Drop the series that were silent longest, with their points, where there are too many."""
        if len(self._series) <= MAX_SERIES:
            return
        silent = list(self._seen)[: len(self._series) - int(MAX_SERIES * KEPT_SERIES_RATIO)]
        for number in silent:
            connection.execute("DELETE FROM metric_exemplar WHERE series_id = ?", (number,))
            connection.execute("DELETE FROM metric_point WHERE series_id = ?", (number,))
        self.drop(connection, silent)

    def _insert(
        self, connection: sqlite3.Connection, flat: FlatPoint, origin: SeriesOrigin, digest: bytes, now_unix_nano: int
    ) -> int:
        service_id = self._names.service_id(connection, origin.service, now_unix_nano)
        hour = now_unix_nano // HOUR_NS * HOUR_NS
        row_id = connection.execute(
            "INSERT INTO metric_series (digest, service_id, resource_id, scope_id, header, attributes, seen)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (digest, service_id, origin.resource_id, origin.scope_id, flat.header_bytes, flat.attribute_bytes, hour),
        ).lastrowid
        assert row_id is not None
        self._remember(row_id, digest, origin, flat.header, flat.attributes, hour)
        return row_id

    def _remember(
        self, row_id: int, digest: bytes, origin: SeriesOrigin, header: Metric, attributes: KeyValueList, seen: int
    ) -> None:
        resource = ResourceSpans.FromString(self._body(origin.resource_id))
        scope = ScopeSpans.FromString(self._body(origin.scope_id))
        self._series[row_id] = MetricSeries(
            row_id,
            origin.service,
            resource.resource,
            resource.schema_url,
            scope.scope,
            scope.schema_url,
            header,
            tuple(attributes.values),
        )
        self._ids[digest] = row_id
        self._digests[row_id] = digest
        self._seen[row_id] = seen

    def _body(self, origin_id: int) -> bytes:
        origin = self._names.origins.get(origin_id)
        return origin.body if origin else b""


def write_metrics(
    connection: sqlite3.Connection,
    metrics: Iterable[ResourceMetrics],
    names: Names,
    series: SeriesTable,
    now_unix_nano: int,
) -> tuple[int, int]:
    """Store points inside the caller's transaction; returns how many were new and how many were seen before."""
    rows: list[PointRow] = []
    with_exemplars: list[PointRow] = []
    for part in metrics:
        service = service_of(part.resource)
        names.service_id(connection, service, now_unix_nano)
        body = ResourceSpans(resource=part.resource, schema_url=part.schema_url).SerializeToString(deterministic=True)
        resource_id = names.origin_id(connection, body, is_scope=False, now_unix_nano=now_unix_nano)
        for scope_metrics in part.scope_metrics:
            body = ScopeSpans(scope=scope_metrics.scope, schema_url=scope_metrics.schema_url).SerializeToString(
                deterministic=True
            )
            scope_id = names.origin_id(connection, body, is_scope=True, now_unix_nano=now_unix_nano)
            origin = SeriesOrigin(service, resource_id, scope_id)
            for flat in flat_points(scope_metrics):
                row = _row(flat.point, series.id_of(connection, flat, origin, now_unix_nano), now_unix_nano)
                rows.append(row)
                if has_exemplars(flat.point):
                    with_exemplars.append(row)
    if not rows:
        return 0, 0
    new_count = connection.executemany(
        "INSERT INTO metric_point (arrival, series_id, time, start, point) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (series_id, time, start) DO NOTHING",
        rows,
    ).rowcount
    connection.executemany(
        "INSERT OR IGNORE INTO metric_exemplar (point_id, series_id, time)"
        " SELECT id, series_id, time FROM metric_point WHERE series_id = ? AND time = ? AND start = ?",
        [row[1:4] for row in with_exemplars],
    )
    series.drop_silent(connection)
    return new_count, len(rows) - new_count


def points_of(
    connection: sqlite3.Connection, series: MetricSeries, bounds_unix_nano: tuple[int, int]
) -> list[MetricPoint]:
    """Return the points of a series within the bounds and the last one before, by time."""
    time_min, time_max = (int64(bound) for bound in bounds_unix_nano)
    rows = connection.execute(
        "SELECT point FROM metric_point WHERE series_id = ? AND time <= ? AND time >= coalesce("
        "(SELECT max(time) FROM metric_point WHERE series_id = ? AND time < ?), ?) ORDER BY time, start",
        (series.number, time_max, series.number, time_min, time_min),
    )
    parse = POINT_TYPES[series.kind].FromString
    return [parse(unpack(row[0])) for row in rows]


def last_points_of(
    connection: sqlite3.Connection, series: MetricSeries, bounds_unix_nano: tuple[int, int], every_ns: int
) -> list[MetricPoint]:
    """Return of `points_of` the last of each slot and start time, and the last of each slot that has exemplars.

    Only these are read from the table.
    """
    time_min, time_max = (int64(bound) for bound in bounds_unix_nano)
    # With max(), SQLite takes the other columns from the row that has it: sqlite.org/lang_select.html, "bare columns".
    rows = connection.execute(
        "SELECT point FROM metric_point WHERE id IN (SELECT last_id FROM"
        " (SELECT id AS last_id, max(time) FROM metric_point WHERE series_id = :series"
        " AND time <= :max AND time >= coalesce("
        "(SELECT max(time) FROM metric_point WHERE series_id = :series AND time < :min), :min)"
        " GROUP BY start, CASE WHEN time <= :min THEN -1 ELSE (time - :min - 1) / :every END)"
        " UNION SELECT max(point_id) FROM metric_exemplar WHERE series_id = :series AND time > :min AND time <= :max"
        " GROUP BY (time - :min - 1) / :every) ORDER BY time, start",
        {"series": series.number, "min": time_min, "max": time_max, "every": every_ns},
    )
    parse = POINT_TYPES[series.kind].FromString
    return [parse(unpack(row[0])) for row in rows]


def next_point_horizon(connection: sqlite3.Connection) -> int | None:
    """Return the arrival of the last point that one step drops; None where there are no points."""
    row = connection.execute(
        "SELECT max(arrival) FROM (SELECT arrival FROM metric_point ORDER BY id LIMIT ?)", (POINTS_PER_STEP,)
    ).fetchone()
    return row[0] if row else None


def expire_points(connection: sqlite3.Connection, horizon_unix_nano: int, series: SeriesTable) -> int:
    """Drop points that arrived before the horizon, at most one step of them, and series that have none left."""
    rows = connection.execute(
        "SELECT id, series_id, arrival FROM metric_point ORDER BY id LIMIT ?", (POINTS_PER_STEP,)
    ).fetchall()
    gone = [row for row in rows if row[2] < horizon_unix_nano]
    connection.executemany("DELETE FROM metric_exemplar WHERE point_id = ?", [(row[0],) for row in gone])
    connection.executemany("DELETE FROM metric_point WHERE id = ?", [(row[0],) for row in gone])
    numbers = {row[1] for row in gone}
    left = [number for number in numbers if not _has_points(connection, number)]
    series.drop(connection, left)
    return len(gone)


def _has_points(connection: sqlite3.Connection, number: int) -> bool:
    found = connection.execute("SELECT 1 FROM metric_point WHERE series_id = ? LIMIT 1", (number,)).fetchone()
    return found is not None


def _row(point: MetricPoint, number: int, now_unix_nano: int) -> PointRow:
    times = (int64(point.time_unix_nano), int64(point.start_time_unix_nano))
    return (now_unix_nano, number, *times, pack(point.SerializeToString()))
