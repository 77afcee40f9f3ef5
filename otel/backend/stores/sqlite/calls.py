"""Counting which service called which, over traces in the order of their keys, so that a block is unpacked once."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from otel.backend.ports import CallCount
from otel.backend.stores.sqlite.log_rows import int64
from otel.backend.stores.sqlite.span_fields import as_spans_field, spans_in
from otel.backend.stores.sqlite.span_reader import SpanReader
from otel.backend.stores.sqlite.trace_blocks import all_blocks

# About as many as the senders of a trace fill while its spans arrive.
MAX_REMEMBERED_BLOCKS = 128

# Span id, parent id, service.
Identity = tuple[bytes, bytes, str]


def calls_in(
    connection: sqlite3.Connection, start_min_unix_nano: int, end_max_unix_nano: int, reader: SpanReader
) -> list[CallCount]:
    """Count the spans of the traces strictly inside the bounds by the service of their parent and their own."""
    rows = connection.execute(
        "SELECT key, blocks, block_id FROM trace LEFT JOIN trace_block ON trace_key = key"
        " WHERE min_start > ? AND max_end < ? ORDER BY key, block_id",
        (int64(start_min_unix_nano), int64(end_max_unix_nano)),
    )
    counts: Counter[tuple[str, str]] = Counter()
    blocks: dict[int, dict[int, list[Identity]]] = {}
    for (key, in_row), places in groupby(rows, key=itemgetter(0, 1)):
        spans = list(_older(connection, key, reader))
        for block_id in all_blocks((block_id for *_, block_id in places), in_row):
            spans += _remembered(connection, block_id, reader, blocks).get(key, ())
        services = {span_id: service for span_id, _, service in spans}
        for _, parent_id, service in spans:
            if parent_id in services:
                counts[services[parent_id], service] += 1
    return sorted(
        (CallCount(parent, child, count) for (parent, child), count in counts.items()),
        key=lambda call: (call.parent, call.child),
    )


def _remembered(
    connection: sqlite3.Connection, block_id: int, reader: SpanReader, blocks: dict[int, dict[int, list[Identity]]]
) -> dict[int, list[Identity]]:
    found = blocks.get(block_id)
    if found is None:
        if len(blocks) >= MAX_REMEMBERED_BLOCKS:
            del blocks[next(iter(blocks))]
        found = blocks[block_id] = _by_trace(connection, block_id, reader)
    return found


def _by_trace(connection: sqlite3.Connection, block_id: int, reader: SpanReader) -> dict[int, list[Identity]]:
    block = reader.block(connection, block_id)
    found: dict[int, list[Identity]] = {}
    if block is None:
        return found
    stored = list(block.spans())
    services = {each: reader.service(connection, each) for each in {resource_id for resource_id, _, _ in stored}}
    spans = spans_in(b"".join(as_spans_field(body) for _, _, body in stored))
    for position, (span, (resource_id, _, _)) in enumerate(zip(spans, stored, strict=True)):
        identity = (span.span_id, span.parent_span_id, services[resource_id])
        found.setdefault(block.trace_key(position), []).append(identity)
    return found


def _older(connection: sqlite3.Connection, trace_key: int, reader: SpanReader) -> Iterator[Identity]:
    for resource_id, _, frame in reader.older_frames(connection, trace_key):
        service = reader.service(connection, resource_id)
        for span in spans_in(frame):
            yield span.span_id, span.parent_span_id, service
