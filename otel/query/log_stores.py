"""The port that logs are read through, and its adapter for our own log API; opensearch.py has the other one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from otel.analysis.model import AttributeValue, LogRecord
from otel.analysis.otlp_json import log_records_from_otlp_json
from otel.analysis.span_event_logs import each_record_once
from otel.analysis.words import text_matches
from otel.query.http import JsonEndpoint
from otel.query.values import LogPage, LogSearch
from otel.query.wire import log_params, result_of


class LogStore(Protocol):
    """Where log records are kept. Safe to share between threads; every method raises QueryError."""

    @property
    def url(self) -> str:
        """Where it is, as a person would write it; without a password."""

    def page(self, search: LogSearch) -> LogPage | None:
        """Read one page, oldest first; None where no logs are kept apart from the events of spans."""

    def close(self) -> None:
        """Close connections of its own."""


class LabLogs:
    """Our log API at an address of a trace backend, whether it is ours or a Jaeger's, which has none."""

    def __init__(self, endpoint: JsonEndpoint, *, may_lack_it: bool) -> None:
        self._endpoint = endpoint
        self._may_lack_it = may_lack_it

    @property
    def url(self) -> str:
        """The backend's base URL."""
        return self._endpoint.url

    def page(self, search: LogSearch) -> LogPage | None:
        """Ask `/api/lab/logs`; None for a 404, and for the page of a Jaeger that shows it for every unknown path."""
        ask = self._endpoint.get_if_served if self._may_lack_it else self._endpoint.get
        answer = ask("/api/lab/logs", log_params(search))
        if answer is None:
            return None
        records, cursor = log_records_from_otlp_json(result_of(answer)), answer.get("nextCursor")
        return LogPage(tuple(each_record_once(records)), cursor if isinstance(cursor, str) else "")

    def close(self) -> None:
        """Nothing: the connections are those of the backend."""


def matching(records: Iterable[LogRecord], search: LogSearch) -> list[LogRecord]:
    """Those that a search wants, its limit and cursor apart, as our log API picks them."""
    return [record for record in records if _matches(record, search)]


def _matches(record: LogRecord, search: LogSearch) -> bool:
    return (
        (not search.trace_id or record.trace_id == search.trace_id)
        and (not search.span_id or record.span_id == search.span_id)
        and (not search.service_name or record.service_name == search.service_name)
        and record.severity_number >= search.severity_min
        and (search.time_min_unix_nano is None or record.time_unix_nano >= search.time_min_unix_nano)
        and (search.time_max_unix_nano is None or record.time_unix_nano <= search.time_max_unix_nano)
        and (not search.text or text_matches(_text(record), search.text))
    )


def _text(record: LogRecord) -> str:
    values = (record.body, record.event_name, record.severity_text, *record.attributes, *record.attributes.values())
    return "\n".join(map(_text_of, values))


def _text_of(value: AttributeValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
