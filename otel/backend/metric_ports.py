"""Metrics as they cross the storage port: series, each with its points, as OTLP's own protobuf messages.

A series is one stream of OTLP's data model: a metric (name, description, unit, kind, temporality, monotonicity) of one
resource and scope under one set of attributes. Times are nanoseconds since the Unix epoch.
Source: opentelemetry.io/docs/specs/otel/metrics/data-model, "Model details".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

MetricPoint: TypeAlias = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint


class MetricKind(StrEnum):
    """What a metric's points are; the values are the names of OTLP's `Metric.data`."""

    GAUGE = "gauge"
    SUM = "sum"
    HISTOGRAM = "histogram"
    EXPONENTIAL_HISTOGRAM = "exponential_histogram"
    SUMMARY = "summary"


class Temporality(StrEnum):
    """Since when a point counts; NONE for gauges and summaries, which OTLP gives none."""

    NONE = ""
    DELTA = "delta"
    CUMULATIVE = "cumulative"


POINT_TYPES: Mapping[MetricKind, type[MetricPoint]] = {
    MetricKind.GAUGE: NumberDataPoint,
    MetricKind.SUM: NumberDataPoint,
    MetricKind.HISTOGRAM: HistogramDataPoint,
    MetricKind.EXPONENTIAL_HISTOGRAM: ExponentialHistogramDataPoint,
    MetricKind.SUMMARY: SummaryDataPoint,
}
_TEMPORALITIES = (Temporality.NONE, Temporality.DELTA, Temporality.CUMULATIVE)


@dataclass(frozen=True, slots=True)
class MetricSeries:
    """A series without its points; `metric` has no points and `number` names the series within its store.

    The messages are shared with the store and must not be changed.
    """

    number: int
    service: str
    resource: Resource
    resource_schema_url: str
    scope: InstrumentationScope
    scope_schema_url: str
    metric: Metric
    attributes: Sequence[KeyValue]

    @property
    def kind(self) -> MetricKind:
        """What its points are."""
        return MetricKind(self.metric.WhichOneof("data") or "")

    @property
    def temporality(self) -> Temporality:
        """Since when its points count."""
        data = getattr(self.metric, self.kind)
        return _TEMPORALITIES[getattr(data, "aggregation_temporality", 0)]

    @property
    def is_monotonic(self) -> bool:
        """Whether it only grows: a sum that says so, and every histogram's counts."""
        if self.kind is MetricKind.SUM:
            return self.metric.sum.is_monotonic
        return self.kind is not MetricKind.GAUGE


class MetricStore(Protocol):
    """The part of a telemetry store that keeps metrics; its rules for threads and errors are `TelemetryStore`'s.

    Of the points of a series that share time and start time the first is kept. A store keeps a bounded number of
    series: past it, those that were silent longest go with their points.
    """

    def metric_series(self) -> list[MetricSeries]:
        """Return every series that has points, in no order."""

    def metric_points(
        self, numbers: Collection[int], time_min_unix_nano: int, time_max_unix_nano: int, every_ns: int = 0
    ) -> Iterable[tuple[int, Sequence[MetricPoint]]]:
        """Yield the points of these series, each series once, by time, attributes left out.

        Points are those with a time within the bounds, both inclusive, and the last one before them, from which a
        cumulative series has grown. A series without any is left out. With `every_ns`, time is cut into such slots from
        `time_min_unix_nano` on, each without its begin and with its end, and of every slot only the last point of each
        start time is told and the last to arrive that has exemplars: enough for what is cumulative or a level, however
        long the time.
        """
