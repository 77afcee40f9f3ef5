"""Makers of OTLP messages for the contract and conformance suites: small, fixed, readable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

T0 = 1_795_456_800_000_000_000
MS = 1_000_000
SECOND = 1_000_000_000


def any_value(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, (list, tuple)):
        made = AnyValue()
        made.array_value.values.extend(any_value(each) for each in value)
        return made
    return AnyValue(string_value=str(value))


def pairs(attributes: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def trace_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def span_id(number: int) -> bytes:
    return number.to_bytes(8, "big")


def span(
    trace: int,
    number: int,
    parent: int = 0,
    *,
    name: str = "work",
    kind: int = 2,
    start: int = T0,
    duration: int = 10 * MS,
    status: int = 0,
    attributes: Mapping[str, object] | None = None,
    event_attributes: Mapping[str, object] | None = None,
) -> Span:
    made = Span(
        trace_id=trace_id(trace),
        span_id=span_id(number),
        parent_span_id=span_id(parent) if parent else b"",
        name=name,
        kind=Span.SpanKind.ValueType(kind),
        start_time_unix_nano=start,
        end_time_unix_nano=start + duration,
        attributes=pairs(attributes or {}),
    )
    made.status.code = Status.StatusCode.ValueType(status)
    if event_attributes:
        made.events.add(name="event", time_unix_nano=start, attributes=pairs(event_attributes))
    return made


def resource_spans(
    service: str, spans: Sequence[Span], *, scope: str = "test", resource: Mapping[str, object] | None = None
) -> ResourceSpans:
    made = ResourceSpans()
    made.resource.attributes.extend(pairs({"service.name": service, **(resource or {})}))
    scope_spans = made.scope_spans.add()
    scope_spans.scope.name = scope
    scope_spans.scope.version = "1"
    scope_spans.spans.extend(spans)
    return made


def log_record(
    body: str,
    *,
    time: int = T0,
    trace: int = 0,
    number: int = 0,
    severity: int = 9,
    attributes: Mapping[str, object] | None = None,
) -> LogRecord:
    made = LogRecord(
        time_unix_nano=time,
        observed_time_unix_nano=time + 1,
        severity_text="INFO",
        body=any_value(body),
        attributes=pairs(attributes or {}),
        trace_id=trace_id(trace) if trace else b"",
        span_id=span_id(number) if number else b"",
    )
    made.severity_number = SeverityNumber.ValueType(severity)
    return made


def resource_logs(service: str, records: Sequence[LogRecord]) -> ResourceLogs:
    made = ResourceLogs()
    made.resource.attributes.extend(pairs({"service.name": service}))
    scope_logs = made.scope_logs.add()
    scope_logs.scope.name = "test"
    scope_logs.log_records.extend(records)
    return made
