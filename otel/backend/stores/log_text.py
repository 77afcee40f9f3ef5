"""The searchable text of a log record, and its time. Pure, safe in any thread."""

from __future__ import annotations

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel.backend.codec.attribute_text import text_of

# Beyond this a record's text is not searchable; it is still stored and shown whole.
MAX_TEXT_CHARACTERS = 16_384


def searchable_text(record: LogRecord) -> str:
    """Return the body, the event name, the severity text and the attributes as one text."""
    parts = [text_of(record.body), record.event_name, record.severity_text]
    for pair in record.attributes:
        parts.append(pair.key)
        parts.append(text_of(pair.value))
    return "\n".join(part for part in parts if part)[:MAX_TEXT_CHARACTERS]


def record_time(record: LogRecord) -> int:
    """Return when the record was written, or when it was seen where that is not known."""
    return record.time_unix_nano or record.observed_time_unix_nano
