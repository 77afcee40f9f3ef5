"""Segments as versions 1 and 2 of the store wrote them, read until their traces have gone: see `segments.py`.

Columns have operation, status and trace of each span as they are, and every hash of a span is a posting of its own.
"""

from __future__ import annotations

import sqlite3
import struct
from array import array
from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from otel.backend.stores.sqlite.segments import Columns, Postings

BUCKET_COUNT = 64
COUNT = struct.Struct("<I")
COLUMN_TYPES = "QqIIB"


@dataclass(frozen=True, slots=True)
class OlderSegment:
    """A segment whose spans lie in pieces."""

    segment_id: int
    min_start: int
    max_start: int
    min_trace_key: int
    max_trace_key: int

    def columns(self, connection: sqlite3.Connection) -> Columns | None:
        """Read the columns; spans of one operation and status are a set."""
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
        sets: dict[tuple[int, int], int] = {}
        set_ids = [sets.setdefault(each, len(sets)) for each in zip(operation_ids, statuses, strict=True)]
        return Columns(starts, durations, self.min_trace_key, keys, set_ids, list(sets))

    def postings(self, connection: sqlite3.Connection, tokens: Collection[int]) -> Postings:
        """Read the numbers of the spans that have one of the hashes."""
        found = Postings()
        for token in tokens:
            found.numbers.update(self._spans_with(connection, token))
        return found

    def place(self, _: int) -> None:
        """Say that only the trace of a span is known."""

    def delete(self, connection: sqlite3.Connection) -> None:
        """Delete its rows."""
        first = self.segment_id * BUCKET_COUNT
        connection.execute("DELETE FROM segment_postings WHERE id >= ? AND id < ?", (first, first + BUCKET_COUNT))
        connection.execute("DELETE FROM segment WHERE id = ?", (self.segment_id,))

    def _spans_with(self, connection: sqlite3.Connection, token: int) -> Sequence[int]:
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


def older_segments(connection: sqlite3.Connection) -> list[OlderSegment]:
    """Read which older segments are in the file."""
    rows = connection.execute(
        "SELECT id, min_start, max_start, min_trace_key, max_trace_key FROM segment ORDER BY id"
    ).fetchall()
    return [OlderSegment(row[0], _unsigned(row[1]), _unsigned(row[2]), row[3], row[4]) for row in rows]


def _unsigned(number: int) -> int:
    return 2**64 - 1 if number == 2**63 - 1 else number
