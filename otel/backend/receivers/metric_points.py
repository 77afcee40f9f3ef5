"""Which data points of an OTLP request can be stored, and why the others cannot. Pure.

Source: opentelemetry-proto metrics.proto, and the data model at opentelemetry.io/docs/specs/otel/metrics/data-model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)

TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8
# SDKs make 15 to 160; each costs time whenever the point is read.
MAX_BUCKETS = 2048
# What the data model's mapping functions define; past it a bucket's bounds are no numbers.
MIN_SCALE, MAX_SCALE = -10, 20
NO_RECORDED_VALUE = 1
TEMPORALITIES = (AGGREGATION_TEMPORALITY_DELTA, AGGREGATION_TEMPORALITY_CUMULATIVE)


@dataclass(frozen=True, slots=True)
class RejectedPoints:
    """How many points were left out, and why the first of them was."""

    count: int = 0
    reason: str = ""


NO_POINTS_REJECTED = RejectedPoints()


def drop_unusable_points(request: ExportMetricsServiceRequest) -> RejectedPoints:
    """Take the points that cannot be stored out of a request, and what holds none without them."""
    count, reason = 0, ""
    for part in request.resource_metrics:
        for scope_metrics in part.scope_metrics:
            for metric in scope_metrics.metrics:
                dropped, why = _drop_from(metric)
                count += dropped
                reason = reason or why
            _keep(scope_metrics.metrics, _has_points)
        _keep(part.scope_metrics, lambda scope_metrics: bool(scope_metrics.metrics))
    return RejectedPoints(count, reason)


def why_unusable(metric: Metric) -> str:
    """Say why no point of a metric can be stored; "" where they can."""
    kind = metric.WhichOneof("data")
    if not metric.name:
        return "a metric needs a name"
    if kind is None:
        return f"the metric '{metric.name[:80]}' has no data of a known kind"
    if kind in ("gauge", "summary") or getattr(metric, kind).aggregation_temporality in TEMPORALITIES:
        return ""
    return f"the {kind} '{metric.name[:80]}' has no aggregation temporality"


def why_unusable_point(point: Any) -> str:
    """Say why a data point cannot be stored; "" where it can."""
    if not point.time_unix_nano:
        return "a data point needs a time"
    if point.flags & NO_RECORDED_VALUE:
        return ""
    if isinstance(point, NumberDataPoint) and point.WhichOneof("value") is None:
        return "a data point needs a value"
    if isinstance(point, HistogramDataPoint):
        return _why_unusable_buckets(point)
    if isinstance(point, ExponentialHistogramDataPoint):
        return _why_unusable_exponential(point)
    return ""


def _drop_from(metric: Metric) -> tuple[int, str]:
    kind = metric.WhichOneof("data")
    points = getattr(metric, kind).data_points if kind else ()
    reason = why_unusable(metric)
    if reason:
        if kind:
            metric.ClearField(kind)
        return len(points) if kind else 1, reason
    reasons = [why for point in points if (why := why_unusable_point(point))]
    if reasons:
        _keep(points, lambda point: not why_unusable_point(point))
    for point in points:
        _mend_exemplars(point)
    return len(reasons), reasons[0] if reasons else ""


def _why_unusable_buckets(point: HistogramDataPoint) -> str:
    bounds = point.explicit_bounds
    if len(point.bucket_counts) > MAX_BUCKETS:
        return f"a histogram may have at most {MAX_BUCKETS} buckets"
    if point.bucket_counts and len(point.bucket_counts) != len(bounds) + 1:
        return "a histogram needs one bucket count more than it has bounds"
    if not all(map(math.isfinite, bounds)) or any(low >= high for low, high in pairwise(bounds)):
        return "a histogram's bounds must be finite and ascend"
    return ""


def _why_unusable_exponential(point: ExponentialHistogramDataPoint) -> str:
    if not MIN_SCALE <= point.scale <= MAX_SCALE:
        return f"an exponential histogram's scale must be from {MIN_SCALE} to {MAX_SCALE}"
    if len(point.positive.bucket_counts) + len(point.negative.bucket_counts) > MAX_BUCKETS:
        return f"a histogram may have at most {MAX_BUCKETS} buckets"
    return ""


def _mend_exemplars(point: Any) -> None:
    """Drop ids of a wrong length, which can name nothing."""
    for exemplar in getattr(point, "exemplars", ()):
        if len(exemplar.trace_id) != TRACE_ID_BYTES or not any(exemplar.trace_id):
            exemplar.trace_id = b""
        if len(exemplar.span_id) != SPAN_ID_BYTES or not any(exemplar.span_id):
            exemplar.span_id = b""


def _has_points(metric: Metric) -> bool:
    kind = metric.WhichOneof("data")
    return kind is not None and bool(getattr(metric, kind).data_points)


def _keep(repeated: Any, wanted: Any) -> None:
    kept = [element for element in repeated if wanted(element)]
    if len(kept) == len(repeated):
        return
    copies = [type(element).FromString(element.SerializeToString()) for element in kept]
    del repeated[:]
    repeated.extend(copies)
