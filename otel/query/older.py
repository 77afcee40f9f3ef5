"""Searching a Jaeger that has no trace summaries, such as 2.13: its v3 search gives whole traces, by fewer conditions.

What that search does not ask, attributes above all, is held against the spans here: the answer is as from a newer one,
but it is drawn from the newest traces of each service alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from otel.analysis.model import Span, StatusCode, Trace
from otel.query.values import ServiceCount, TraceSearch, TraceSummary
from otel.query.wire import search_params

FEWEST_TRACES: Final = 200  # to look through for an attribute
_NAMES: Final = {
    "query.startTimeMin": "query.start_time_min",
    "query.startTimeMax": "query.start_time_max",
    "query.serviceName": "query.service_name",
    "query.operationName": "query.operation_name",
    "query.durationMin": "query.duration_min",
    "query.durationMax": "query.duration_max",
    "query.searchDepth": "query.num_traces",
}


def older_search_params(search: TraceSearch, now_unix_nano: int) -> dict[str, str]:
    """Write a search as query parameters by their older names, without what had none."""
    params = {_NAMES[key]: value for key, value in search_params(search, now_unix_nano).items() if key in _NAMES}
    depth = max(search.limit, FEWEST_TRACES) if search.attributes else search.limit
    return params | {"query.num_traces": str(depth)}


def summaries_of(traces: Iterable[Trace], search: TraceSearch) -> list[TraceSummary]:
    """Sum up those traces that have a span with the attributes that are searched for."""
    return [_summary(trace) for trace in traces if _has_attributes(trace, search)]


def _has_attributes(trace: Trace, search: TraceSearch) -> bool:
    return not search.attributes or any(
        all(_text(span, key) == value for key, value in search.attributes.items())
        for span in trace.spans
        if search.service_name in {"", span.service_name}
    )


def _text(span: Span, key: str) -> str:
    """An attribute as a search writes it; `error` is the span's status where no attribute says it."""
    value = span.attributes.get(key, span.resource.attributes.get(key))
    if value is None and key == "error":
        value = span.status_code is StatusCode.ERROR
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _summary(trace: Trace) -> TraceSummary:
    spans: Sequence[Span] = trace.spans
    ids = {span.span_id for span in spans}
    root = next((span for span in spans if not span.parent_span_id), None)
    counts, errors = (Counter(span.service_name for span in some) for some in (spans, _failed(spans)))
    timed = [span for span in spans if span.has_time]
    return TraceSummary(
        trace_id=trace.trace_id,
        root_service_name=root.service_name if root else "",
        root_operation_name=root.name if root else "",
        start_time_unix_nano=min((span.start_time_unix_nano for span in timed), default=0),
        end_time_unix_nano=max((span.end_time_unix_nano for span in timed), default=0),
        span_count=len(spans),
        error_span_count=errors.total(),
        orphan_span_count=sum(span.parent_span_id not in {"", *ids} for span in spans),
        services=tuple(ServiceCount(name, counts[name], errors[name]) for name in sorted(counts)),
    )


def _failed(spans: Iterable[Span]) -> list[Span]:
    return [span for span in spans if span.status_code is StatusCode.ERROR]
