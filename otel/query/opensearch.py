"""Logs in OpenSearch, as a Collector puts them there: each document is an OTLP/JSON request, with a batch of records.

So a document is found by what any of its records has, and which of them are meant is decided here. Fields and how they
are indexed: otel/scale/opensearch-index.json.
"""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from otel.analysis.model import LogRecord
from otel.analysis.otlp_json import log_records_from_otlp_json
from otel.analysis.span_event_logs import each_record_once
from otel.analysis.words import words_of
from otel.query.errors import NoLogStoreError, UnreadableAnswerError
from otel.query.http import JsonEndpoint, Words, make_client
from otel.query.log_stores import matching
from otel.query.values import LogPage, LogSearch
from otel.query.wire import padded_trace_id

SCHEME_PREFIX: Final = "opensearch+"
DOCUMENTS_AT_ONCE: Final = 100
_RECORD: Final = "resourceLogs.scopeLogs.logRecords"
_TIME: Final = f"{_RECORD}.timeUnixNano"
_SERVICE: Final = "resourceLogs.resource.attributes.value.stringValue"
_VALUES: Final = ("stringValue", "intValue", "doubleValue", "boolValue")
_TRACE, _SPAN, _SEVERITY = f"{_RECORD}.traceId", f"{_RECORD}.spanId", f"{_RECORD}.severityNumber"
_TEXT_FIELDS: Final = (
    f"{_RECORD}.body.stringValue",
    f"{_RECORD}.eventName",
    f"{_RECORD}.severityText",
    f"{_RECORD}.attributes.key",
    *(f"{_RECORD}.attributes.value.{kind}" for kind in _VALUES),
)
FIELDS: Final = (_TIME, _SERVICE, _TRACE, _SPAN, _SEVERITY, *_TEXT_FIELDS)
"""What is asked of documents by name: the index has these fields and no others."""
_NAMING_HINT: Final = "LAB_LOGS_URL names the log store, such as opensearch+http://127.0.0.1:9200/otlp-logs"
_WORDS: Final = Words("log store", "OpenSearch", _NAMING_HINT)


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a page ended: so many records of this time have been given. Written as a cursor of ours."""

    time_unix_nano: int
    given_count: int

    @classmethod
    def from_cursor(cls, cursor: str) -> _Position | None:
        """Read a cursor; None for "", ValueError for what is none."""
        if not cursor:
            return None
        time_unix_nano, _, given_count = cursor.partition(".")
        return cls(int(time_unix_nano), int(given_count))

    def __str__(self) -> str:
        return f"{self.time_unix_nano}.{self.given_count}"


@dataclass(frozen=True, slots=True)
class _Document:
    """A request of OTLP/JSON, and its place among all: the time of its first record, then the order of coming."""

    request: dict[str, Any]
    sort: list[int]


@dataclass
class _Reading:
    """The records of the documents read so far that a search wants, and up to which time no more can come."""

    records: list[LogRecord] = field(default_factory=list)
    complete_before: int | None = None

    def settled(self, after: _Position | None) -> list[LogRecord]:
        """Those that no document still to be read can come between, oldest first, less those given before."""
        until = self.complete_before
        known = [record for record in self.records if until is None or record.time_unix_nano < until]
        known.sort(key=lambda record: record.time_unix_nano)
        if after is None:
            return known
        at_once = [record for record in known if record.time_unix_nano == after.time_unix_nano]
        later = [record for record in known if record.time_unix_nano > after.time_unix_nano]
        return [*at_once[after.given_count :], *later]


class OpenSearchLogs:
    """An index, or an alias of several, at `opensearch+http://HOST:PORT/NAME`, or by https, with a user or without.

    Safe to share between threads; close it.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float = 10.0,
        transport: httpx.BaseTransport | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        address = httpx.URL(url.removeprefix(SCHEME_PREFIX))
        bare = str(address.copy_with(userinfo=b""))  # what is shown has no password
        self._client = make_client(bare, timeout_s, transport, tls=tls)
        if address.userinfo:
            self._client.auth = (address.username, address.password)
        self._endpoint = JsonEndpoint(bare, self._client, _NAMING_HINT, _WORDS)
        # Copies of a shard show a new document at their own times: who changed between them could see it, then not.
        self._search_path = f"/_search?preference=reader-{secrets.token_hex(4)}"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @property
    def url(self) -> str:
        """Where the index is."""
        return self._endpoint.url

    def page(self, search: LogSearch) -> LogPage:
        """Read one page, oldest first; NoLogStoreError where there is no such index.

        Records without a time of their own are found by their trace, not in the order of time.
        """
        try:
            after = _Position.from_cursor(search.cursor)
        except ValueError:
            raise UnreadableAnswerError(f"{search.cursor!r} is no cursor of this log store") from None
        if search.text and not words_of(search.text):
            return LogPage(())
        reading, settled = _Reading(), []
        for documents in self._documents(search, after):
            found = (log_records_from_otlp_json(it.request) for it in documents)
            reading.records += [record for records in found for record in matching(records, search)]
            is_last = len(documents) < DOCUMENTS_AT_ONCE
            reading.complete_before = None if is_last else documents[-1].sort[0]
            settled = reading.settled(after)
            if len(settled) > search.limit:
                break
        page = settled[: search.limit]
        cursor = str(_end_of(page, after)) if len(settled) > search.limit else ""
        return LogPage(tuple(each_record_once(page)), cursor)

    def _documents(self, search: LogSearch, after: _Position | None) -> Iterator[list[_Document]]:
        """Read the documents that may hold what is wanted, by the time of their first record, some at once."""
        asked = _question(search, after)
        while True:
            answer = self._endpoint.post(self._search_path, asked)
            if answer is None:
                raise NoLogStoreError(f"there is no index at {self.url}", _NAMING_HINT)
            try:
                hits = [_Document(it["_source"], it["sort"]) for it in answer["hits"]["hits"]]
            except (KeyError, TypeError) as error:
                raise self._endpoint.unreadable(str(error)) from error
            yield hits
            if len(hits) < DOCUMENTS_AT_ONCE:
                return
            asked["search_after"] = hits[-1].sort


