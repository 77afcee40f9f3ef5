"""The searchable text of a log record, and what a person's words mean in it. Pure, safe in any thread."""

from __future__ import annotations

import re

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel.backend.codec.attribute_text import text_of

# Beyond this a record's text is not searchable; it is still stored and shown whole.
MAX_TEXT_CHARACTERS = 16_384
WORD = re.compile(r"[^\W_]+", re.UNICODE)


def searchable_text(record: LogRecord) -> str:
    """Return the body, the event name, the severity text and the attributes as one text."""
    parts = [text_of(record.body), record.event_name, record.severity_text]
    for pair in record.attributes:
        parts.append(pair.key)
        parts.append(text_of(pair.value))
    return "\n".join(part for part in parts if part)[:MAX_TEXT_CHARACTERS]


def words_of(text: str) -> list[str]:
    """Split text into the words that are compared: runs of letters and digits, folded to lower case."""
    return [word.lower() for word in WORD.findall(text)]


def text_matches(text: str, query: str) -> bool:
    """Say whether each word of `query` begins some word of `text`; a query without any word finds nothing."""
    wanted_words = words_of(query)
    words = words_of(text)
    return bool(wanted_words) and all(any(word.startswith(wanted) for word in words) for wanted in wanted_words)


def record_time(record: LogRecord) -> int:
    """Return when the record was written, or when it was seen where that is not known."""
    return record.time_unix_nano or record.observed_time_unix_nano
