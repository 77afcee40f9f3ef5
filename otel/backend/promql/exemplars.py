"""Exemplars of the series in an expression, as `/api/v1/query_exemplars` tells them. Pure but for the store."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import SummaryDataPoint

from otel.backend.codec.attribute_text import float_text
from otel.backend.metric_ports import MetricSeries, MetricStore
from otel.backend.metrics.increases import number_of
from otel.backend.promql.evaluation import selectors_of
from otel.backend.promql.naming import labels_of
from otel.backend.promql.parser import NAME_LABEL
from otel.backend.promql.samples import NANOS_PER_MS, names_of
from otel.backend.promql.source import stored_series
from otel.backend.promql.syntax import Expression

MAX_EXEMPLARS = 1_000
# A point is sent after its exemplars were made: so much later at most.
LATE_MS = 5 * 60 * 1000


def exemplars_of(store: MetricStore, expression: Expression, begin_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """Return the exemplars with a trace between two moments, by series; the newest where there are too many."""
    series = {
        each.number: each for selector in selectors_of(expression) for each in stored_series(store, selector.matchers)
    }
    found = ((each, _of_series(store, each, begin_ms, end_ms)) for each in series.values())
    return [
        {"seriesLabels": {**labels_of(each), NAME_LABEL: names_of(each)[0]}, "exemplars": exemplars}
        for each, exemplars in found
        if exemplars
    ]


def _of_series(store: MetricStore, series: MetricSeries, begin_ms: int, end_ms: int) -> list[dict[str, Any]]:
    told: dict[tuple[int, bytes, bytes], dict[str, Any]] = {}
    until_unix_nano = (end_ms + LATE_MS) * NANOS_PER_MS
    for _, points in store.metric_points([series.number], begin_ms * NANOS_PER_MS, until_unix_nano):
        for point in points:
            for each in () if isinstance(point, SummaryDataPoint) else point.exemplars:
                time_ms = each.time_unix_nano // NANOS_PER_MS
                if each.trace_id and begin_ms <= time_ms <= end_ms:
                    told[each.time_unix_nano, each.trace_id, each.span_id] = {
                        "labels": {"trace_id": each.trace_id.hex(), "span_id": each.span_id.hex()},
                        "value": float_text(number_of(each)),
                        "timestamp": time_ms / 1000,
                    }
    return [told[key] for key in sorted(told)][-MAX_EXEMPLARS:]
