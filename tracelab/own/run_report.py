"""What a run sent, read back: calls by method, the slowest trace, and how its log records join its spans."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from otel.analysis.model import LogRecord, Span, SpanKind, Trace
from otel.analysis.proof import join_stored
from otel.analysis.rpc import operation, rpc_facts
from otel.query import LogSearch, TraceQuery, TraceSearch, TraceSummary
from tracelab.own.program import RUN_ID_ATTRIBUTE

MOST_TRACES: Final = 1500
MOST_READ: Final = 300
"""Traces that are read whole for the table; the newest of them."""
MOST_LOG_PAGES: Final = 20
SETTLED_S: Final = 0.3
ARRIVAL_BOUND_S: Final = 3.0
POLL_S: Final = 0.05
NANO: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class MethodRow:
    """The calls of one method on one side; lengths in nanoseconds."""

    service_name: str
    method: str
    kind: SpanKind
    count: int
    error_count: int
    rate_per_s: float
    p50_ns: int
    p95_ns: int


@dataclass(frozen=True, slots=True)
class RunReport:
    """What was seen of one run. The rows are of the newest traces alone where there are more than `MOST_READ`."""

    services: tuple[str, ...]
    trace_count: int
    span_count: int
    log_count: int
    joined_log_count: int
    rows: tuple[MethodRow, ...]
    slowest_trace_id: str
    slowest_ns: int
    read_trace_count: int


def run_report(query: TraceQuery, run_id: str, start_unix_nano: int, duration_s: float) -> RunReport:
    """Read what the run sent, once nothing more arrives. Blocks for a moment; raises QueryError."""
    search = TraceSearch(
        attributes={RUN_ID_ATTRIBUTE: run_id}, start_time_min_unix_nano=start_unix_nano, limit=MOST_TRACES
    )
    summaries = _settled_summaries(query, search)
    newest = (query.trace(summary.trace_id) for summary in summaries[:MOST_READ])
    traces = [trace for trace in newest if trace]
    spans = [span for trace in traces for span in trace.spans if _is_of(span, run_id)]
    services = tuple(sorted({span.service_name for span in spans}))
    logs = _logs(query, run_id, services, start_unix_nano)
    by_id = {trace.trace_id: trace for trace in traces}
    join = join_stored(logs, by_id.get)
    slowest = max(traces, key=_length_ns, default=None)
    return RunReport(
        services=services,
        trace_count=len(summaries),
        span_count=len(spans),
        log_count=join.log_count,
        joined_log_count=join.joined_count,
        rows=tuple(_rows(spans, duration_s)),
        slowest_trace_id=slowest.trace_id if slowest else "",
        slowest_ns=_length_ns(slowest) if slowest else 0,
        read_trace_count=len(traces),
    )


def _settled_summaries(query: TraceQuery, search: TraceSearch) -> list[TraceSummary]:
    deadline_s = time.monotonic() + ARRIVAL_BOUND_S
    seen, since_s = -1, time.monotonic()
    while True:
        summaries = query.trace_summaries(search)
        count = sum(summary.span_count for summary in summaries)
        if count != seen:
            seen, since_s = count, time.monotonic()
        if time.monotonic() - since_s >= SETTLED_S or time.monotonic() >= deadline_s:
            return summaries
        time.sleep(POLL_S)


def _logs(query: TraceQuery, run_id: str, services: Sequence[str], start_unix_nano: int) -> list[LogRecord]:
    found: list[LogRecord] = []
    for service in services:
        search = LogSearch(service_name=service, time_min_unix_nano=start_unix_nano)
        for _ in range(MOST_LOG_PAGES):
            page = query.logs(search)
            found += [record for record in page.records if _is_of(record, run_id)]
            if not page.next_cursor:
                break
            search = replace(search, cursor=page.next_cursor)
    return found


def _rows(spans: Iterable[Span], duration_s: float) -> Iterable[MethodRow]:
    by_method: dict[tuple[str, str, SpanKind], list[Span]] = {}
    for span in spans:
        if span.kind in (SpanKind.SERVER, SpanKind.CLIENT) and rpc_facts(span) is not None:
            by_method.setdefault((span.service_name, operation(span), span.kind), []).append(span)
    for (service, method, kind), own in sorted(by_method.items()):
        lengths = sorted(span.duration_ns for span in own)
        yield MethodRow(
            service_name=service,
            method=method,
            kind=kind,
            count=len(own),
            error_count=sum(span.is_error for span in own),
            rate_per_s=len(own) / duration_s if duration_s > 0 else 0.0,
            p50_ns=_quantile(lengths, 50),
            p95_ns=_quantile(lengths, 95),
        )


def _quantile(lengths: Sequence[int], percent: int) -> int:
    """The nearest rank: of few calls a quantile between two would be one that nobody measured."""
    return lengths[max(0, -(-len(lengths) * percent // 100) - 1)]


def _length_ns(trace: Trace) -> int:
    timed = [span for span in trace.spans if span.has_time]
    ends = [span.start_time_unix_nano + span.duration_ns for span in timed]
    return max(ends, default=0) - min((span.start_time_unix_nano for span in timed), default=0)


def _is_of(sent: Span | LogRecord, run_id: str) -> bool:
    return sent.resource.attributes.get(RUN_ID_ATTRIBUTE) == run_id
