"""The search index: segments of a few thousand spans, each with columns and postings.

The newest segment grows in memory and is made again from its spans when a process starts; a full one is written once
and never changed, so ingestion never updates an index row. Columns hold what ranges filter (start, duration, status,
operation, trace); postings say, for the hash of each attribute, which spans of the segment have it. Postings lie in 64
buckets by hash: looking one hash up in a segment reads one row of a few kilobytes.

One thread adds; any thread may read while it does: each append is atomic, and columns grow before postings do.
"""

from __future__ import annotations

import sqlite3
import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

SPANS_PER_SEGMENT = 8192
BUCKET_COUNT = 64
COUNT = struct.Struct("<I")
COLUMN_TYPES = "QqIIB"


@dataclass(frozen=True, slots=True)
class Columns:
    """What is known of each span of a segment, by its number in it."""

    starts: Sequence[int]
    durations: Sequence[int]
    trace_keys: Sequence[int]
    operation_ids: Sequence[int]
    statuses: Sequence[int]


class Segment(Protocol):
    """A part of the index, in memory or on disk."""

    @property
    def min_start(self) -> int:
        """The earliest start."""

    @property
    def max_start(self) -> int:
        """The latest start."""

    def columns(self, connection: sqlite3.Connection) -> Columns | None:
        """Return the columns; None where the segment has expired."""

    def spans_with(self, connection: sqlite3.Connection, token: int) -> Sequence[int]:
        """Return the numbers of the spans that have a hash, ascending."""


class OpenSegment:
    """The segment that grows."""

    def __init__(self) -> None:
        self.starts = array("Q")
        self.durations = array("q")
        self.trace_keys = array("Q")
        self.operation_ids = array("I")
        self.statuses = array("B")
        # A hash that one span has stands for that span alone: most values are rare, and a list for each costs room.
        self.postings: dict[int, int | array[int]] = {}
        self.min_start = 2**64 - 1
        self.max_start = 0
        self.last_piece_id = 0

    def __len__(self) -> int:
        return len(self.statuses)

    def add(
        self, trace_key: int, start: int, duration: int, operation_id: int, status: int, tokens: Iterable[int]
    ) -> None:
        """Index one span."""
        number = len(self.statuses)
        self.starts.append(start)
        self.durations.append(duration)
        self.trace_keys.append(trace_key)
        self.operation_ids.append(operation_id)
        self.statuses.append(status)
        if start < self.min_start:
            self.min_start = start
        if start > self.max_start:
            self.max_start = start
        postings = self.postings
        for token in tokens:
            posted = postings.get(token)
            if posted is None:
                postings[token] = number
            elif type(posted) is int:
                postings[token] = array("H", (posted, number))
            else:
                posted.append(number)  # type: ignore[union-attr]  # no int, as was just asked

    def columns(self, _: sqlite3.Connection) -> Columns:
        """Return the columns up to the span added last."""
        count = len(self.statuses)
        return Columns(
            self.starts[:count],
            self.durations[:count],
            self.trace_keys[:count],
            self.operation_ids[:count],
            self.statuses[:count],
        )

    def spans_with(self, _: sqlite3.Connection, token: int) -> Sequence[int]:
        """Return the numbers of the spans that have a hash."""
        found = self.postings.get(token)
        if found is None:
            return ()
        return (found,) if isinstance(found, int) else found[:]

    def write(self, connection: sqlite3.Connection) -> SealedSegment:
        """Write the segment as rows, inside the caller's transaction."""
        min_key, max_key = min(self.trace_keys), max(self.trace_keys)
        keys = array("I", (key - min_key for key in self.trace_keys))
        parts: list[array[int]] = [self.starts, self.durations, keys, self.operation_ids, self.statuses]
        body = COUNT.pack(len(self)) + b"".join(part.tobytes() for part in parts)
        row = (self.last_piece_id, self.min_start, self.max_start, min_key, max_key, body)
        segment_id = connection.execute(
            "INSERT INTO segment (last_piece_id, min_start, max_start, min_trace_key, max_trace_key, columns)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (row[0], _signed(row[1]), _signed(row[2]), *row[3:]),
        ).lastrowid
        assert segment_id is not None
        buckets: list[list[int]] = [[] for _ in range(BUCKET_COUNT)]
        for token in sorted(self.postings):
            buckets[token % BUCKET_COUNT].append(token)
        connection.executemany(
            "INSERT INTO segment_postings (id, body) VALUES (?, ?)",
            [
                (segment_id * BUCKET_COUNT + number, self._bucket(tokens))
                for number, tokens in enumerate(buckets)
                if tokens
            ],
        )
        return SealedSegment(segment_id, self.min_start, self.max_start, min_key, max_key)

    def _bucket(self, tokens: Sequence[int]) -> bytes:
        ends = array("I")
        numbers = array("H")
        for token in tokens:
            posted = self.postings[token]
            if isinstance(posted, int):
                numbers.append(posted)
            else:
                numbers.extend(posted)
            ends.append(len(numbers))
        return COUNT.pack(len(tokens)) + array("I", tokens).tobytes() + ends.tobytes() + numbers.tobytes()


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """A segment that lies in the file."""

    segment_id: int
    min_start: int
    max_start: int
    min_trace_key: int
    max_trace_key: int

    def columns(self, connection: sqlite3.Connection) -> Columns | None:
        """Read the columns."""
        row = connection.execute("SELECT columns FROM segment WHERE id = ?", (self.segment_id,)).fetchone()
        if row is None:
            return None
        body: bytes = row[0]
        (count,) = COUNT.unpack_from(body)
        position = COUNT.size
        parts: list[array[int]] = []
        for kind in COLUMN_TYPES:
            part: array[int] = array(kind)
            size = count * part.itemsize
            part.frombytes(body[position : position + size])
            parts.append(part)
            position += size
        starts, durations, keys, operation_ids, statuses = parts
        trace_keys = array("Q", [key + self.min_trace_key for key in keys])
        return Columns(starts, durations, trace_keys, operation_ids, statuses)

    def spans_with(self, connection: sqlite3.Connection, token: int) -> Sequence[int]:
        """Read the numbers of the spans that have a hash."""
        row = connection.execute(
            "SELECT body FROM segment_postings WHERE id = ?", (self.segment_id * BUCKET_COUNT + token % BUCKET_COUNT,)
        ).fetchone()
        if row is None:
            return ()
        body: bytes = row[0]
        (count,) = COUNT.unpack_from(body)
        words = memoryview(body)[COUNT.size : COUNT.size + 8 * count].cast("I")
        place = bisect_left(words, token, 0, count)
        if place == count or words[place] != token:
            return ()
        begin = words[count + place - 1] if place else 0
        numbers = array("H")
        first = COUNT.size + 8 * count
        numbers.frombytes(body[first + 2 * begin : first + 2 * words[count + place]])
        return numbers


def sealed_segments(connection: sqlite3.Connection) -> tuple[list[SealedSegment], int]:
    """Read which segments are in the file, and the last piece that they index."""
    rows = connection.execute(
        "SELECT id, min_start, max_start, min_trace_key, max_trace_key, last_piece_id FROM segment ORDER BY id"
    ).fetchall()
    segments = [SealedSegment(row[0], _unsigned(row[1]), _unsigned(row[2]), row[3], row[4]) for row in rows]
    return segments, max((row[5] for row in rows), default=0)


def _signed(number: int) -> int:
    """Fit a uint64 time into SQLite's int64: what no clock shows sorts last."""
    return min(number, 2**63 - 1)


def _unsigned(number: int) -> int:
    return 2**64 - 1 if number == 2**63 - 1 else number
