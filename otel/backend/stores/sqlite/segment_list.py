"""The list of segments: sealed ones in the file, full ones that wait for their commit, and the one that grows.

The writer's thread changes it; readers take `segments`, which is replaced as a whole.
"""

from __future__ import annotations

import sqlite3

from otel.backend.stores.sqlite.older_segment import OlderSegment, older_segments
from otel.backend.stores.sqlite.sealed_segment import SealedSegment, sealed_segments, write_segment
from otel.backend.stores.sqlite.segments import SPANS_PER_SEGMENT, OpenSegment, Segment
from otel.backend.stores.sqlite.tokens import AttributeTokens

InFile = SealedSegment | OlderSegment


class SegmentList:
    """What a search walks through."""

    def __init__(self, tokens: AttributeTokens) -> None:
        self._tokens = tokens
        self._common: dict[bytes, int] = {}
        self._older: list[OlderSegment] = []
        self._sealed: list[SealedSegment] = []
        self._full: list[OpenSegment] = []
        self._open = self._new(1)
        self.segments: tuple[Segment, ...] = ()

    @property
    def open(self) -> OpenSegment:
        """The segment that spans are added to until the next block begins."""
        return self._open

    @property
    def highest_trace_key(self) -> int:
        """The highest key that a segment of the file names; keys of traces that expired must not come again."""
        in_file: list[InFile] = [*self._older, *self._sealed]
        return max((segment.max_trace_key for segment in in_file), default=0)

    def load(self, connection: sqlite3.Connection, has_older: bool) -> int:
        """Forget what is in memory; returns the last block that the file's segments index."""
        self._older = older_segments(connection) if has_older else []
        self._sealed = sealed_segments(connection)
        self._full = []
        last_block_id = max((segment.last_block_id for segment in self._sealed), default=0)
        self._open = self._new(last_block_id + 1)
        self._publish()
        return last_block_id

    def begin_block(self, block_id: int) -> OpenSegment:
        """Return the segment that takes the spans of the next block; no block lies in two segments."""
        if len(self._open) >= SPANS_PER_SEGMENT:
            self._full.append(self._open)
            self._open = self._new(block_id)
            self._publish()
        elif not len(self._open):
            self._open.first_block_id = block_id
        # Blocks that have gone, or were never committed, are empty ones to the segment.
        while self._open.last_block_id < block_id:
            self._open.begin_block()
        return self._open

    def seal_full(self, connection: sqlite3.Connection) -> list[SealedSegment]:
        """Write the segments that are full, inside the caller's transaction; `sealed` must follow its commit.

        A batch may end inside a segment, and what is indexed is known by whole batches: the open segment is sealed with
        the full ones, so that none of its spans stands twice after a restart.
        """
        if len(self._open) >= SPANS_PER_SEGMENT or self._full:
            self._retire_open()
            self._publish()
        return [write_segment(segment, connection) for segment in self._full]

    def seal_all(self, connection: sqlite3.Connection, min_spans: int) -> list[SealedSegment]:
        """Write the open segment too, where it has enough spans to be worth it."""
        if len(self._open) >= min_spans:
            self._retire_open()
        return [write_segment(segment, connection) for segment in self._full]

    def sealed(self, written: list[SealedSegment]) -> None:
        """Put the written segments in the place of those in memory."""
        if written:
            self._sealed += written
            self._full = []
            self._publish()

    def drop_expired(self, connection: sqlite3.Connection, first_trace_key: int) -> list[InFile]:
        """Delete the rows of segments whose traces are all gone; `dropped` must follow the commit."""
        # The newest one stays, since it says which blocks are indexed.
        gone: list[InFile] = [each for each in self._sealed[:-1] if each.max_trace_key < first_trace_key]
        gone += [each for each in self._older if each.max_trace_key < first_trace_key]
        for segment in gone:
            segment.delete(connection)
        return gone

    def dropped(self, gone: list[InFile]) -> None:
        """Forget segments that expired."""
        if gone:
            self._sealed = [segment for segment in self._sealed if segment not in gone]
            self._older = [segment for segment in self._older if segment not in gone]
            self._publish()

    def _retire_open(self) -> None:
        if len(self._open):
            self._full.append(self._open)
            self._open = self._new(self._open.last_block_id + 1)

    def _new(self, first_block_id: int) -> OpenSegment:
        return OpenSegment(first_block_id, self._tokens, self._common)

    def _publish(self) -> None:
        self.segments = (*self._older, *self._sealed, *self._full, self._open)
