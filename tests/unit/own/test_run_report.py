"""The summary of a run: calls by method, quantiles, the slowest trace."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from otel.analysis.model import LogRecord, Resource, Span, SpanKind, Trace
from otel.query import LogPage, LogSearch, TraceQuery, TraceSearch, TraceSummary
from tests.unit.analysis.building import CLIENT, MS, SERVER, record, span
from tracelab.own.program import RUN_ID_ATTRIBUTE
from tracelab.own.run_report import run_report


def sent(made: Span, number: int, run_id: str = "r1", service: str = "shop") -> Span:
    resource = Resource({"service.name": service, RUN_ID_ATTRIBUTE: run_id})
    return replace(made, trace_id=f"{number:032x}", resource=resource)


class Stored:
    """A backend that has these spans and log records."""

    def __init__(self, spans: list[Span], logs: list[LogRecord]) -> None:
        self.spans = spans
        self.records = logs

    def trace_summaries(self, search: TraceSearch) -> list[TraceSummary]:
        wanted = search.attributes[RUN_ID_ATTRIBUTE]
        ids = sorted({one.trace_id for one in self.spans if one.resource.attributes[RUN_ID_ATTRIBUTE] == wanted})
        return [TraceSummary(each, "", "", 1, 2, 1, 0, 0, ()) for each in ids]

    def trace(self, trace_id: str) -> Trace:
        return Trace(trace_id, tuple(one for one in self.spans if one.trace_id == trace_id))

    def logs(self, search: LogSearch) -> LogPage:
        return LogPage(tuple(one for one in self.records if one.service_name == search.service_name))


@pytest.mark.parametrize(("count", "p50", "p95"), [(1, 10, 10), (2, 10, 20), (20, 100, 190), (100, 500, 950)])
def test_quantiles_are_calls_that_were_measured(count: int, p50: int, p95: int) -> None:
    spans = [sent(span(f"S{n}", 0, 10 * n, kind=SERVER, operation="a.B/C"), n) for n in range(1, count + 1)]

    (row,) = run_report(cast("TraceQuery", Stored(spans, [])), "r1", 0, 10.0).rows

    assert (row.p50_ns, row.p95_ns, row.count, row.rate_per_s) == (p50 * MS, p95 * MS, count, count / 10)


def test_both_sides_errors_logs_and_the_slowest_are_counted_and_what_others_sent_is_not() -> None:
    spans = [
        sent(span("C", 0, 90, kind=CLIENT, operation="a.B/C"), 1),
        sent(span("S", 5, 80, "C", SERVER, operation="a.B/C", is_error=True), 1),
        sent(span("I", 6, 7, "S", operation="work"), 1),
        sent(span("X", 0, 500, kind=SERVER, operation="a.B/C"), 2, run_id="other", service="elsewhere"),
        sent(span("D", 0, 10, kind=CLIENT, operation="a.B/D"), 3),
    ]
    own = Resource({"service.name": "shop", RUN_ID_ATTRIBUTE: "r1"})
    logs = [
        replace(record("S", 10), trace_id=f"{1:032x}", resource=own),
        replace(record("", 10), trace_id="", resource=own),
        replace(record("S", 10), resource=Resource({"service.name": "shop", RUN_ID_ATTRIBUTE: "older"})),
    ]

    report = run_report(cast("TraceQuery", Stored(spans, logs)), "r1", 0, 1.0)

    assert [(row.method, row.kind, row.count, row.error_count) for row in report.rows] == [
        ("B/C", SpanKind.SERVER, 1, 1),
        ("B/C", SpanKind.CLIENT, 1, 0),
        ("B/D", SpanKind.CLIENT, 1, 0),
    ]
    assert (report.trace_count, report.span_count, report.services) == (2, 4, ("shop",))
    assert (report.log_count, report.joined_log_count) == (2, 1)
    assert (report.slowest_trace_id, report.slowest_ns) == (f"{1:032x}", 90 * MS)


def test_a_run_of_which_nothing_came_has_an_empty_report() -> None:
    report = run_report(cast("TraceQuery", Stored([], [])), "r1", 0, 1.0)

    assert (report.trace_count, report.rows, report.slowest_trace_id) == (0, (), "")
