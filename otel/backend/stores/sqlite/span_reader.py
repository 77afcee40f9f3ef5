"""Reading spans back from their pieces: a whole trace, or those that the index must learn again. Any thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, TracesData

from otel.backend.stores.sqlite.compression import Compression
from otel.backend.stores.sqlite.names import Names
from otel.backend.stores.sqlite.span_blobs import unpack


class SpanReader:
    """Unpacks pieces."""

    def __init__(self, names: Names, compression: Compression) -> None:
        self._names = names
        self._compression = compression

    def trace(self, connection: sqlite3.Connection, trace_key: int) -> TracesData | None:
        """Return all spans of a trace under their resources and scopes."""
        trace = TracesData()
        resources: dict[int, ResourceSpans] = {}
        scopes: dict[tuple[int, int], ScopeSpans] = {}
        for (body,) in connection.execute("SELECT spans FROM span_piece WHERE trace_key = ? ORDER BY id", (trace_key,)):
            for resource_id, scope_id, spans in unpack(
                body, lambda each: self._compression.dictionary(connection, each)
            ):
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

    def frames_after(self, connection: sqlite3.Connection, piece_id: int) -> Iterator[tuple[int, int, int, int, bytes]]:
        """Yield piece id, trace key, resource id, scope id and spans of every frame past a piece."""
        rows = connection.execute("SELECT id, trace_key, spans FROM span_piece WHERE id > ? ORDER BY id", (piece_id,))
        for row_id, trace_key, body in rows:
            for frame in unpack(body, lambda each: self._compression.dictionary(connection, each)):
                yield row_id, trace_key, *frame

    def origin_body(self, connection: sqlite3.Connection, origin_id: int) -> bytes:
        """Return a resource or scope as message bytes."""
        origin = self._names.origins.get(origin_id)
        if origin is not None:
            return origin.body
        row = connection.execute("SELECT body FROM origin WHERE id = ?", (origin_id,)).fetchone()
        return bytes(row[0]) if row else b""
