"""The row of a trace while it grows: what is known of its spans, and how that is read and written.

States of the traces that were written last are kept, so that the next piece of a trace needs no reading. The writer's
thread only.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable

from otel.backend.codec.varint import varint
from otel.backend.ports import ServiceCount, TraceSummary
from otel.backend.stores.sqlite.names import Names
from otel.backend.stores.sqlite.span_fields import spans_in
from otel.backend.stores.sqlite.span_reader import SpanReader
from otel.backend.stores.sqlite.trace_blocks import MAX_BYTES_IN_ROW, read_blocks
from otel.backend.stores.sqlite.trace_services import read_services, write_services

# Spans whose identities are remembered over all traces: about 10 MiB.
MAX_REMEMBERED_SPANS = 40_000
IDS_PER_QUERY = 500
INT64_MAX = 2**63 - 1
# A trace's id stays as it is.
ROW_CONSTANTS = 1
SUMMARY_COLUMNS = "trace_id, root_operation_id, min_start, max_end, span_count, error_count, orphan_count, services"


class TraceState:
    """One trace as its row has it, and the identities of its spans."""

    __slots__ = (
        "blocks",
        "error_count",
        "is_stored",
        "key",
        "last_block_id",
        "max_end",
        "min_start",
        "missing",
        "namesakes",
        "root_operation_id",
        "root_start",
        "services",
        "span_count",
        "span_ids",
        "trace_id",
    )

    def __init__(self, key: int, trace_id: bytes) -> None:
        self.key = key
        self.trace_id = trace_id
        self.is_stored = False
        self.min_start = INT64_MAX
        self.max_end = 0
        self.span_count = 0
        self.error_count = 0
        self.root_start: int | None = None
        self.root_operation_id: int | None = None
        self.services: dict[int, list[int]] = {}
        self.blocks = b""
        self.last_block_id = 0
        # Each span by its id, with a check of its start and name; further ones of the same id are namesakes.
        self.span_ids: dict[bytes, int] = {}
        self.namesakes: set[tuple[bytes, int]] = set()
        self.missing: dict[bytes, int] = {}

    def add_identity(self, span_id: bytes, parent_id: bytes, check: int) -> bool:
        """Note a span's place in the tree; False where it is there already. `check` stands for its start and name."""
        span_ids = self.span_ids
        known = span_ids.get(span_id)
        if known is None:
            span_ids[span_id] = check
            if self.missing:
                self.missing.pop(span_id, None)
        elif known == check or (span_id, check) in self.namesakes:
            return False
        else:
            self.namesakes.add((span_id, check))
        if parent_id and parent_id not in span_ids:
            self.missing[parent_id] = self.missing.get(parent_id, 0) + 1
        return True

    def count(self, start: int, end: int, is_error: bool, service_id: int, root_operation_id: int | None) -> None:
        """Count one span in; the operation is None for a span with a parent."""
        self.span_count += 1
        if not start or not end:  # a time of 0 was never set, and would make the trace begin in 1970
            start, end = INT64_MAX, 0
        if start < self.min_start:
            self.min_start = start
        if end > self.max_end:
            self.max_end = end
        if root_operation_id is not None and (self.root_start is None or start < self.root_start):
            self.root_start = start
            self.root_operation_id = root_operation_id
        counts = self.services.get(service_id)
        if counts is None:
            counts = self.services[service_id] = [0, 0]
        counts[0] += 1
        if is_error:
            counts[1] += 1
            self.error_count += 1

    def note_block(self, block_id: int) -> None:
        """Note that a block has spans of it."""
        self.blocks += varint(block_id - self.last_block_id)
        self.last_block_id = block_id

    def row(self) -> tuple[object, ...]:
        """Return the values of the trace's row, first those that a trace keeps as it grows, key last."""
        root_start, missing = self.root_start, self.missing
        return (
            self.trace_id,
            self.min_start if self.min_start < INT64_MAX else 0,
            self.max_end if self.max_end < INT64_MAX else INT64_MAX,
            self.span_count,
            self.error_count,
            sum(missing.values()) if missing else 0,
            # A root is nearly always what began first: 0, which takes no room, says so.
            0 if root_start == self.min_start else root_start and min(root_start, INT64_MAX),
            self.root_operation_id,
            write_services(self.services),
            self.blocks,
            self.key,
        )


