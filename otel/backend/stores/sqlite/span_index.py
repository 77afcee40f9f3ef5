"""What the search index learns of a span, when it is written and when a process starts again."""

from __future__ import annotations

import sqlite3

from otel.backend.stores.sqlite.names import Names
from otel.backend.stores.sqlite.segment_list import SegmentList
from otel.backend.stores.sqlite.span_fields import as_spans_field, indexed_attributes, spans_in, status_code, status_of
from otel.backend.stores.sqlite.span_reader import SpanReader

INT64_MAX = 2**63 - 1


def duration_of(start: int, end: int) -> int:
    """Return how long a span took in ns, as far as an int64 can say it."""
    return max(-INT64_MAX, min(end - start, INT64_MAX))


def index_again(
    connection: sqlite3.Connection, after_block_id: int, reader: SpanReader, names: Names, segments: SegmentList
) -> None:
    """Index the spans of every block past one, as when they were written."""
    for block_id, block in reader.blocks_after(connection, after_block_id):
        segment = segments.begin_block(block_id)
        for position, (resource_id, scope_id, body) in enumerate(block.spans()):
            (span,) = spans_in(as_spans_field(body))
            operation_id = names.known_operation_id(
                reader.service(connection, resource_id), span.name.decode("utf-8"), span.kind
            )
            start, end = span.start_time_unix_nano, span.end_time_unix_nano
            shared = (operation_id, status_code(status_of(span)) & 0xFF, resource_id, scope_id)
            segment.add(block.trace_key(position), start, duration_of(start, end), shared, indexed_attributes(span))
