"""Collects the spans of one transaction into blocks. The writer's thread only."""

from __future__ import annotations

import sqlite3

from otel.backend.stores.sqlite.block import BYTES_PER_BLOCK, SPANS_PER_BLOCK, without_trace_ids, write_block
from otel.backend.stores.sqlite.compression import Compression

# Two packed blocks nearly fill a page of the file: reading one costs one page, and little of the page is wasted.
PACKED_BYTES = 3_750
# So many of a block's last spans may teach a dictionary.
SAMPLED_SPANS = 4


class BlockWriter:
    """Blocks get their ids in order, and none twice, also where a transaction failed or old ones have gone."""

    def __init__(self, compression: Compression) -> None:
        self._compression = compression
        self.next_id = 1
        # How many spans the block still takes; none where the next one begins a block.
        self.room = 0
        self._origin = (0, 0)
        self._bytes_per_block = BYTES_PER_BLOCK
        self._keys: list[int] = []
        self._trace_ids: list[bytes] = []
        self._bodies: list[bytes] = []
        self._size_bytes = 0
        self._runs: list[tuple[tuple[int, int], int]] = []
        self._links: list[tuple[int, int]] = []
        self._rows: list[tuple[int, int, int, int, bytes]] = []

    def load(self, connection: sqlite3.Connection, last_indexed_id: int) -> None:
        """Forget what was not committed and read which id comes next."""
        last_id = connection.execute("SELECT max(id) FROM span_block").fetchone()[0] or 0
        self.next_id = max(self.next_id, last_indexed_id + 1, last_id + 1)
        self._clear()

    def begin_run(self, resource_id: int, scope_id: int) -> None:
        """Say which resource and scope the spans to come have."""
        self._origin = (resource_id, scope_id)
        self._runs.append((self._origin, len(self._keys)))

    def add(self, trace_key: int, trace_id: bytes, body: bytes) -> None:
        """Add a span, as protobuf."""
        if not self._keys:
            self.room = SPANS_PER_BLOCK
        self._keys.append(trace_key)
        self._trace_ids.append(trace_id)
        self._bodies.append(body)
        self._size_bytes += len(body)
        self.room = self.room - 1 if self._size_bytes < self._bytes_per_block else 0

    def end_block(self, connection: sqlite3.Connection) -> None:
        """Pack what was collected since the last one, if anything."""
        if not self._keys:
            return
        self._compression.renew_in_time(connection)
        ends = [begin for _, begin in self._runs[1:]] + [len(self._keys)]
        runs = [(*origin, end - begin) for (origin, begin), end in zip(self._runs, ends, strict=True) if end > begin]
        shorter = without_trace_ids(self._bodies, self._trace_ids)
        bodies = self._bodies if shorter is None else shorter
        content = write_block(self._keys, runs, bodies, has_trace_ids=shorter is None)
        packed = self._compression.pack(content, b"".join(bodies[-SAMPLED_SPANS:]))
        self._bytes_per_block = min(BYTES_PER_BLOCK, PACKED_BYTES * self._size_bytes // len(packed))
        keys = set(self._keys)
        self._links += [(key, self.next_id) for key in keys]
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
        connection.executemany("INSERT INTO trace_block (trace_key, block_id) VALUES (?, ?)", self._links)
        self._clear()

    def _begin(self) -> None:
        self._keys, self._trace_ids, self._bodies, self._size_bytes, self.room = [], [], [], 0, 0

    def _clear(self) -> None:
        self._begin()
        self._runs, self._links, self._rows = [], [], []