class TraceStates:
    """The states of traces, by trace id; the least recently used are forgotten past a bound."""

    def __init__(self, reader: SpanReader) -> None:
        self._reader = reader
        self._states: OrderedDict[bytes, TraceState] = OrderedDict()
        self.next_key = 1
        self._remembered_spans = 0

    def load(self, connection: sqlite3.Connection, highest_known_key: int) -> None:
        """Forget every state and find which key comes next."""
        self._states.clear()
        self._remembered_spans = 0
        highest = connection.execute("SELECT max(key) FROM trace").fetchone()[0] or 0
        # Keys of traces that expired must not come again: the index and the batches may still name them.
        self.next_key = max(self.next_key, highest + 1, highest_known_key + 1)

    def prepare(self, connection: sqlite3.Connection, trace_ids: Iterable[bytes]) -> None:
        """Make `of` know these traces: most are new, and one question for all costs less than one for each."""
        unknown = [trace_id for trace_id in trace_ids if trace_id not in self._states]
        stored: set[bytes] = set()
        for begin in range(0, len(unknown), IDS_PER_QUERY):
            part = unknown[begin : begin + IDS_PER_QUERY]
            marks = ",".join("?" * len(part))
            rows = connection.execute(f"SELECT trace_id FROM trace WHERE trace_id IN ({marks})", part)  # noqa: S608
            stored.update([row[0] for row in rows])
        for trace_id in unknown:
            if trace_id not in stored:
                self._states[trace_id] = TraceState(self.next_key, trace_id)
                self.next_key += 1

    def of(self, connection: sqlite3.Connection, trace_id: bytes) -> TraceState:
        """Return the state of a trace that was prepared, reading it where it is stored."""
        state = self._states.get(trace_id)
        if state is not None:
            self._states.move_to_end(trace_id)
            return state
        state = self._states[trace_id] = self._stored(connection, trace_id)
        self._remembered_spans += state.span_count
        return state

    def forget(self, trace_ids: Iterable[bytes]) -> None:
        """Forget traces that expired."""
        for trace_id in trace_ids:
            state = self._states.pop(trace_id, None)
            if state is not None:
                self._remembered_spans -= state.span_count

    def write(self, connection: sqlite3.Connection, touched: Iterable[TraceState], added_spans: int) -> None:
        """Write the rows of traces that grew, then forget the oldest states past the bound."""
        new: list[tuple[object, ...]] = []
        known: list[tuple[object, ...]] = []
        links: list[tuple[int, int]] = []
        for state in touched:
            if len(state.blocks) > MAX_BYTES_IN_ROW:
                links += [(state.key, block_id) for block_id in read_blocks(state.blocks)]
                state.blocks, state.last_block_id = b"", 0
            if state.is_stored:
                known.append(state.row()[ROW_CONSTANTS:])
            else:
                new.append(state.row())
                state.is_stored = True
        connection.executemany(
            "INSERT INTO trace (arrival, trace_id, min_start, max_end, span_count, error_count, orphan_count,"
            " root_start, root_operation_id, services, blocks, key) VALUES (0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            new,
        )
        connection.executemany(
            "UPDATE trace SET min_start = ?, max_end = ?, span_count = ?, error_count = ?, orphan_count = ?,"
            " root_start = ?, root_operation_id = ?, services = ?, blocks = ? WHERE key = ?",
            known,
        )
        connection.executemany("INSERT INTO trace_block (trace_key, block_id) VALUES (?, ?)", links)
        self._remembered_spans += added_spans
        while self._remembered_spans > MAX_REMEMBERED_SPANS and len(self._states) > 1:
            _, state = self._states.popitem(last=False)
            self._remembered_spans -= state.span_count

    def _stored(self, connection: sqlite3.Connection, trace_id: bytes) -> TraceState:
        row = connection.execute(
            "SELECT key, min_start, max_end, span_count, error_count, root_start, root_operation_id, services,"
            " blocks FROM trace WHERE trace_id = ?",
            (trace_id,),
        ).fetchone()
        state = TraceState(row[0], trace_id)
        state.is_stored = True
        state.min_start, state.max_end, state.span_count, state.error_count = row[1:5]
        state.min_start = state.min_start or INT64_MAX
        state.root_start, state.root_operation_id = row[5:7]
        if state.root_start == 0:
            state.root_start = state.min_start
        for service_id, spans, errors in read_services(row[7]):
            state.services[service_id] = [spans, errors]
        state.blocks = row[8]
        state.last_block_id = max(read_blocks(state.blocks), default=0)
        for _, _, frame in self._reader.frames(connection, state.key):
            for span in spans_in(frame):
                state.add_identity(span.span_id, span.parent_span_id, hash((span.start_time_unix_nano, span.name)))
        return state


def summary_of(row: tuple[object, ...], names: Names) -> TraceSummary:
    """Make a summary of a row of SUMMARY_COLUMNS."""
    trace_id, root_operation_id, min_start, max_end, span_count, error_count, orphan_count, services = row
    assert isinstance(services, bytes)
    assert isinstance(trace_id, bytes)
    root = names.operations.get(root_operation_id) if isinstance(root_operation_id, int) else None
    counts = [
        ServiceCount(names.service_names.get(service_id, ""), spans, errors)
        for service_id, spans, errors in read_services(services)
    ]
    return TraceSummary(
        trace_id=trace_id,
        root_service=root.service if root else "",
        root_operation=(root.name or "") if root else "",
        min_start_unix_nano=_integer(min_start),
        max_end_unix_nano=_integer(max_end),
        span_count=_integer(span_count),
        error_span_count=_integer(error_count),
        orphan_span_count=_integer(orphan_count),
        services=tuple(sorted(counts, key=lambda each: each.name)),
    )


def _integer(value: object) -> int:
    assert isinstance(value, int)
    return value
