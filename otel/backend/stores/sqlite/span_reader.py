"""Reading spans back: a whole trace, one span, or the blocks that the index must learn again. Any thread."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, TracesData

from otel.backend.stores.matching import service_of
from otel.backend.stores.sqlite.block import Block
from otel.backend.stores.sqlite.compression import Compression
from otel.backend.stores.sqlite.names import Names
from otel.backend.stores.sqlite.older_pieces import OlderPieces
from otel.backend.stores.sqlite.span_fields import as_spans_field
from otel.backend.stores.sqlite.trace_blocks import all_blocks

# The blocks that were read last are remembered for all threads, some 60 KiB each: no block ever changes.
MAX_REMEMBERED_BLOCKS = 64

# Resource id, scope id, and the `spans` field of a ScopeSpans.
Frame = tuple[int, int, bytes]


class SpanReader:
    """Unpacks blocks, and the pieces of older files."""

    def __init__(self, names: Names, compression: Compression, older: OlderPieces) -> None:
        self._names = names
        self._compression = compression
        self._older = older
        self._blocks: dict[int, Block] = {}
        self._remembering = threading.Lock()

    def trace(self, connection: sqlite3.Connection, trace_key: int) -> TracesData | None:
        """Return all spans of a trace under their resources and scopes."""
        trace = TracesData()
        resources: dict[int, ResourceSpans] = {}
        scopes: dict[tuple[int, int], ScopeSpans] = {}
        for resource_id, scope_id, spans in self.frames(connection, trace_key):
            scope_spans = scopes.get((resource_id, scope_id))
            if scope_spans is None:
                part = resources.get(resource_id)
                if part is None:
                    part = trace.resource_spans.add()
                    part.MergeFromString(self.origin_body(connection, resource_id))
                    resources[resource_id] = part
                scope_spans = part.scope_spans.add()
                scope_spans.MergeFromString(self.origin_body(connection, scope_id))
                scopes[resource_id, scope_id] = scope_spans
            scope_spans.MergeFromString(spans)
        return trace if trace.resource_spans else None

    def frames(self, connection: sqlite3.Connection, trace_key: int) -> Iterator[Frame]:
        """Yield the spans of a trace in the order of arrival."""
        yield from self._older.frames(connection, trace_key)
        rows = connection.execute(
            "SELECT trace_id, blocks, block_id FROM trace LEFT JOIN trace_block ON trace_key = key WHERE key = ?"
            " ORDER BY block_id",
            (trace_key,),
        ).fetchall()
        if not rows:
            return
        trace_id, blocks, _ = rows[0]
        for block_id in all_blocks((block_id for *_, block_id in rows), blocks):
            block = self.block(connection, block_id)
            if block is not None:
                for resource_id, scope_id, body in block.spans_of(trace_key, trace_id):
                    yield resource_id, scope_id, as_spans_field(body)

    def older_frames(self, connection: sqlite3.Connection, trace_key: int) -> Iterator[Frame]:
        """Yield the spans of a trace that lie in pieces."""
        return self._older.frames(connection, trace_key)

    def block(self, connection: sqlite3.Connection, block_id: int) -> Block | None:
        """Return a block, remembered for the next question; None where it is not committed, or gone.

        What is remembered may have gone since: whether a trace is still there is told by its row.
        """
        found = self._blocks.get(block_id)
        if found is None:
            row = connection.execute("SELECT dictionary_id, body FROM span_block WHERE id = ?", (block_id,)).fetchone()
            if row is None:
                return None
            found = self._compression.unpack(connection, *row)
            with self._remembering:
                if len(self._blocks) >= MAX_REMEMBERED_BLOCKS:
                    del self._blocks[next(iter(self._blocks))]
                self._blocks[block_id] = found
        return found

    def blocks_after(self, connection: sqlite3.Connection, block_id: int) -> Iterator[tuple[int, Block]]:
        """Yield every block past one, with its id."""
        rows = connection.execute(
            "SELECT id, dictionary_id, body FROM span_block WHERE id > ? ORDER BY id", (block_id,)
        )
        for row_id, dictionary_id, body in rows:
            yield row_id, self._compression.unpack(connection, dictionary_id, body)

    def origin_body(self, connection: sqlite3.Connection, origin_id: int) -> bytes:
        """Return a resource or scope as message bytes."""
        origin = self._names.origins.get(origin_id)
        if origin is not None:
            return origin.body
        row = connection.execute("SELECT body FROM origin WHERE id = ?", (origin_id,)).fetchone()
        return bytes(row[0]) if row else b""

    def service(self, connection: sqlite3.Connection, resource_id: int) -> str:
        """Return the service that a resource names."""
        origin = self._names.origins.get(resource_id)
        if origin is not None:
            return origin.service
        return service_of(ResourceSpans.FromString(self.origin_body(connection, resource_id)).resource)
