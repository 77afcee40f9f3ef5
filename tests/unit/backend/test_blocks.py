"""Blocks give back each span with its trace, resource and scope, whatever lies beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel.backend.stores.sqlite.block import SPANS_PER_BLOCK, read_block, without_trace_ids, write_block
from otel.backend.stores.sqlite.block_writer import PACKED_BYTES, BlockWriter
from otel.backend.stores.sqlite.compression import BYTES_PER_DICTIONARY, Compression
from otel.backend.stores.sqlite.trace_blocks import read_blocks
from otel.backend.stores.sqlite.trace_rows import TraceState

stored = st.tuples(st.integers(5, 8), st.sampled_from([(1, 2), (1, 3), (4, 2)]), st.binary(max_size=9))


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for name in ("schema.sql", "spans.sql", "traces.sql"):
            connection.executescript(resources.files("otel.backend.sql").joinpath(name).read_text("utf-8"))
        yield connection


@given(st.lists(stored, min_size=1, max_size=12))
def test_each_span_is_read_as_it_was_written(spans: list[tuple[int, tuple[int, int], bytes]]) -> None:
    content = write_block(
        [key for key, _, _ in spans],
        [(*origin, 1) for _, origin, _ in spans],
        [body for *_, body in spans],
        has_trace_ids=True,
    )
    block = read_block(content)
    assert block.span_count == len(spans)
    assert [(block.trace_key(position), block.span(position)) for position in range(len(spans))] == [
        (key, (*origin, body)) for key, origin, body in spans
    ]
    assert list(block.spans()) == [(*origin, body) for _, origin, body in spans]
    for wanted in range(4, 10):
        assert list(block.spans_of(wanted, b"any")) == [(*origin, body) for key, origin, body in spans if key == wanted]


def trace_id_of(key: int) -> bytes:
    return b"id of trace %04d" % key


def id_field(trace_id: bytes) -> bytes:
    return b"\x0a" + bytes((len(trace_id),)) + trace_id


# What may stand before and after the rest of a span: its trace id, another one, or one of another length.
id_fields = st.sampled_from([b"", *(id_field(trace_id_of(key)) for key in range(5, 8)), id_field(b"short")])
spans_with_ids = st.tuples(st.integers(5, 7), id_fields, st.binary(max_size=9), id_fields)


@given(st.lists(spans_with_ids, min_size=1, max_size=4))
def test_a_span_comes_back_byte_for_byte_wherever_its_trace_id_stands(
    spans: list[tuple[int, bytes, bytes, bytes]],
) -> None:
    keys, bodies = [key for key, *_ in spans], [b"".join(parts) for _, *parts in spans]
    shorter = without_trace_ids(bodies, [trace_id_of(key) for key in keys])
    runs = [(1, 2, len(spans))]
    block = read_block(write_block(keys, runs, shorter or bodies, has_trace_ids=shorter is None))
    begins = [body.startswith(id_field(trace_id_of(key))) for key, body in zip(keys, bodies, strict=True)]
    assert block.has_trace_ids is not all(begins)
    for wanted in range(5, 8):
        expected = [(1, 2, body) for key, body in zip(keys, bodies, strict=True) if key == wanted]
        assert list(block.spans_of(wanted, trace_id_of(wanted))) == expected


def blocks_of(
    connection: sqlite3.Connection, compression: Compression
) -> list[tuple[int, list[tuple[int, int, bytes]]]]:
    rows = connection.execute("SELECT id, dictionary_id, body FROM span_block ORDER BY id").fetchall()
    blocks = [(row_id, compression.unpack(connection, dictionary_id, body)) for row_id, dictionary_id, body in rows]
    return [(row_id, [block.span(position) for position in range(block.span_count)]) for row_id, block in blocks]


def written(connection: sqlite3.Connection, writer: BlockWriter, bodies: list[bytes]) -> list[TraceState]:
    """Write spans of a trace each; returns the traces."""
    traces = [TraceState(number, trace_id_of(number)) for number in range(len(bodies))]
    writer.begin_run(1, 2)
    for number, body in enumerate(bodies):
        if not writer.room:
            writer.end_block(connection)
        writer.add(traces[number], body)
    writer.finish(connection)
    return traces


def test_a_run_goes_on_in_the_next_block_and_each_trace_knows_its_blocks(
    connection: sqlite3.Connection,
) -> None:
    compression = Compression()
    bodies = [b"span %d" % number for number in range(SPANS_PER_BLOCK + 2)]
    traces = written(connection, BlockWriter(compression), bodies)
    assert blocks_of(connection, compression) == [
        (1, [(1, 2, body) for body in bodies[:SPANS_PER_BLOCK]]),
        (2, [(1, 2, body) for body in bodies[SPANS_PER_BLOCK:]]),
    ]
    assert [read_blocks(trace.blocks) for trace in traces] == [
        [1 if number < SPANS_PER_BLOCK else 2] for number in range(len(bodies))
    ]


def test_trace_ids_take_no_room_where_each_span_of_a_block_begins_with_its_own(connection: sqlite3.Connection) -> None:
    compression = Compression()
    writer = BlockWriter(compression)
    bodies = [id_field(trace_id_of(number)) + b"the rest" for number in range(3)]
    written(connection, writer, bodies)
    written(connection, writer, [*bodies[:2], b"the rest" + bodies[2]])
    blocks = [spans for _, spans in blocks_of(connection, compression)]
    assert blocks == [
        [(1, 2, b"the rest")] * 3,
        [*((1, 2, body) for body in bodies[:2]), (1, 2, b"the rest" + bodies[2])],
    ]


def test_what_does_not_pack_well_makes_smaller_blocks(connection: sqlite3.Connection) -> None:
    noise = [b"".join(bytes(((number * 7919 + at * at * 31) % 251,)) for at in range(2000)) for number in range(40)]
    writer = BlockWriter(Compression())
    written(connection, writer, noise[:1])
    written(connection, writer, [bytes((number,)) + each for number, each in enumerate(noise)])
    (longest,) = connection.execute("SELECT max(length(body)) FROM span_block").fetchone()
    assert longest < 2 * PACKED_BYTES


def test_an_id_does_not_come_again_where_the_last_block_has_gone(connection: sqlite3.Connection) -> None:
    writer = BlockWriter(Compression())
    written(connection, writer, [b"one"])
    connection.execute("DELETE FROM span_block")
    writer.load(connection, 0)
    assert writer.next_id == 2
    again = BlockWriter(Compression())
    again.load(connection, last_indexed_id=7)
    assert again.next_id == 8


def test_blocks_of_an_older_dictionary_are_read_beside_those_of_a_newer(connection: sqlite3.Connection) -> None:
    compression = Compression()
    writer = BlockWriter(compression)
    # Each block has a megabyte, so that a dictionary serves four of them.
    bodies = [b"%d" % number + b"a span that says the same " * 40_000 for number in range(12)]
    for body in bodies:
        written(connection, writer, [body])
    (dictionaries,) = connection.execute("SELECT count(DISTINCT dictionary_id) FROM span_block").fetchone()
    assert dictionaries >= len(b"".join(bodies)) // BYTES_PER_DICTIONARY
    reader = Compression()
    reader.load(connection)
    assert [spans for _, spans in blocks_of(connection, reader)] == [[(1, 2, body)] for body in bodies]
