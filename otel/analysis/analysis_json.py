"""What is known about a trace, as JSON: the one body that the page, exports and `--json` show.

Nanoseconds and 64-bit integers are strings, ids hex; the second of different spans that were sent under one id is
`ID_1`, and a log record names that of its service. Times are after clock skew was corrected; `clockSkew.shifts` says by
how much each span, and the log records in it, were moved. A span without a time has `hasTime` false and no length.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from otel.analysis.attempts import retried_calls
from otel.analysis.model import Attributes, AttributeValue, LogRecord, Span, SpanKind, Trace
from otel.analysis.operations import operation_rows
from otel.analysis.otlp_json import JsonObject
from otel.analysis.reading import TraceReading
from otel.analysis.rpc import error_type, operation, rpc_facts
from otel.analysis.sequence import sequence_of
from otel.analysis.span_event_logs import is_from_span_event, record_uid
from otel.analysis.summary import summary_sentence

_LARGEST_EXACT_INTEGER = 2**53 - 1
"""What a JavaScript number can hold."""


def analysis_to_json(trace: Trace, logs: Iterable[LogRecord] = ()) -> JsonObject:
    """Analyse `trace` with its `logs`. Any forest gives an answer, an empty one too."""
    return reading_to_json(TraceReading(trace, tuple(logs)))


def reading_to_json(reading: TraceReading) -> JsonObject:
    """Do as `analysis_to_json` does, for a trace that is already read."""
    root = reading.root
    spans = reading.forest.spans
    duration_ns = reading.end_time_unix_nano - reading.start_time_unix_nano
    return {
        "traceId": reading.trace.trace_id,
        "rootSpanId": root.span_id if root else "",
        "rootServiceName": root.service_name if root else "",
        "rootOperation": operation(root) if root else "",
        "startTimeUnixNano": str(reading.start_time_unix_nano),
        "endTimeUnixNano": str(reading.end_time_unix_nano),
        "durationNano": str(duration_ns),
        "spanCount": len(spans),
        "errorSpanCount": sum(span.is_error for span in spans),
        "logCount": len(reading.logs),
        "services": list(reading.services),
        "orphanSpanIds": [span.span_id for span in reading.forest.orphans_outside_circles],
        "circleSpanIds": [span.span_id for span in reading.forest.circles],
        "summary": summary_sentence(reading),
        "clockSkew": {
            "shifts": [
                {"spanId": span_id, "shiftNano": str(shift)} for span_id, shift in reading.skew.shifts_ns.items()
            ],
            "note": reading.skew.note,
        },
        "spans": _spans(reading),
        "criticalPath": [
            {
                "spanId": step.span.span_id,
                "startTimeUnixNano": str(step.start_time_unix_nano),
                "endTimeUnixNano": str(step.end_time_unix_nano),
                "durationNano": str(step.duration_ns),
                "label": reading.step_label(step),
            }
            for step in reading.path.steps
        ],
        "calls": _calls(reading),
        "operations": _operations(reading),
        "sequence": _sequence(reading),
        "logs": [
            log_to_json(record) | _own_span(reading, record)
            for record in sorted(reading.logs, key=lambda record: record.time_unix_nano)
        ],
    }


def attributes_as_pairs(attributes: Attributes) -> list[JsonObject]:
    """Write attributes as a list of `key` and plain `value`."""
    return [{"key": key, "value": plain_value(value)} for key, value in attributes.items()]


def plain_value(value: AttributeValue) -> Any:
    """Write one value as plain JSON; integers that JavaScript would round are strings, bytes base64."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_EXACT_INTEGER else str(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has no NaN and no infinity
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, tuple):
        return [plain_value(item) for item in value]
    return {key: plain_value(item) for key, item in value.items()}


def _spans(reading: TraceReading) -> list[JsonObject]:
    segments: dict[str, list[JsonObject]] = {}
    for step in reading.path.steps:
        segment = {"startTimeUnixNano": str(step.start_time_unix_nano), "endTimeUnixNano": str(step.end_time_unix_nano)}
        segments.setdefault(step.span.span_id, []).append(segment)
    orphan_ids = {span.span_id for span in reading.forest.orphans_outside_circles}
    circle_ids = {span.span_id for span in reading.forest.circles}
    return [
        _span(reading, span, depth)
        | {
            "isOrphan": span.span_id in orphan_ids,
            "opensCircle": span.span_id in circle_ids,
            "criticalSegments": segments.get(span.span_id, []),
        }
        for span, depth in reading.forest.depth_first()
    ]


