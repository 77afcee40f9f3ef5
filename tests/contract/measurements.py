"""Makers of OTLP metrics for the tests: small, fixed, readable. `at_s` and `start_s` are seconds after `T0`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Exemplar,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    SummaryDataPoint,
)

from tests.contract.telemetry import SECOND, T0, pairs, trace_id
from tests.contract.telemetry import span_id as span_id_of

DELTA, CUMULATIVE = 1, 2
BOUNDS = (0.01, 0.1, 1.0)


def exemplar(value: float, *, at_s: float, trace: int, span: int = 1) -> Exemplar:
    return Exemplar(as_double=value, time_unix_nano=moment(at_s), trace_id=trace_id(trace), span_id=span_id_of(span))


def moment(at_s: float) -> int:
    return T0 + round(at_s * SECOND)


def number_point(
    value: float, *, at_s: float, start_s: float | None = 0, attributes: Mapping[str, object] | None = None
) -> NumberDataPoint:
    point = NumberDataPoint(**_common(at_s, start_s, attributes))
    if isinstance(value, int):
        point.as_int = value
    else:
        point.as_double = value
    return point


def histogram(
    counts: Sequence[int],
    *,
    at_s: float,
    start_s: float | None = 0,
    total: float = 0.0,
    bounds: Sequence[float] = BOUNDS,
    attributes: Mapping[str, object] | None = None,
    exemplars: Sequence[Exemplar] = (),
) -> HistogramDataPoint:
    return HistogramDataPoint(
        **_common(at_s, start_s, attributes),
        count=sum(counts),
        sum=total,
        bucket_counts=counts,
        explicit_bounds=bounds,
        exemplars=exemplars,
    )


def exponential(
    counts: Sequence[int],
    *,
    at_s: float,
    scale: int = 0,
    offset: int = 0,
    zero_count: int = 0,
    start_s: float | None = 0,
    attributes: Mapping[str, object] | None = None,
) -> ExponentialHistogramDataPoint:
    point = ExponentialHistogramDataPoint(
        **_common(at_s, start_s, attributes), count=sum(counts) + zero_count, scale=scale, zero_count=zero_count
    )
    point.positive.offset = offset
    point.positive.bucket_counts.extend(counts)
    return point


def summary(count: int, *, at_s: float) -> SummaryDataPoint:
    point = SummaryDataPoint(**_common(at_s, 0, None), count=count, sum=float(count))
    point.quantile_values.add(quantile=0.5, value=1.0)
    return point


def gauge_metric(name: str, points: Sequence[NumberDataPoint], *, unit: str = "1") -> Metric:
    metric = Metric(name=name, unit=unit, description=f"what {name} is")
    metric.gauge.data_points.extend(points)
    return metric


def sum_metric(
    name: str,
    points: Sequence[NumberDataPoint],
    *,
    unit: str = "{call}",
    temporality: int = CUMULATIVE,
    is_monotonic: bool = True,
) -> Metric:
    metric = Metric(name=name, unit=unit, description=f"what {name} is")
    metric.sum.aggregation_temporality = AggregationTemporality.ValueType(temporality)
    metric.sum.is_monotonic = is_monotonic
    metric.sum.data_points.extend(points)
    return metric


def histogram_metric(
    name: str, points: Sequence[HistogramDataPoint], *, unit: str = "s", temporality: int = CUMULATIVE
) -> Metric:
    metric = Metric(name=name, unit=unit, description=f"what {name} is")
    metric.histogram.aggregation_temporality = AggregationTemporality.ValueType(temporality)
    metric.histogram.data_points.extend(points)
    return metric


def exponential_metric(
    name: str, points: Sequence[ExponentialHistogramDataPoint], *, unit: str = "s", temporality: int = CUMULATIVE
) -> Metric:
    metric = Metric(name=name, unit=unit)
    metric.exponential_histogram.aggregation_temporality = AggregationTemporality.ValueType(temporality)
    metric.exponential_histogram.data_points.extend(points)
    return metric


def summary_metric(name: str, points: Sequence[SummaryDataPoint]) -> Metric:
    metric = Metric(name=name)
    metric.summary.data_points.extend(points)
    return metric


def resource_metrics(
    service: str, metrics: Sequence[Metric], *, scope: str = "test", resource: Mapping[str, object] | None = None
) -> ResourceMetrics:
    made = ResourceMetrics()
    made.resource.attributes.extend(pairs({"service.name": service, **(resource or {})}))
    scope_metrics = made.scope_metrics.add()
    scope_metrics.scope.name = scope
    scope_metrics.scope.version = "1"
    scope_metrics.metrics.extend(metrics)
    return made


def _common(at_s: float, start_s: float | None, attributes: Mapping[str, object] | None) -> dict[str, Any]:
    return {
        "time_unix_nano": moment(at_s),
        "start_time_unix_nano": 0 if start_s is None else moment(start_s),
        "attributes": pairs(attributes or {}),
    }
