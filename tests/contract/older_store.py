"""Turns a store file into what older versions would have left: version 4, or version 2 with spans in pieces."""

from __future__ import annotations

import sqlite3
import struct
import zlib
from array import array
from contextlib import closing
from itertools import chain
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel.backend.codec.attribute_text import text_of
from otel.backend.stores.matching import service_of
from otel.backend.stores.sqlite.sealed_segment import BUCKET_HEAD
from otel.backend.stores.sqlite.segments import OpenSegment
from otel.backend.stores.sqlite.store import SqliteStore
from otel.backend.stores.sqlite.tokens import attribute_token, operation_token, origin_token
from otel.backend.stores.sqlite.trace_blocks import read_blocks

TABLES = """
CREATE TABLE span_piece (id INTEGER PRIMARY KEY, trace_key INTEGER NOT NULL, identities BLOB NOT NULL,
  spans BLOB NOT NULL);
CREATE INDEX span_piece_trace ON span_piece (trace_key, id);
CREATE TABLE segment (id INTEGER PRIMARY KEY, last_piece_id INTEGER NOT NULL, min_start INTEGER NOT NULL,
  max_start INTEGER NOT NULL, min_trace_key INTEGER NOT NULL, max_trace_key INTEGER NOT NULL, columns BLOB NOT NULL);
CREATE TABLE segment_postings (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""
SPAN_TABLES = ("span_block", "trace_block", "span_segment", "span_postings")
DICTIONARY_ID = 7
DICTIONARY = b"otel.instrument order child half"


def as_version_4_left_it(path: Path) -> None:
    """Rewrite a closed store."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for key, blocks in connection.execute("SELECT key, blocks FROM trace").fetchall():
            links = [(key, block_id) for block_id in read_blocks(blocks)]
            connection.executemany("INSERT INTO trace_block (trace_key, block_id) VALUES (?, ?)", links)
        connection.execute("ALTER TABLE trace DROP COLUMN blocks")
        for table, key, prefix in (("trace", "key", "trace_key"), ("log", "id", "log_id")):
            connection.execute(
                f"UPDATE {table} SET arrival = (SELECT arrival FROM batch WHERE {table}.{key} BETWEEN first_{prefix}"
                f" AND last_{prefix})"
            )
            connection.execute(f"CREATE INDEX {table}_arrival ON {table} (arrival)")
        connection.execute("DROP TABLE batch")
        connection.execute("PRAGMA user_version = 4")


def bucket_of_version_4(segment: OpenSegment, single: list[int], several: list[int], shared: list[int]) -> bytes:
    """A bucket of a sealed segment, for use in place of the one of today."""
    numbers = [segment.several[token] for token in several]
    set_ids = [segment.sets_with[token] for token in shared]
    columns = (
        array("I", chain(single, several, shared)),
        array("H", map(segment.single.__getitem__, single)),
        array("H", map(len, chain(numbers, set_ids))),
        array("H", chain(*numbers, *set_ids)),
    )
    return BUCKET_HEAD.pack(len(single), len(several), len(shared)) + b"".join(map(array.tobytes, columns))


def as_version_2_left_it(path: Path, indexed_traces: int) -> None:
    """Rewrite a closed store; the segment has the first traces only, so that the others are still to be indexed."""
    frames = _frames_by_trace(path)
    as_version_4_left_it(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in SPAN_TABLES:
            connection.execute(f"DROP TABLE {table}")
        connection.executescript(TABLES)
        connection.execute("INSERT INTO compression_dictionary VALUES (?, ?)", (DICTIONARY_ID, DICTIONARY))
        operations = {
            (service, name, kind): row_id
            for row_id, service, name, kind in connection.execute(
                "SELECT o.id, s.name, o.name, o.kind FROM operation o JOIN service s ON s.id = o.service_id"
            )
        }
        origins = dict(connection.execute("SELECT id, body FROM origin"))
        spans: list[tuple[int, int, int, Span]] = []
        for piece_id, (trace_key, parts) in enumerate(frames.items(), 1):
            packer = zlib.compressobj(1, zlib.DEFLATED, 13, 5, zdict=DICTIONARY)
            body = b"".join(struct.pack("<III", resource, scope, len(part)) + part for resource, scope, part in parts)
            packed = struct.pack("<I", DICTIONARY_ID) + packer.compress(body) + packer.flush()
            connection.execute("INSERT INTO span_piece VALUES (?, ?, ?, ?)", (piece_id, trace_key, b"", packed))
            if piece_id <= indexed_traces:
                for resource, scope, part in parts:
                    spans += [(trace_key, resource, scope, span) for span in ScopeSpans.FromString(part).spans]
        if spans:
            _write_segment(connection, spans, operations, origins, indexed_traces)
        connection.execute("PRAGMA user_version = 2")


def _frames_by_trace(path: Path) -> dict[int, list[tuple[int, int, bytes]]]:
    store = SqliteStore(path)
    try:
        connection = store._database.writer
        keys = [row[0] for row in connection.execute("SELECT key FROM trace ORDER BY key")]
        return {key: list(store._spans.frames(connection, key)) for key in keys}
    finally:
        store.close()


def _write_segment(
    connection: sqlite3.Connection,
    spans: list[tuple[int, int, int, Span]],
    operations: dict[tuple[str, str, int], int],
    origins: dict[int, bytes],
    last_piece_id: int,
) -> None:
    first_key = spans[0][0]
    columns: list[array[int]] = [array(kind) for kind in "QqIIB"]
    postings: dict[int, list[int]] = {}
    for number, (key, resource_id, scope_id, span) in enumerate(spans):
        service = service_of(ResourceSpans.FromString(origins[resource_id]).resource)
        operation_id = operations[service, span.name, span.kind]
        start, end = span.start_time_unix_nano, span.end_time_unix_nano
        values = (start, end - start, key - first_key, operation_id, span.status.code)
        for column, value in zip(columns, values, strict=True):
            column.append(value)
        own = {attribute_token(pair.key, text_of(pair.value)) for pair in span.attributes}
        for token in {*own, operation_token(operation_id), origin_token(resource_id), origin_token(scope_id)}:
            postings.setdefault(token, []).append(number)
    body = struct.pack("<I", len(spans)) + b"".join(column.tobytes() for column in columns)
    row = (1, last_piece_id, min(columns[0]), max(columns[0]), first_key, spans[-1][0], body)
    connection.execute("INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    for bucket in range(64):
        tokens = sorted(token for token in postings if token % 64 == bucket)
        if tokens:
            numbers: array[int] = array("H")
            ends: array[int] = array("I")
            for token in tokens:
                numbers.extend(postings[token])
                ends.append(len(numbers))
            words = struct.pack("<I", len(tokens)) + array("I", tokens).tobytes() + ends.tobytes()
            connection.execute("INSERT INTO segment_postings VALUES (?, ?)", (64 + bucket, words + numbers.tobytes()))
