"""Writing spans: one transaction's spans become one piece per trace, its row, and the newest segment's entries.

The writer's thread only. This is the hot path: what is looked up per span is looked up in local dictionaries.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel.backend.stores.matching import service_of
from otel.backend.stores.sqlite.compression import Compression
from otel.backend.stores.sqlite.names import Names
from otel.backend.stores.sqlite.segment_list import SegmentList
from otel.backend.stores.sqlite.span_blobs import SPANS_TAG, frame, varint
from otel.backend.stores.sqlite.span_index import index_span
from otel.backend.stores.sqlite.tokens import AttributeTokens, operation_token, origin_token
from otel.backend.stores.sqlite.trace_rows import (
    IDENTITY,
    INT64_MAX,
    NO_PARENT,
    TraceState,
    TraceStates,
    identity_check,
)

STATUS_ERROR = 2


class SpanPiece:
    """What one transaction adds to one trace."""

    __slots__ = ("frames", "identities", "state")

    def __init__(self, state: TraceState) -> None:
        self.state = state
        self.identities = bytearray()
        self.frames: dict[tuple[int, int], list[bytes]] = {}


class SpanWriter:
    """Adds spans inside the caller's transaction."""

    def __init__(
        self,
        names: Names,
        states: TraceStates,
        segments: SegmentList,
        tokens: AttributeTokens,
        compression: Compression,
    ) -> None:
        self._names = names
        self._states = states
        self._segments = segments
        self._tokens = tokens
        self._compression = compression

    def write(
        self, connection: sqlite3.Connection, spans: Iterable[ResourceSpans], now_unix_nano: int
    ) -> tuple[frozenset[bytes], int, int]:
        """Store spans; returns the trace ids that grew, the number of new spans and of those seen before."""
        pieces: dict[bytes, SpanPiece] = {}
        added = duplicates = 0
        for part in spans:
            batch = _ResourceBatch(self, connection, part, now_unix_nano)
            for scope_spans in part.scope_spans:
                new_count = batch.add(scope_spans, pieces)
                added += new_count
                duplicates += len(scope_spans.spans) - new_count
        self._write_pieces(connection, pieces)
        self._states.write(connection, [piece.state for piece in pieces.values()], added)
        return frozenset(pieces), added, duplicates

    def _write_pieces(self, connection: sqlite3.Connection, pieces: dict[bytes, SpanPiece]) -> None:
        rows = []
        for piece in pieces.values():
            frames = b"".join(frame(*origin, b"".join(spans)) for origin, spans in piece.frames.items())
            rows.append((piece.state.key, bytes(piece.identities), self._compression.pack(connection, frames)))
        connection.executemany("INSERT INTO span_piece (trace_key, identities, spans) VALUES (?, ?, ?)", rows)
        if rows:
            self._segments.indexed_up_to(connection.execute("SELECT max(id) FROM span_piece").fetchone()[0])


class _ResourceBatch:
    """The spans of one resource in a request."""

    def __init__(
        self, writer: SpanWriter, connection: sqlite3.Connection, part: ResourceSpans, now_unix_nano: int
    ) -> None:
        self._writer = writer
        self._connection = connection
        self._now_unix_nano = now_unix_nano
        self._service = service_of(part.resource)
        names = writer._names
        self._service_id = names.service_id(connection, self._service, now_unix_nano)
        body = ResourceSpans(resource=part.resource, schema_url=part.schema_url).SerializeToString(deterministic=True)
        self._resource_id = names.origin_id(connection, body, is_scope=False, now_unix_nano=now_unix_nano)
        self._operations: dict[tuple[str, int], tuple[int, int]] = {}

    def add(self, scope_spans: ScopeSpans, pieces: dict[bytes, SpanPiece]) -> int:
        """Add the spans of one scope; returns how many were new."""
        body = ScopeSpans(scope=scope_spans.scope, schema_url=scope_spans.schema_url).SerializeToString(
            deterministic=True
        )
        scope_id = self._writer._names.origin_id(
            self._connection, body, is_scope=True, now_unix_nano=self._now_unix_nano
        )
        origin = (self._resource_id, scope_id)
        tokens = (origin_token(self._resource_id), origin_token(scope_id))
        return sum(self._add_span(span, origin, tokens, pieces) for span in scope_spans.spans)

    def _add_span(
        self, span: Span, origin: tuple[int, int], origin_tokens: tuple[int, int], pieces: dict[bytes, SpanPiece]
    ) -> bool:
        trace_id, span_id, name = span.trace_id, span.span_id, span.name
        start, parent_id = span.start_time_unix_nano, span.parent_span_id
        piece = pieces.get(trace_id)
        state = piece.state if piece else self._writer._states.of(self._connection, trace_id, self._now_unix_nano)
        check = identity_check(start, name)
        identity = span_id + check.to_bytes(4, "little")
        if identity in state.known:
            return False
        state.known.add(identity)
        state.add_identity(span_id, parent_id)
        if piece is None:
            piece = pieces[trace_id] = SpanPiece(state)
        piece.identities += IDENTITY.pack(span_id, parent_id or NO_PARENT, check, self._service_id)
        body = span.SerializeToString()
        piece.frames.setdefault(origin, []).append(SPANS_TAG + varint(len(body)) + body)
        operation_id, token = self._operation(name, span.kind)
        self._count(state, span, start, parent_id, operation_id)
        shared_tokens = (token, *origin_tokens)
        index_span(self._writer._segments, self._writer._tokens, state.key, span, body, operation_id, shared_tokens)
        return True

    def _operation(self, name: str, kind: int) -> tuple[int, int]:
        """Return an operation's id and the hash of it."""
        found = self._operations.get((name, kind))
        if found is None:
            operation_id = self._writer._names.operation_id(
                self._connection, self._service, name, kind, self._now_unix_nano
            )
            found = self._operations[name, kind] = (operation_id, operation_token(operation_id))
        return found

    def _count(self, state: TraceState, span: Span, start: int, parent_id: bytes, operation_id: int) -> None:
        end = span.end_time_unix_nano
        is_error = span.status.code == STATUS_ERROR
        state.span_count += 1
        state.error_count += is_error
        if not start or not end:  # a time of 0 was never set, and would make the trace begin in 1970
            start, end = INT64_MAX, 0
        if start < state.min_start:
            state.min_start = start
        if end > state.max_end:
            state.max_end = end
        if not parent_id and (state.root_start is None or start < state.root_start):
            state.root_start = start
            state.root_operation_id = operation_id
        counts = state.services.setdefault(self._service_id, [0, 0])
        counts[0] += 1
        counts[1] += is_error
