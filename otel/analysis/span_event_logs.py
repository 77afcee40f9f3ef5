"""Log records that travelled as span events, for engines that store no logs, and which record is shown once.

The way back from OpenTelemetry's event-to-span-event bridge: a span event with `log.record.uid` is a log record.
"""

from __future__ import annotations

from collections.abc import Iterable

from otel.analysis.model import LogRecord, Scope, Span, SpanEvent

RECORD_UID = "log.record.uid"
SPAN_EVENT_SCOPE = Scope("tracelab.span_event")
"""The scope of every record that was rebuilt from a span event."""

_SEVERITY_NUMBER, _SEVERITY_TEXT = "log.severity_number", "log.severity_text"
_SEVERITIES = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "WARNING": 13, "ERROR": 17, "FATAL": 21, "CRITICAL": 21}


def record_uid(record: LogRecord) -> str:
    """Give the record's `log.record.uid`, or ""."""
    value = record.attributes.get(RECORD_UID)
    return value if isinstance(value, str) else ""


def is_from_span_event(record: LogRecord) -> bool:
    """Whether `record` was rebuilt from a span event."""
    return record.scope == SPAN_EVENT_SCOPE


def logs_of_span_events(spans: Iterable[Span]) -> list[LogRecord]:
    """Rebuild the log records that are on `spans` as events, oldest first."""
    records = (_record(span, event) for span in spans for event in span.events if RECORD_UID in event.attributes)
    return sorted(records, key=lambda record: record.time_unix_nano)


def each_record_once(records: Iterable[LogRecord]) -> list[LogRecord]:
    """Drop a record whose uid was seen before; a stored record wins over its span event. Oldest first."""
    once: dict[str, LogRecord] = {}
    without_uid: list[LogRecord] = []
    for record in sorted(records, key=lambda record: (is_from_span_event(record), record.time_unix_nano)):
        uid = record_uid(record)
        if uid:
            once.setdefault(uid, record)
        else:
            without_uid.append(record)
    return sorted((*once.values(), *without_uid), key=lambda record: record.time_unix_nano)


def _record(span: Span, event: SpanEvent) -> LogRecord:
    attributes = dict(event.attributes)
    severity_text = str(attributes.pop(_SEVERITY_TEXT, "") or "")
    severity_number = attributes.pop(_SEVERITY_NUMBER, None)
    return LogRecord(
        time_unix_nano=event.time_unix_nano,
        severity_number=severity_number
        if isinstance(severity_number, int)
        else _SEVERITIES.get(severity_text.upper(), 0),
        severity_text=severity_text,
        body=event.name,
        event_name=event.name,
        attributes=attributes,
        trace_id=span.trace_id,
        span_id=span.span_id,
        flags=span.flags & 0xFF,
        resource=span.resource,
        scope=SPAN_EVENT_SCOPE,
    )
