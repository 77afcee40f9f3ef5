"""A segment as rows: written once, when it is full, and read a column or a bucket at a time."""

from __future__ import annotations

import sqlite3
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Literal

import zstandard

from otel.backend.stores.sqlite.segments import IN_SEVERAL, Columns, OpenSegment, Postings, place_in

BUCKET_COUNT = 64
BUCKET_SHIFT = 26
# A bucket has the 16 bits of each hash that follow those which chose it: a filter for the lower half of the hashes and
# a look at what is found make up for the others, which cost two bytes each. In the first count of a bucket's head; in
# files of versions 3 and 4 hashes are whole.
SHORT_HASHES = 1 << 31
SHORT_SHIFT, SHORT_MASK = BUCKET_SHIFT - 16, 0xFFFF
# One bit for each value of a hash's lower half.
FILTER_BITS = 1 << 16
FILTER_BYTES = FILTER_BITS // 8
LEVEL = 1
SPAN_COLUMNS = "QqIH"
SET_COLUMNS = "IB"
HEAD = struct.Struct("<II")
BUCKET_HEAD = struct.Struct("<III")


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """A segment that lies in the file."""

    segment_id: int
    min_start: int
    max_start: int
    min_trace_key: int
    max_trace_key: int
    first_block_id: int
    block_starts: array[int]
    filter: bytes

    @property
    def last_block_id(self) -> int:
        """The last block that it indexes."""
        return self.first_block_id + len(self.block_starts) - 1

    def columns(self, connection: sqlite3.Connection) -> Columns | None:
        """Read the columns."""
        row = connection.execute("SELECT columns FROM span_segment WHERE id = ?", (self.segment_id,)).fetchone()
        if row is None:
            return None
        body = zstandard.ZstdDecompressor().decompress(row[0])
        span_count, set_count = HEAD.unpack_from(body)
        position = HEAD.size
        parts: list[array[int]] = []
        for count, kinds in ((span_count, SPAN_COLUMNS), (set_count, SET_COLUMNS)):
            for kind in kinds:
                part, position = _column_at(body, position, kind, count)
                parts.append(part)
        starts, durations, keys, set_ids, operation_ids, statuses = parts
        sets = list(zip(operation_ids, statuses, strict=True))
        return Columns(starts, durations, self.min_trace_key, keys, set_ids, sets)

    def postings(self, connection: sqlite3.Connection, tokens: Collection[int]) -> Postings:
        """Read what has one of the hashes."""
        found = Postings()
        for token in tokens:
            slot = token % FILTER_BITS
            if self.filter[slot >> 3] >> (slot & 7) & 1:
                self._read_postings(connection, token, found)
        return found

    def place(self, number: int) -> tuple[int, int]:
        """Return block id and position of a span."""
        return place_in(self.first_block_id, self.block_starts, number)

    def delete(self, connection: sqlite3.Connection) -> None:
        """Delete its rows."""
        first = self.segment_id * BUCKET_COUNT
        connection.execute("DELETE FROM span_postings WHERE id >= ? AND id < ?", (first, first + BUCKET_COUNT))
        connection.execute("DELETE FROM span_segment WHERE id = ?", (self.segment_id,))

    def _read_postings(self, connection: sqlite3.Connection, token: int, found: Postings) -> None:
        row = connection.execute(
            "SELECT body FROM span_postings WHERE id = ?", (self.segment_id * BUCKET_COUNT + (token >> BUCKET_SHIFT),)
        ).fetchone()
        if row is not None:
            _look_up(row[0], token, found)


def write_segment(segment: OpenSegment, connection: sqlite3.Connection) -> SealedSegment:
    """Write a segment as rows, inside the caller's transaction."""
    lowest, highest = min(segment.trace_keys), max(segment.trace_keys)
    single = sorted([token for token, number in segment.single.items() if number != IN_SEVERAL])
    several, shared = sorted(segment.several), sorted(segment.sets_with)
    token_filter = _filter(chain(single, several, shared))
    segment_id = connection.execute(
        "INSERT INTO span_segment (last_block_id, min_start, max_start, min_trace_key, max_trace_key, block_starts,"
        " filter, columns) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            segment.last_block_id,
            _signed(segment.min_start),
            _signed(segment.max_start),
            lowest,
            highest,
            segment.block_starts.tobytes(),
            token_filter,
            _columns_of(segment, lowest),
        ),
    ).lastrowid
    assert segment_id is not None
    rows = []
    for bucket in range(BUCKET_COUNT):
        parts = [
            _between(tokens, bucket << BUCKET_SHIFT, bucket + 1 << BUCKET_SHIFT) for tokens in (single, several, shared)
        ]
        if any(parts):
            rows.append((segment_id * BUCKET_COUNT + bucket, _bucket(segment, *parts)))
    connection.executemany("INSERT INTO span_postings (id, body) VALUES (?, ?)", rows)
    return SealedSegment(
        segment_id,
        segment.min_start,
        segment.max_start,
        lowest,
        highest,
        segment.first_block_id,
        segment.block_starts,
        token_filter,
    )


