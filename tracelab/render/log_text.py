"""A log record as words: what happened, then its facts."""

from __future__ import annotations

import json
from collections.abc import Iterable

from clients.screen import palette
from clients.screen.glyphs import Glyphs
from clients.screen.text import fit, plain
from otel.analysis.analysis_json import plain_value
from otel.analysis.model import AttributeValue, LogRecord, Span
from otel.analysis.rpc import rpc_facts

MOST_CELLS_OF_A_VALUE = 64
# What joins a record to its trace, or repeats the event, is said elsewhere.
_HIDDEN = frozenset({"log.record.uid", "session.id", "event", "service.name", "trace_id", "span_id"})
_WARN, _ERROR = 13, 17


def record_words(record: LogRecord, glyphs: Glyphs, hidden: Iterable[str] = ()) -> list[str]:
    """Give the event, or the body where there is none, and each fact as `key=value`; foreign text is made safe."""
    skipped = _HIDDEN | set(hidden)
    head = record.event_name or value_text(record.body, glyphs, cells=400)
    words = plain(head, glyphs).split(" ")
    body_repeats = record.body in (None, record.event_name)
    if record.event_name and not body_repeats:
        words.append(value_text(record.body, glyphs))
    for key, value in record.attributes.items():
        if key not in skipped and not key.startswith("code."):
            words.append(f"{plain(key, glyphs)}={value_text(value, glyphs)}")
    return words


def repeated_facts(record: LogRecord, span: Span) -> set[str]:
    """Name the facts of `record` that the row of its span shows already: the method, and the same status code."""
    facts = rpc_facts(span)
    if facts is None:
        return set()
    same_method = str(record.attributes.get("rpc_method", "")).rpartition(".")[2] == facts.short_name
    same_status = record.attributes.get("status_code") == facts.status_code
    return ({"rpc_method"} if same_method else set()) | ({"status_code"} if same_status else set())


def value_text(value: AttributeValue, glyphs: Glyphs, cells: int = MOST_CELLS_OF_A_VALUE) -> str:
    """Print one value short: text as it is, the rest as JSON."""
    text = value if isinstance(value, str) else json.dumps(plain_value(value), ensure_ascii=False)
    return fit(plain(text, glyphs), cells, glyphs)


def severity_mark(record: LogRecord, glyphs: Glyphs) -> str:
    """Give the sign in front of a record, alone never the only hint: warnings and errors also have their word."""
    if record.severity_number >= _ERROR:
        return glyphs.error
    return glyphs.warning if record.severity_number >= _WARN else glyphs.log


def severity_word(record: LogRecord) -> str:
    """Give `ERROR`, `WARN`, … ; "" up to INFO."""
    if record.severity_number < _WARN:
        return ""
    return record.severity_text.upper() or ("ERROR" if record.severity_number >= _ERROR else "WARN")


def severity_style(record: LogRecord) -> str:
    """Give the colour of a record's mark."""
    if record.severity_number >= _ERROR:
        return palette.ERROR
    return palette.WARNING if record.severity_number >= _WARN else ""
