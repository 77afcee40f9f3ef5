"""The SQLite store's traces for tests: filled with what is easy to search, and found again."""

from __future__ import annotations

from otel.backend.ports import TelemetryStore, TraceSearch
from tests.contract.telemetry import SECOND, T0, log_record, resource_logs, resource_spans, span


def found(store: TelemetryStore, **search: object) -> list[int]:
    wanted = TraceSearch(0, 2**63 - 1, **search)  # type: ignore[arg-type]  # names are checked by use
    return [int.from_bytes(summary.trace_id) for summary in store.summaries(wanted)]


def filled(store: TelemetryStore, numbers: range) -> None:
    for number in numbers:
        spans = [span(number, 1, start=T0 + number * SECOND, attributes={"n": number, "half": number // 2})]
        spans.append(span(number, 2, 1, name="child", start=T0 + number * SECOND))
        store.write(
            [resource_spans("order", spans)], [resource_logs("order", [log_record(f"line {number}", trace=number)])]
        )
