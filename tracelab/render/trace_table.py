"""Trace summaries as a table, for `lab traces`, and the operations of one trace.

Shows itself: `python -m tracelab.render.trace_table`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median_low

from clients.screen import palette
from clients.screen.console import console_for
from clients.screen.tables import Cell, Column, PlainTable
from otel.analysis.durations import scale_for
from otel.analysis.example import example_trace, failing_trace
from otel.analysis.model import Span, SpanKind
from otel.analysis.operations import operation_rows
from otel.analysis.reading import TraceReading
from otel.analysis.rpc import operation
from otel.query.values import ServiceCount, TraceSummary


def trace_table(summaries: Sequence[TraceSummary]) -> PlainTable:
    """List traces as given. Given up when there is little room: services, the span count, the start, the orphans.

    A trace id stays whole, for copying.
    """
    # The unit of the middle one: beside a single long trace, in its seconds, all others would be 0.0.
    scale = scale_for(median_low([summary.duration_ns for summary in summaries] or [0]), least_decimals=1)
    has_orphans = any(summary.orphan_span_count for summary in summaries)
    columns = [
        Column("trace"),
        Column("started (UTC)", give_up=2),
        Column("root", is_flexible=True, enough=22 if has_orphans else 30),
        Column(scale.unit, is_number=True),
        Column("spans", is_number=True, give_up=3),
        Column("errors", is_number=True),
        *([Column("orphans", is_number=True, give_up=1)] if has_orphans else []),
        Column("services", give_up=4),
    ]
    rows = [_summary_row(summary, scale.number(summary.duration_ns), has_orphans=has_orphans) for summary in summaries]
    return PlainTable(columns, rows)


def operation_table(reading: TraceReading) -> PlainTable:
    """Sum up a trace by operation: most time on the critical path first."""
    rows = operation_rows(reading)
    scale = scale_for(max((row.duration_ns for row in rows), default=0), least_decimals=1)
    columns = [
        Column("service"),
        Column("operation", is_flexible=True),
        Column("kind", give_up=2),
        Column("count", is_number=True),
        Column("errors", is_number=True, give_up=1),
        Column(f"total {scale.unit}", is_number=True),
        Column("self", is_number=True),
        Column("critical", is_number=True),
    ]
    return PlainTable(
        columns,
        [
            (
                Cell(row.key.service_name, palette.service_style(row.key.service_name)),
                row.key.operation,
                row.key.kind.name.lower(),
                str(row.count),
                _count_of_problems(row.error_count),
                scale.number(row.duration_ns),
                scale.number(row.self_time_ns),
                scale.number(row.critical_time_ns),
            )
            for row in rows
        ],
    )


def summary_of(reading: TraceReading) -> TraceSummary:
    """Sum up a trace that was read whole."""
    spans = reading.forest.spans
    names = sorted({span.service_name for span in spans})
    return TraceSummary(
        trace_id=reading.trace.trace_id,
        root_service_name=reading.root.service_name if reading.root else "",
        root_operation_name=reading.root.name if reading.root else "",
        start_time_unix_nano=reading.start_time_unix_nano,
        end_time_unix_nano=reading.end_time_unix_nano,
        span_count=len(spans),
        error_span_count=sum(span.is_error for span in spans),
        orphan_span_count=len(reading.forest.orphans),
        services=tuple(_service_count(name, spans) for name in names),
    )


def _summary_row(summary: TraceSummary, duration: str, *, has_orphans: bool) -> list[Cell | str]:
    moment = datetime.fromtimestamp(summary.start_time_unix_nano // 1_000_000_000, UTC)
    root = f"{summary.root_service_name} {_short(summary.root_operation_name)}".strip()
    return [
        summary.trace_id,
        f"{moment:%m-%d %H:%M:%S}" if summary.start_time_unix_nano else "no time",
        root or "root not received",
        duration,
        str(summary.span_count),
        _count_of_problems(summary.error_span_count),
        *([_count_of_problems(summary.orphan_span_count)] if has_orphans else []),
        ", ".join(service.name for service in summary.services),
    ]


def _short(name: str) -> str:
    return operation(Span("", "", "", name, SpanKind.CLIENT, 0, 0))


def _count_of_problems(count: int) -> Cell:
    return Cell(f"! {count}", palette.ERROR) if count else Cell("0", palette.QUIET)


def _service_count(name: str, spans: Sequence[Span]) -> ServiceCount:
    own = [span for span in spans if span.service_name == name]
    return ServiceCount(name, len(own), sum(span.is_error for span in own))


def main() -> None:
    """Print the example traces as tables on standard output."""
    console = console_for(sys.stdout, os.environ)
    readings = [TraceReading(*make()) for make in (example_trace, failing_trace)]
    console.print(trace_table([summary_of(reading) for reading in readings]))
    console.print()
    console.print(operation_table(readings[1]))


if __name__ == "__main__":
    main()
