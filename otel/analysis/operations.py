"""What each operation of a trace cost, all its spans together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from otel.analysis.model import Span, SpanKind
from otel.analysis.reading import TraceReading
from otel.analysis.rpc import operation


class OperationKey(NamedTuple):
    """What makes two spans the same operation."""

    service_name: str
    operation: str
    kind: SpanKind


@dataclass(frozen=True, slots=True)
class OperationRow:
    """Sums over the spans of one operation, in nanoseconds."""

    key: OperationKey
    count: int
    error_count: int
    duration_ns: int
    self_time_ns: int
    critical_time_ns: int


def operation_key(span: Span) -> OperationKey:
    """Give the key of `span`."""
    return OperationKey(span.service_name, operation(span), span.kind)


def operation_rows(reading: TraceReading) -> tuple[OperationRow, ...]:
    """Sum up a trace by operation: most time on the critical path first, then most self time, then by name."""
    by_key: dict[OperationKey, list[Span]] = {}
    for span in reading.forest.spans:
        by_key.setdefault(operation_key(span), []).append(span)
    rows = [
        OperationRow(
            key=key,
            count=len(spans),
            error_count=sum(span.is_error for span in spans),
            duration_ns=sum(span.duration_ns for span in spans),
            self_time_ns=sum(reading.self_time_ns[span.span_id] for span in spans),
            critical_time_ns=sum(reading.critical_time_ns.get(span.span_id, 0) for span in spans),
        )
        for key, spans in by_key.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.critical_time_ns, -row.self_time_ns, row.key)))
