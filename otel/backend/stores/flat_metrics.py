"""Metrics taken apart into points and the series that they belong to. Pure, safe in any thread, O(n) in points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from opentelemetry.proto.common.v1.common_pb2 import KeyValueList
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ScopeMetrics, SummaryDataPoint

from otel.backend.metric_ports import MetricPoint


@dataclass(frozen=True, slots=True)
class FlatPoint:
    """A point without its attributes, which stand beside it in order of their keys, and its metric without points."""

    header: Metric
    header_bytes: bytes
    attributes: KeyValueList
    attribute_bytes: bytes
    point: MetricPoint


def flat_points(scope_metrics: ScopeMetrics) -> Iterator[FlatPoint]:
    """Yield every point; takes the attributes out of the points that it is given."""
    for metric in scope_metrics.metrics:
        kind = metric.WhichOneof("data")
        if kind is None:
            continue
        header = _header_of(metric, kind)
        header_bytes = header.SerializeToString(deterministic=True)
        for point in getattr(metric, kind).data_points:
            attributes = KeyValueList(values=sorted(point.attributes, key=lambda pair: pair.key))
            point.ClearField("attributes")
            attribute_bytes = attributes.SerializeToString(deterministic=True)
            yield FlatPoint(header, header_bytes, attributes, attribute_bytes, point)


def has_exemplars(point: MetricPoint) -> bool:
    """Say whether a point has exemplars."""
    return not isinstance(point, SummaryDataPoint) and bool(point.exemplars)


def _header_of(metric: Metric, kind: str) -> Metric:
    header = Metric(name=metric.name, description=metric.description, unit=metric.unit, metadata=metric.metadata)
    data = getattr(header, kind)
    data.SetInParent()
    for field, value in getattr(metric, kind).ListFields():
        if field.name != "data_points":
            setattr(data, field.name, value)
    return header
