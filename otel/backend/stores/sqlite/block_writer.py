"""Collects the spans of one transaction into blocks. The writer's thread only."""

from __future__ import annotations

import sqlite3
from typing import Protocol

from otel.backend.stores.sqlite.block import BYTES_PER_BLOCK, SPANS_PER_BLOCK, without_trace_ids, write_block
from otel.backend.stores.sqlite.compression import Compression

# Two packed blocks nearly fill a page of the file: reading one costs one page, and little of the page is wasted.
PACKED_BYTES = 3_750
# So many of a block's last spans may teach a dictionary.
SAMPLED_SPANS = 4


class BlockTrace(Protocol):
    """A trace that learns which blocks have its spans."""

    @property
    def key(self) -> int:
        """The key of its row."""

    @property
    def trace_id(self) -> bytes:
        """Its id."""

    def note_block(self, block_id: int) -> None:
        """Note one more block; called once for each, in order."""


class BlockWriter:
    """Blocks get their ids in order, and none twice, also where a transaction failed or old ones have gone."""

    def __init__(self, compression: Compression) -> None:
        self._compression = compression
        self.next_id = 1
        # How many spans the block still takes; none where the next one begins a block.
        self.room = 0
        self._origin = (0, 0)
        self._bytes_per_block = BYTES_PER_BLOCK
        self._traces: list[BlockTrace] = []
        self._bodies: list[bytes] = []
        self._size_bytes = 0
        self._runs: list[tuple[tuple[int, int], int]] = []
        self._rows: list[tuple[int, int, int, int, bytes]] = []

    def load(self, connection: sqlite3.Connection, last_indexed_id: int) -> None:
        """Forget what was not committed and read which id comes next."""
        last_id = connection.execute("SELECT max(id) FROM span_block").fetchone()[0] or 0
        self.next_id = max(self.next_id, last_indexed_id + 1, last_id + 1)
        self._clear()

    def begin_run(self, resource_id: int, scope_id: int) -> None:
        """Say which resource and scope the spans to come have."""
        self._origin = (resource_id, scope_id)
        self._runs.append((self._origin, len(self._traces)))

    def add(self, trace: BlockTrace, body: bytes) -> None:
        """Add a span, as protobuf."""
        if not self._traces:
            self.room = SPANS_PER_BLOCK
        self._traces.append(trace)
        self._bodies.append(body)
        self._size_bytes += len(body)
        self.room = self.room - 1 if self._size_bytes < self._bytes_per_block else 0

    def end_block(self, connection: sqlite3.Connection) -> None:
        """Pack what was collected since the last one, if anything."""
        if not self._traces:
            return
        self._compression.renew_in_time(connection)
        ends = [begin for _, begin in self._runs[1:]] + [len(self._traces)]
        runs = [(*origin, end - begin) for (origin, begin), end in zip(self._runs, ends, strict=True) if end > begin]
        shorter = without_trace_ids(self._bodies, [trace.trace_id for trace in self._traces])
        bodies = self._bodies if shorter is None else shorter
        keys = [trace.key for trace in self._traces]
        content = write_block(keys, runs, bodies, has_trace_ids=shorter is None)
        packed = self._compression.pack(content, b"".join(bodies[-SAMPLED_SPANS:]))
        self._bytes_per_block = min(BYTES_PER_BLOCK, PACKED_BYTES * self._size_bytes // len(packed))
        for trace in set(self._traces):
            trace.note_block(self.next_id)
        self._rows.append((self.next_id, min(keys), max(keys), self._compression.dictionary_id, packed))
        self.next_id += 1
        self._begin()
        self._runs = [(self._origin, 0)]

    def finish(self, connection: sqlite3.Connection) -> None:
        """Write every block of the transaction."""
        self.end_block(connection)
        connection.executemany(
            "INSERT INTO span_block (id, min_trace_key, max_trace_key, dictionary_id, body) VALUES (?, ?, ?, ?, ?)",
            self._rows,
        )
        self._clear()

    def _begin(self) -> None:
        self._traces, self._bodies, self._size_bytes, self.room = [], [], 0, 0

    def _clear(self) -> None:
        self._begin()
        self._runs, self._rows = [], []
