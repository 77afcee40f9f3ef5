"""Traces for tests in one line a span: names are span ids, times milliseconds after T0."""

from __future__ import annotations

from otel.analysis.model import Attributes, LogRecord, Resource, Span, SpanKind, StatusCode, Trace

TRACE_ID = "ab" * 16
CLIENT, SERVER, INTERNAL, PRODUCER = SpanKind.CLIENT, SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.PRODUCER
MS = 1_000_000
T0 = 1_795_456_800_000_000_000


def span(
    name: str,
    start_ms: float,
    end_ms: float,
    parent: str = "",
    kind: SpanKind = INTERNAL,
    *,
    operation: str = "",
    service: str = "svc",
    host: str = "",
    attributes: Attributes | None = None,
    is_error: bool = False,
) -> Span:
    return Span(
        trace_id=TRACE_ID,
        span_id=name,
        parent_span_id=parent,
        name=operation or name,
        kind=kind,
        start_time_unix_nano=T0 + round(start_ms * MS),
        end_time_unix_nano=T0 + round(end_ms * MS),
        attributes=attributes or {},
        status_code=StatusCode.ERROR if is_error else StatusCode.UNSET,
        resource=Resource({"service.name": service, **({"host.id": host} if host else {})}),
    )


def trace(*spans: Span) -> Trace:
    return Trace(TRACE_ID, tuple(spans))


def record(span_id: str, at_ms: float, event: str = "thing.happened", severity: int = 9, **facts: str) -> LogRecord:
    return LogRecord(
        time_unix_nano=T0 + round(at_ms * MS),
        severity_number=severity,
        body=event,
        event_name=event,
        attributes=facts,
        trace_id=TRACE_ID,
        span_id=span_id,
        flags=1,
        resource=Resource({"service.name": "svc"}),
    )


# The worked examples of the definition of the critical path.
SEQUENTIAL = trace(span("P", 0, 100, kind=SERVER), span("C1", 10, 40, "P", CLIENT), span("C2", 50, 90, "P", CLIENT))
TOUCHING = trace(span("P", 0, 100, kind=SERVER), span("C1", 10, 40, "P", CLIENT), span("C2", 40, 90, "P", CLIENT))
BY_A_HAIR = trace(
    span("P", 0, 1.0, kind=SERVER), span("C1", 0.1, 0.403, "P", CLIENT), span("C2", 0.4, 0.9, "P", CLIENT)
)
OVERLAPPING = trace(
    span("P", 0, 100, kind=SERVER),
    span("A", 10, 60, "P", CLIENT),
    span("C", 15, 70, "P", CLIENT),
    span("B", 20, 80, "P", CLIENT),
)
CHILD_OUTLIVES = trace(span("P", 0, 50, kind=SERVER), span("A", 10, 30, "P", CLIENT), span("B", 20, 120, "P", CLIENT))
SERVER_OUTLIVES = trace(span("C", 0, 100, kind=CLIENT), span("S", 2, 300, "C", SERVER))
SKEWED = trace(
    span("C", 0, 40, kind=CLIENT, host="a"),
    span("S", -120, -100, "C", SERVER, host="b"),
    span("D", -118, -104, "S", CLIENT, host="b"),
)
FAN_OUT = trace(
    span("P", 0, 100, kind=SERVER),
    *(span(f"L{i}", 4 + 12 * i, 14 + 12 * i, "P", CLIENT, operation="ListOrders") for i in range(8)),
)
RETRIES = trace(
    span("R", 0, 300, kind=CLIENT),
    span("A1", 0, 40, "R", SERVER),
    span("A2", 100, 140, "R", SERVER),
    span("A3", 250, 300, "R", SERVER),
)
LEVELS = trace(
    span("P", 0, 200, kind=SERVER),
    span("U", 10, 50, "P", CLIENT),
    span("SU", 15, 45, "U", SERVER),
    span("O1", 60, 150, "P", CLIENT),
    span("O2", 60, 170, "P", CLIENT),
    span("SO", 70, 160, "O2", SERVER),
    span("DB", 80, 140, "SO", CLIENT),
)
