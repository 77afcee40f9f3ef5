"""What the search index learns of a span, when it is written and when a process starts again."""

from __future__ import annotations

import sqlite3

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel.backend.stores.matching import service_of
from otel.backend.stores.sqlite.names import Names
from otel.backend.stores.sqlite.segment_list import SegmentList
from otel.backend.stores.sqlite.span_fields import attributes_in
from otel.backend.stores.sqlite.span_reader import SpanReader
from otel.backend.stores.sqlite.tokens import AttributeTokens, operation_token, origin_token

INT64_MAX = 2**63 - 1


def index_span(
    segments: SegmentList,
    tokens: AttributeTokens,
    trace_key: int,
    span: Span,
    body: bytes,
    operation_id: int,
    shared_tokens: tuple[int, ...],
) -> None:
    """Add a span to the newest segment, by its attributes and what it shares with others: its operation and origin.

    `body` is the span as protobuf wrote it.
    """
    found = {tokens[content] for content in attributes_in(body)}
    found.update(shared_tokens)
    for event in span.events:
        found.update([tokens[pair.SerializeToString()] for pair in event.attributes])
    for link in span.links:
        found.update([tokens[pair.SerializeToString()] for pair in link.attributes])
    start = span.start_time_unix_nano
    duration = span.end_time_unix_nano - start
    if not -INT64_MAX <= duration <= INT64_MAX:
        duration = INT64_MAX if duration > 0 else -INT64_MAX
    segments.add(trace_key, start, duration, operation_id, span.status.code & 0xFF, found)


def index_again(
    connection: sqlite3.Connection,
    after_piece_id: int,
    reader: SpanReader,
    names: Names,
    segments: SegmentList,
    tokens: AttributeTokens,
) -> None:
    """Index the spans of every piece past one, as when they were written."""
    for piece_id, trace_key, resource_id, scope_id, frame in reader.frames_after(connection, after_piece_id):
        service = service_of(ResourceSpans.FromString(reader.origin_body(connection, resource_id)).resource)
        origin_tokens = (origin_token(resource_id), origin_token(scope_id))
        for span in ScopeSpans.FromString(frame).spans:
            operation_id = names.known_operation_id(service, span.name, span.kind)
            shared_tokens = (operation_token(operation_id), *origin_tokens)
            index_span(segments, tokens, trace_key, span, span.SerializeToString(), operation_id, shared_tokens)
        segments.indexed_up_to(piece_id)
