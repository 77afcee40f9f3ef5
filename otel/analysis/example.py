"""A small, realistic trace with its logs: what the demo's report call looks like, in fixed numbers.

For tests and for the renderers, each of which shows itself when run.
"""

from __future__ import annotations

from dataclasses import replace

from otel.analysis.model import Attributes, LogRecord, Resource, Scope, Span, SpanKind, StatusCode, Trace

TRACE_ID = "5a1f0c3e9b7d42468ce013579bdf2468"
START_UNIX_NANO = 1_795_456_800_000_000_000
_SCOPE = Scope("otel.instrument", "0.1.0", schema_url="https://opentelemetry.io/schemas/1.44.0")
_CODES_OF_ERROR_ON_SERVER = ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
_SEVERITY_NUMBERS = {"DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17}


def resource(service_name: str) -> Resource:
    """Give the resource of a service's process."""
    return Resource({"service.name": service_name, "service.instance.id": f"{service_name}-1", "process.pid": 4711})


def rpc_span(
    span_id: int,
    parent_id: int,
    service_name: str,
    kind: SpanKind,
    method: str,
    from_us: int,
    until_us: int,
    code: str = "OK",
    attributes: Attributes | None = None,
) -> Span:
    """Make one side of a call; times in microseconds since the trace's start."""
    is_error = code != "OK" and (kind is SpanKind.CLIENT or code in _CODES_OF_ERROR_ON_SERVER)
    package = method.partition("Service/")[0].lower()
    return Span(
        trace_id=TRACE_ID,
        span_id=f"{span_id:016x}",
        parent_span_id=f"{parent_id:016x}" if parent_id else "",
        name=f"tracelab.{package}.v1.{method}",
        kind=kind,
        start_time_unix_nano=START_UNIX_NANO + from_us * 1000,
        end_time_unix_nano=START_UNIX_NANO + until_us * 1000,
        attributes={
            "rpc.system.name": "grpc",
            "rpc.method": f"tracelab.{package}.v1.{method}",
            "rpc.response.status_code": code,
            **({"error.type": code} if is_error else {}),
            "session.id": "demo-5a1f",
            **(attributes or {}),
        },
        status_code=StatusCode.ERROR if is_error else StatusCode.UNSET,
        flags=0x301 if parent_id else 0x101,
        resource=resource(service_name),
        scope=_SCOPE,
    )


def log_record(
    number: int, span: Span, at_us: int, severity: str, event_name: str, attributes: Attributes | None = None
) -> LogRecord:
    """Make a record written inside `span`, `at_us` microseconds after the trace's start."""
    return LogRecord(
        time_unix_nano=START_UNIX_NANO + at_us * 1000,
        observed_time_unix_nano=START_UNIX_NANO + at_us * 1000,
        severity_number=_SEVERITY_NUMBERS[severity],
        severity_text=severity,
        body=event_name,
        event_name=event_name,
        attributes={**(attributes or {}), "log.record.uid": f"01J0000000000000000000{number:04d}"},
        trace_id=span.trace_id,
        span_id=span.span_id,
        flags=1,
        resource=span.resource,
        scope=Scope("structlog"),
    )


def example_trace() -> tuple[Trace, tuple[LogRecord, ...]]:
    """Give a GetUserReport call over demo, report, user and order: eight spans, six log records."""
    client, server = SpanKind.CLIENT, SpanKind.SERVER
    timeout: Attributes = {"tracelab.rpc.timeout_s": 5.0}
    report, user, orders = "ReportService/GetUserReport", "UserService/GetUser", "OrderService/ListOrders"
    spans = (
        rpc_span(0xA1, 0, "demo", client, report, 0, 14_210, attributes=timeout),
        rpc_span(0xA2, 0xA1, "report", server, report, 1_120, 13_480, attributes=_left(4.998)),
        rpc_span(0xA3, 0xA2, "report", client, user, 1_560, 5_240, attributes={"tracelab.rpc.timeout_s": 4.998}),
        rpc_span(0xA4, 0xA3, "user", server, user, 2_310, 4_690, attributes=_left(4.997)),
        rpc_span(0xA5, 0xA2, "report", client, orders, 5_410, 12_930, attributes={"tracelab.rpc.timeout_s": 4.994}),
        rpc_span(0xA6, 0xA5, "order", server, orders, 6_180, 12_260, attributes=_left(4.993)),
    )
    logs = (
        log_record(1, spans[1], 1_310, "INFO", "report.requested", {"user_id": "u-1"}),
        log_record(2, spans[3], 3_870, "INFO", "user.read", {"user_id": "u-1"}),
        log_record(3, spans[5], 11_020, "INFO", "order.listed", {"user_id": "u-1", "order_count": 2}),
        log_record(4, spans[5], 12_150, "INFO", "rpc.finished", {"status_code": "OK", "duration_ms": 5.97}),
        log_record(5, spans[1], 13_120, "INFO", "report.made", {"order_count": 2, "total_minor_units": 7500}),
        log_record(6, spans[1], 13_390, "INFO", "rpc.finished", {"status_code": "OK", "duration_ms": 12.27}),
    )
    return Trace(TRACE_ID, spans), logs


def failing_trace() -> tuple[Trace, tuple[LogRecord, ...]]:
    """Give the same call with two tries of ListOrders, then a deadline, an orphan, and a record of no known span."""
    client, server = SpanKind.CLIENT, SpanKind.SERVER
    report, user, orders = "ReportService/GetUserReport", "UserService/GetUser", "OrderService/ListOrders"
    deadline, tried_before = "DEADLINE_EXCEEDED", {"grpc.previous_rpc_attempts": 1}
    spans = (
        rpc_span(0xB1, 0, "demo", client, report, 0, 200_400, deadline, {"tracelab.rpc.timeout_s": 0.2}),
        rpc_span(0xB2, 0xB1, "report", server, report, 900, 200_900, "CANCELLED", _left(0.1991)),
        rpc_span(0xB3, 0xB2, "report", client, user, 1_400, 4_700),
        rpc_span(0xB4, 0xB3, "user", server, user, 2_000, 4_200),
        rpc_span(0xB5, 0xB2, "report", client, orders, 4_900, 200_700, "CANCELLED"),
        rpc_span(0xB6, 0xB5, "order", server, orders, 5_600, 21_300, "UNAVAILABLE"),
        rpc_span(0xB7, 0xB5, "order", server, orders, 79_300, 231_800, "CANCELLED", tried_before),
        rpc_span(0xB8, 0xBF, "order", server, "UserService/BatchGetUsers", 90_000, 91_500, "NOT_FOUND"),
    )
    lost = log_record(5, replace(spans[6], span_id=f"{0xBE:016x}"), 120_000, "WARN", "order.delayed", {"delay_ms": 150})
    logs = (
        log_record(1, spans[1], 1_100, "INFO", "report.requested", {"user_id": "u-1"}),
        log_record(2, spans[3], 3_300, "INFO", "user.read", {"user_id": "u-1"}),
        log_record(3, spans[5], 21_100, "ERROR", "order.rejected", {"reason": "STORE_BUSY"}),
        log_record(4, spans[6], 80_100, "WARN", "fault.injected", {"delay_ms": 150}),
        lost,
        log_record(6, spans[1], 200_800, "INFO", "rpc.finished", {"status_code": "CANCELLED", "duration_ms": 200.0}),
    )
    return Trace(TRACE_ID, spans), logs


def _left(time_remaining_s: float) -> Attributes:
    return {"tracelab.rpc.time_remaining_s": time_remaining_s}