def _span(reading: TraceReading, span: Span, depth: int) -> JsonObject:
    facts = rpc_facts(span)
    return {
        "spanId": span.span_id,
        "parentSpanId": span.parent_span_id,
        "depth": depth,
        "childSpanIds": [child.span_id for child in reading.forest.children_of(span)],
        "serviceName": span.service_name,
        "operation": operation(span),
        "name": span.name,
        "kind": span.kind.name.lower(),
        "rpcStatusCode": facts.status_code if facts else "",
        "rpcCutShort": facts.cut_short if facts else False,
        "error": span.is_error,
        "errorType": error_type(span),
        "statusMessage": span.status_message,
        "startTimeUnixNano": str(span.start_time_unix_nano),
        "endTimeUnixNano": str(span.end_time_unix_nano),
        "hasTime": span.has_time,
        "offsetNano": str(span.start_time_unix_nano - reading.start_time_unix_nano if span.has_time else 0),
        "durationNano": str(span.duration_ns),
        "selfTimeNano": str(reading.self_time_ns[span.span_id]),
        "criticalTimeNano": str(reading.critical_time_ns.get(span.span_id, 0)),
        "slackNano": _text_or_none(reading.path.slack_ns.get(span.span_id)),
        "outlivesParentByNano": _text_or_none(reading.path.outlives_parent_ns.get(span.span_id)),
        "timeoutS": facts.timeout_s if facts else None,
        "timeRemainingS": _time_remaining_s(reading, span),
        "previousAttempts": facts.previous_attempts if facts else None,
        "sentMessageCount": facts.sent_message_count if facts else None,
        "receivedMessageCount": facts.received_message_count if facts else None,
        "attributes": attributes_as_pairs(span.attributes),
        "events": [
            {
                "name": event.name,
                "timeUnixNano": str(event.time_unix_nano),
                "attributes": attributes_as_pairs(event.attributes),
            }
            for event in sorted(span.events, key=lambda event: event.time_unix_nano)
        ],
        "links": [
            {"traceId": link.trace_id, "spanId": link.span_id, "attributes": attributes_as_pairs(link.attributes)}
            for link in span.links
        ],
        "resourceAttributes": attributes_as_pairs(span.resource.attributes),
        "scopeName": span.scope.name,
    }


def _time_remaining_s(reading: TraceReading, span: Span) -> float | None:
    """What was left of the deadline on arrival, in seconds, and never more than the caller gave.

    gRPC rounds a timeout up when it sends it; the span's attributes have the number that arrived.
    """
    facts = rpc_facts(span)
    if facts is None or facts.time_remaining_s is None:
        return None
    caller = reading.forest.parent_of(span)
    given = rpc_facts(caller) if caller and caller.kind is SpanKind.CLIENT else None
    if given is None or given.timeout_s is None:
        return facts.time_remaining_s
    return min(facts.time_remaining_s, given.timeout_s)


def _calls(reading: TraceReading) -> list[JsonObject]:
    return [
        {
            "clientSpanId": call.client_span.span_id,
            "attempts": [
                {"spanId": attempt.server_span.span_id, "number": attempt.number, "waitNano": str(attempt.wait_ns)}
                for attempt in call.attempts
            ],
        }
        for call in retried_calls(reading.forest)
    ]


def _operations(reading: TraceReading) -> list[JsonObject]:
    return [
        {
            "serviceName": row.key.service_name,
            "operation": row.key.operation,
            "kind": row.key.kind.name.lower(),
            "count": row.count,
            "errorCount": row.error_count,
            "durationNano": str(row.duration_ns),
            "selfTimeNano": str(row.self_time_ns),
            "criticalTimeNano": str(row.critical_time_ns),
        }
        for row in operation_rows(reading)
    ]


def _sequence(reading: TraceReading) -> JsonObject:
    sequence = sequence_of(reading)
    return {
        "participants": list(sequence.participants),
        "steps": [
            {
                "kind": step.kind.value,
                "fromService": step.from_service,
                "toService": step.to_service,
                "timeUnixNano": str(step.time_unix_nano),
                "label": step.label,
                "spanId": step.span_id,
                "error": step.is_error,
            }
            for step in sequence.steps
        ],
    }


def log_to_json(record: LogRecord) -> JsonObject:
    """Write one log record as the analysis lists it."""
    return {
        "timeUnixNano": str(record.time_unix_nano),
        "severityNumber": record.severity_number,
        "severityText": record.severity_text,
        "body": plain_value(record.body),
        "eventName": record.event_name,
        "attributes": attributes_as_pairs(record.attributes),
        "serviceName": record.service_name,
        "traceId": record.trace_id,
        "spanId": record.span_id,
        "uid": record_uid(record),
        "fromSpanEvent": is_from_span_event(record),
    }


def _own_span(reading: TraceReading, record: LogRecord) -> JsonObject:
    span = reading.forest.span_of(record)
    return {"spanId": span.span_id} if span else {}


def _text_or_none(value: int | None) -> str | None:
    return None if value is None else str(value)
