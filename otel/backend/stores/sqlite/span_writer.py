"""Writing spans: one transaction's spans become blocks, the rows of their traces, and the newest segment's entries.

The writer's thread only. This is the hot path: a span is read once, as few fields of bytes, and kept as it came.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from otel.backend.stores.matching import service_of
from otel.backend.stores.sqlite.block_writer import BlockWriter
from otel.backend.stores.sqlite.names import Names
from otel.backend.stores.sqlite.segment_list import SegmentList
from otel.backend.stores.sqlite.segments import Shared
from otel.backend.stores.sqlite.span_fields import (
    bodies_in,
    indexed_attributes,
    scopes_in,
    spans_in,
    status_code,
    status_of,
)
from otel.backend.stores.sqlite.span_index import duration_of
from otel.backend.stores.sqlite.trace_rows import INT64_MAX, TraceState, TraceStates

STATUS_ERROR = 2


class SpanWriter:
    """Adds spans inside the caller's transaction."""

    def __init__(self, names: Names, states: TraceStates, segments: SegmentList, blocks: BlockWriter) -> None:
        self._names = names
        self._states = states
        self._segments = segments
        self._blocks = blocks

    def write(
        self,
        connection: sqlite3.Connection,
        spans: Iterable[ResourceSpans],
        contents: Sequence[bytes],
        now_unix_nano: int,
    ) -> tuple[frozenset[bytes], int, int]:
        """Store spans; `contents` are the parts as bytes, as far as they are known.

        Returns the trace ids that grew, the number of new spans and of those seen before.
        """
        grown: dict[bytes, TraceState] = {}
        added = seen = 0
        for part, content in zip_longest(spans, contents):
            batch = _ResourceBatch(self, connection, part, now_unix_nano)
            scopes = scopes_in(content or part.SerializeToString())
            for scope_spans, scope_content in zip(part.scope_spans, scopes, strict=True):
                added += batch.add(scope_spans, scope_content, grown)
                seen += len(scope_spans.spans)
        self._blocks.finish(connection)
        self._states.write(connection, grown.values(), added)
        return frozenset(grown), added, seen - added


class _ResourceBatch:
    """The spans of one resource in a request."""

    def __init__(
        self, writer: SpanWriter, connection: sqlite3.Connection, part: ResourceSpans, now_unix_nano: int
    ) -> None:
        self._names = writer._names
        self._states = writer._states
        self._segments = writer._segments
        self._blocks = writer._blocks
        self._connection = connection
        self._now_unix_nano = now_unix_nano
        self._service = service_of(part.resource)
        self._service_id = self._names.service_id(connection, self._service, now_unix_nano)
        body = ResourceSpans(resource=part.resource, schema_url=part.schema_url).SerializeToString(deterministic=True)
        self._resource_id = self._names.origin_id(connection, body, is_scope=False, now_unix_nano=now_unix_nano)

    def add(self, scope_spans: ScopeSpans, content: bytes, grown: dict[bytes, TraceState]) -> int:
        """Add the spans of one scope, given as message and as bytes; returns how many were new.

        One long loop on purpose: a call for each step would cost as much as the steps.
        """
        body = ScopeSpans(scope=scope_spans.scope, schema_url=scope_spans.schema_url).SerializeToString(
            deterministic=True
        )
        scope_id = self._names.origin_id(self._connection, body, is_scope=True, now_unix_nano=self._now_unix_nano)
        connection, blocks, service_id, added = self._connection, self._blocks, self._service_id, 0
        blocks.begin_run(self._resource_id, scope_id)
        shared_of: dict[tuple[bytes, int, bytes], Shared] = {}
        segment, spans = self._segments.open, spans_in(content)
        trace_ids = [span.trace_id for span in spans]
        self._states.prepare(connection, dict.fromkeys(trace_ids))
        for span, trace_id, body in zip(spans, trace_ids, bodies_in(content), strict=True):
            span_id, parent_id, name = span.span_id, span.parent_span_id, span.name
            start, status = span.start_time_unix_nano, status_of(span) if span.statuses else b""
            state = grown.get(trace_id)
            if state is None:
                state = self._states.of(connection, trace_id)
            if not state.add_identity(span_id, parent_id, hash((start, name))):
                continue
            grown[trace_id] = state
            added += 1
            if not blocks.room:
                blocks.end_block(connection)
                segment = self._segments.begin_block(blocks.next_id)
            blocks.add(state, body)
            shared = shared_of.get((name, span.kind, status))
            if shared is None:
                shared = shared_of[name, span.kind, status] = self._shared(name, span.kind, status, scope_id)
            end = span.end_time_unix_nano
            state.count(start, end, shared[1] == STATUS_ERROR, service_id, None if parent_id else shared[0])
            duration = end - start
            if not -INT64_MAX <= duration <= INT64_MAX:
                duration = duration_of(start, end)
            attributes = indexed_attributes(span) if span.events or span.links else span.attributes[:]
            segment.add(state.key, start, duration, shared, attributes)
        return added

    def _shared(self, name: bytes, kind: int, status: bytes, scope_id: int) -> Shared:
        operation_id = self._names.operation_id(
            self._connection, self._service, name.decode("utf-8"), kind, self._now_unix_nano
        )
        return operation_id, status_code(status) & 0xFF, self._resource_id, scope_id