def sealed_segments(connection: sqlite3.Connection) -> list[SealedSegment]:
    """Read which segments are in the file."""
    rows = connection.execute(
        "SELECT id, min_start, max_start, min_trace_key, max_trace_key, last_block_id, block_starts, filter"
        " FROM span_segment ORDER BY id"
    )
    found = []
    for segment_id, min_start, max_start, min_key, max_key, last_block_id, block_starts, token_filter in rows:
        starts = array("H", block_starts)
        first_block_id = last_block_id - len(starts) + 1
        bounds = (_unsigned(min_start), _unsigned(max_start), min_key, max_key)
        found.append(SealedSegment(segment_id, *bounds, first_block_id, starts, token_filter))
    return found


def _columns_of(segment: OpenSegment, lowest_key: int) -> bytes:
    keys = array("I", [key - lowest_key for key in segment.trace_keys])
    operation_ids = array("I", [operation_id for operation_id, _ in segment.sets])
    statuses = array("B", [status for _, status in segment.sets])
    columns = (segment.starts, segment.durations, keys, segment.set_ids, operation_ids, statuses)
    body = HEAD.pack(len(segment), len(segment.sets)) + b"".join(map(_planes, columns))
    return zstandard.ZstdCompressor(level=LEVEL).compress(body)


def _planes(column: array[int]) -> bytes:
    """Write the first byte of every number, then the second of every one, and so on: the upper ones hardly differ."""
    content, size = column.tobytes(), column.itemsize
    return b"".join(content[plane::size] for plane in range(size))


def _column_at(body: bytes, position: int, kind: str, count: int) -> tuple[array[int], int]:
    column: array[int] = array(kind)
    size = column.itemsize
    content = bytearray(count * size)
    for plane in range(size):
        content[plane::size] = body[position : position + count]
        position += count
    column.frombytes(content)
    return column, position


def _filter(tokens: chain[int]) -> bytes:
    """Set the bit of each hash: as the digits of one binary number, which is far faster than bit by bit."""
    digits = bytearray(b"0") * FILTER_BITS
    one, last = ord("1"), FILTER_BITS - 1
    for token in tokens:
        digits[last - token % FILTER_BITS] = one
    return int(digits, 2).to_bytes(FILTER_BYTES, "little")


def _between(tokens: list[int], begin: int, end: int) -> list[int]:
    return tokens[bisect_left(tokens, begin) : bisect_left(tokens, end)]


def _bucket(segment: OpenSegment, single: list[int], several: list[int], shared: list[int]) -> bytes:
    """Write a bucket: the hashes of one span, of several spans and of sets, then what has them in the same order."""
    numbers = [segment.several[token] for token in several]
    set_ids = [segment.sets_with[token] for token in shared]
    return b"".join(
        (
            BUCKET_HEAD.pack(len(single) | SHORT_HASHES, len(several), len(shared)),
            array("H", [token >> SHORT_SHIFT & SHORT_MASK for token in chain(single, several, shared)]).tobytes(),
            array("H", map(segment.single.__getitem__, single)).tobytes(),
            array("H", map(len, chain(numbers, set_ids))).tobytes(),
            array("H", chain(*numbers, *set_ids)).tobytes(),
        )
    )


def _look_up(body: bytes, token: int, found: Postings) -> None:
    single, several, shared = BUCKET_HEAD.unpack_from(body)
    kind: Literal["H", "I"] = "I"
    if single >= SHORT_HASHES:
        single, kind, token = single - SHORT_HASHES, "H", token >> SHORT_SHIFT & SHORT_MASK
    several_end = single + several
    token_count = several_end + shared
    hashes_end = BUCKET_HEAD.size + struct.calcsize(kind) * token_count
    hashes = memoryview(body)[BUCKET_HEAD.size : hashes_end].cast(kind)
    shorts = memoryview(body)[hashes_end:].cast("H")
    counts, values = shorts[single:token_count], shorts[token_count:]
    for place in _found_at(hashes, token, 0, single):
        found.numbers.add(shorts[place])
    for place in _found_at(hashes, token, single, several_end):
        found.numbers.update(_values_at(counts, values, place - single))
    for place in _found_at(hashes, token, several_end, token_count):
        found.set_ids.update(_values_at(counts, values, place - single))


def _found_at(hashes: Sequence[int], wanted: int, begin: int, end: int) -> range:
    """Return the places of a hash between two; several only where other hashes begin with the same bits."""
    first = bisect_left(hashes, wanted, begin, end)
    return range(first, bisect_right(hashes, wanted, first, end))


def _values_at(counts: Sequence[int], values: Sequence[int], index: int) -> Sequence[int]:
    *_, begin, end = accumulate(counts[: index + 1], initial=0)
    return values[begin:end]


def _signed(number: int) -> int:
    """Fit a uint64 time into SQLite's int64: what no clock shows sorts last."""
    return min(number, 2**63 - 1)


def _unsigned(number: int) -> int:
    return 2**64 - 1 if number == 2**63 - 1 else number