def _question(search: LogSearch, after: _Position | None) -> dict[str, Any]:
    """Write a search as OpenSearch's query of documents: each condition holds for some record, not yet all for one."""
    since, until = max(search.time_min_unix_nano or 0, after.time_unix_nano if after else 0), search.time_max_unix_nano
    times = {**({"gte": since} if since else {}), **({"lte": until} if until is not None else {})}
    conditions: list[dict[str, Any]] = [_contains(word) for word in words_of(search.text)]
    if search.trace_id:
        conditions.append({"term": {_TRACE: padded_trace_id(search.trace_id)}})
    if search.span_id:
        conditions.append({"term": {_SPAN: search.span_id}})
    if search.service_name:
        conditions.append({"term": {_SERVICE: search.service_name}})
    if search.severity_min:
        conditions.append({"range": {_SEVERITY: {"gte": search.severity_min}}})
    if times:
        conditions.append({"range": {_TIME: times}})
    return {
        "size": DOCUMENTS_AT_ONCE,
        "query": {"bool": {"filter": conditions}},
        # Of documents that begin at the same time the one that came first is first.
        "sort": [{_TIME: {"order": "asc", "mode": "min"}}, {"_seq_no": "asc"}],
    }


def _contains(word: str) -> dict[str, Any]:
    wanted = {"value": f"*{word}*", "case_insensitive": True}
    return {"bool": {"should": [{"wildcard": {name: wanted}} for name in _TEXT_FIELDS], "minimum_should_match": 1}}


def _end_of(page: list[LogRecord], after: _Position | None) -> _Position:
    last = page[-1].time_unix_nano
    given = sum(record.time_unix_nano == last for record in page)
    return _Position(last, given + (after.given_count if after and after.time_unix_nano == last else 0))
