"""Log records as rows: written with their words, searched by time, trace, service, severity and text.

A text that many records have is searched along time instead of by its words, so that the first page never costs more
than a walk over a few thousand rows at a time. Source: sqlite.org/fts5.html.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from otel.analysis.words import words_of
from otel.backend.ports import LogPage, LogPosition, LogSearch
from otel.backend.stores.log_text import record_time, searchable_text
from otel.backend.stores.matching import service_of
from otel.backend.stores.regroup import log_page_entries
from otel.backend.stores.sqlite.log_packing import LogPacking
from otel.backend.stores.sqlite.names import Names

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
# Above so many hits a text is common, and walking along time finds a page sooner than sorting every hit.
COMMON_HITS = 5_000
ROWS_PER_STEP = 2_000
FINGERPRINTS_PER_QUERY = 500
# Splits a page's columns from what only positions it.
PAGE_COLUMNS = "time, id, resource_id, scope_id, record, trace_id, span_id"


@dataclass(frozen=True, slots=True)
class StoredLog:
    """A record with what it was sent under, as `log_page_entries` takes it."""

    record: LogRecord
    resource: Resource
    resource_schema_url: str
    scope: InstrumentationScope
    scope_schema_url: str


def write_logs(
    connection: sqlite3.Connection,
    logs: Iterable[ResourceLogs],
    names: Names,
    packing: LogPacking,
    now_unix_nano: int,
    first_id: int,
) -> tuple[int, int]:
    """Store records inside the caller's transaction, with ids from `first_id` on.

    Returns how many were new and how many were seen before.
    """
    occurrences: Counter[bytes] = Counter()
    records: dict[int, tuple[LogRecord, bytes, tuple[int, int, int]]] = {}
    count = 0
    for part in logs:
        service_id = names.service_id(connection, service_of(part.resource), now_unix_nano)
        resource_id = _resource_id(connection, part, names, now_unix_nano)
        for scope_logs in part.scope_logs:
            scope_id = _scope_id(connection, scope_logs, names, now_unix_nano)
            origin = (service_id, resource_id, scope_id)
            for record in scope_logs.log_records:
                body = record.SerializeToString(deterministic=True)
                content = b"%d %d " % (resource_id, scope_id) + body
                count += 1
                records[_fingerprint(content, occurrences[content])] = (record, body, origin)
                occurrences[content] += 1
    if not count:
        return 0, 0
    for fingerprint in _stored_among(connection, list(records)):
        del records[fingerprint]
    _insert(connection, records, packing, first_id)
    return len(records), count - len(records)


def page_of_logs(connection: sqlite3.Connection, search: LogSearch, names: Names, packing: LogPacking) -> LogPage:
    """List records, oldest first."""
    service_id = names.service_number(search.service) if search.service else None
    if search.service and service_id is None:
        return LogPage()
    words = words_of(search.text)
    if search.text and not words:
        return LogPage()
    rows = _rows(connection, search, service_id, words)
    more = len(rows) > search.limit
    rows = rows[: search.limit]
    origins = _Origins(names)
    stored = [
        origins.stored(resource_id, scope_id, packing.unpack(connection, record, time, trace_id, span_id))
        for time, _, resource_id, scope_id, record, trace_id, span_id in rows
    ]
    position = LogPosition(rows[-1][0], rows[-1][1]) if more else None
    return LogPage(log_page_entries(stored), position)


def delete_logs(connection: sqlite3.Connection, ids: Sequence[int], packing: LogPacking) -> None:
    """Delete records and their words."""
    for row_id in ids:
        row = connection.execute("SELECT record, time, trace_id, span_id FROM log WHERE id = ?", (row_id,)).fetchone()
        text = searchable_text(LogRecord.FromString(packing.unpack(connection, *row)))
        connection.execute("INSERT INTO log_text (log_text, rowid, text) VALUES ('delete', ?, ?)", (row_id, text))
        connection.execute("DELETE FROM log WHERE id = ?", (row_id,))
    if ids:
        packing.drop_unused(connection)


Row = tuple[int, int, int, int, bytes, bytes | None, bytes | None]


def _rows(connection: sqlite3.Connection, search: LogSearch, service_id: int | None, words: list[str]) -> list[Row]:
    where, values = _conditions(search, service_id)
    if not words:
        statement = f"SELECT {PAGE_COLUMNS} FROM log WHERE {where} ORDER BY time, id LIMIT ?"  # noqa: S608
        return connection.execute(statement, (*values, search.limit + 1)).fetchall()
    match = _match(words)
    hits = [
        row[0]
        for row in connection.execute(
            "SELECT rowid FROM log_text WHERE log_text MATCH ? LIMIT ?", (match, COMMON_HITS + 1)
        )
    ]
    if len(hits) <= COMMON_HITS or search.trace_id:
        statement = (
            f"SELECT {PAGE_COLUMNS} FROM log WHERE {where}"  # noqa: S608
            " AND id IN (SELECT rowid FROM log_text WHERE log_text MATCH ?) ORDER BY time, id LIMIT ?"
        )
        return connection.execute(statement, (*values, match, search.limit + 1)).fetchall()
    return list(_walk(connection, search, service_id, match))


def _walk(connection: sqlite3.Connection, search: LogSearch, service_id: int | None, match: str) -> Iterator[Row]:
    """Walk along time and keep what has the text, until a page is full."""
    found = 0
    after = search.after or LogPosition(INT64_MIN, 0)
    while found <= search.limit:
        where, values = _conditions(search, service_id, after)
        statement = f"SELECT {PAGE_COLUMNS} FROM log WHERE {where} ORDER BY time, id LIMIT ?"  # noqa: S608
        rows: list[Row] = connection.execute(statement, (*values, ROWS_PER_STEP)).fetchall()
        if not rows:
            return
        ids = [row[1] for row in rows]
        hits = {
            row[0]
            for row in connection.execute(
                "SELECT rowid FROM log_text WHERE log_text MATCH ? AND rowid BETWEEN ? AND ?",
                (match, min(ids), max(ids)),
            )
        }
        for row in rows:
            if row[1] in hits and found <= search.limit:
                found += 1
                yield row
        after = LogPosition(rows[-1][0], rows[-1][1])


def _conditions(
    search: LogSearch, service_id: int | None, after: LogPosition | None = None
) -> tuple[str, list[object]]:
    parts: list[str] = ["1"]
    values: list[object] = []

    def add(condition: str, *given: object) -> None:
        parts.append(condition)
        values.extend(given)

    if search.trace_id:
        add("trace_id = ?", search.trace_id)
    if search.span_id:
        add("span_id = ?", search.span_id)
    if service_id is not None:
        # The plus keeps the planner on an index that is in order of time.
        add("+service_id = ?", service_id)
    if search.severity_min:
        add("severity >= ?", search.severity_min)
    if search.time_min_unix_nano is not None:
        add("time >= ?", int64(search.time_min_unix_nano))
    if search.time_max_unix_nano is not None:
        add("time <= ?", int64(search.time_max_unix_nano))
    begin = after or search.after
    if begin is not None:
        add("(time, id) > (?, ?)", int64(begin.time_unix_nano), int64(begin.number))
    return " AND ".join(parts), values


def _match(words: Iterable[str]) -> str:
    # Words are letters and digits only; quotes keep FTS5 from reading AND, OR, NOT and NEAR as operators.
    return " ".join(f'"{word}"*' for word in words)


def _stored_among(connection: sqlite3.Connection, fingerprints: list[int]) -> Iterator[int]:
    for begin in range(0, len(fingerprints), FINGERPRINTS_PER_QUERY):
        part = fingerprints[begin : begin + FINGERPRINTS_PER_QUERY]
        marks = ",".join("?" * len(part))
        rows = connection.execute(f"SELECT fingerprint FROM log WHERE fingerprint IN ({marks})", part)  # noqa: S608
        yield from [row[0] for row in rows]


def _insert(
    connection: sqlite3.Connection,
    records: Mapping[int, tuple[LogRecord, bytes, tuple[int, int, int]]],
    packing: LogPacking,
    first_id: int,
) -> None:
    connection.executemany(
        "INSERT INTO log (arrival, id, fingerprint, time, trace_id, span_id, service_id, severity, resource_id,"
        " scope_id, record) VALUES (0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                row_id,
                fingerprint,
                min(record_time(record), INT64_MAX),
                record.trace_id or None,
                record.span_id or None,
                origin[0],
                record.severity_number,
                origin[1],
                origin[2],
                packing.pack(connection, body, record.trace_id, record.span_id),
            )
            for row_id, (fingerprint, (record, body, origin)) in enumerate(records.items(), first_id)
        ],
    )
    texts = [(row_id, searchable_text(record)) for row_id, (record, _, _) in enumerate(records.values(), first_id)]
    connection.executemany("INSERT INTO log_text (rowid, text) VALUES (?, ?)", texts)


def _fingerprint(content: bytes, occurrence: int) -> int:
    """Return 63 bits that tell a record from every other; equal ones of one batch differ by their number."""
    digest = hashlib.blake2b(content, digest_size=8, salt=occurrence.to_bytes(16, "little")).digest()
    return int.from_bytes(digest, "little", signed=True)


def _resource_id(connection: sqlite3.Connection, part: ResourceLogs, names: Names, now_unix_nano: int) -> int:
    body = ResourceSpans(resource=part.resource, schema_url=part.schema_url).SerializeToString(deterministic=True)
    return names.origin_id(connection, body, is_scope=False, now_unix_nano=now_unix_nano)


def _scope_id(connection: sqlite3.Connection, part: ScopeLogs, names: Names, now_unix_nano: int) -> int:
    body = ScopeSpans(scope=part.scope, schema_url=part.schema_url).SerializeToString(deterministic=True)
    return names.origin_id(connection, body, is_scope=True, now_unix_nano=now_unix_nano)


def int64(number: int) -> int:
    """Return the nearest number that SQLite can compare with."""
    return max(INT64_MIN, min(number, INT64_MAX))


class _Origins:
    """Resources and scopes of a page, parsed once each."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._resources: dict[int, ResourceSpans] = {}
        self._scopes: dict[int, ScopeSpans] = {}

    def stored(self, resource_id: int, scope_id: int, record: bytes) -> StoredLog:
        if resource_id not in self._resources:
            self._resources[resource_id] = ResourceSpans.FromString(self._body(resource_id))
        if scope_id not in self._scopes:
            self._scopes[scope_id] = ScopeSpans.FromString(self._body(scope_id))
        resource, scope = self._resources[resource_id], self._scopes[scope_id]
        return StoredLog(
            LogRecord.FromString(record), resource.resource, resource.schema_url, scope.scope, scope.schema_url
        )

    def _body(self, origin_id: int) -> bytes:
        origin = self._names.origins.get(origin_id)
        return origin.body if origin else b""
