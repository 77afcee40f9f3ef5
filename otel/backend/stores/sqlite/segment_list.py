"""The list of segments: sealed ones in the file, full ones that wait for their commit, and the one that grows.

The writer's thread changes it; readers take `segments`, which is replaced as a whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from otel.backend.stores.sqlite.segments import SPANS_PER_SEGMENT, OpenSegment, SealedSegment, Segment, sealed_segments


class SegmentList:
    """What a search walks through."""

    def __init__(self) -> None:
        self._sealed: list[SealedSegment] = []
        self._full: list[OpenSegment] = []
        self._open = OpenSegment()
        self.segments: tuple[Segment, ...] = ()

    def load(self, connection: sqlite3.Connection) -> int:
        """Forget what is in memory; returns the last piece that the file's segments index."""
        self._sealed, last_piece_id = sealed_segments(connection)
        self._full = []
        self._open = OpenSegment()
        self._open.last_piece_id = last_piece_id
        self._publish()
        return last_piece_id

    def add(
        self,
        trace_key: int,
        start: int,
        duration: int,
        operation_id: int,
        status: int,
        tokens: Collection[int],
    ) -> None:
        """Index one span; a full segment waits for the end of the batch, when its pieces have their ids."""
        if len(self._open) >= SPANS_PER_SEGMENT:
            self._full.append(self._open)
            self._open = OpenSegment()
            self._publish()
        self._open.add(trace_key, start, duration, operation_id, status, tokens)

    def indexed_up_to(self, piece_id: int) -> None:
        """Note that every piece up to this one is indexed in memory."""
        for segment in (*self._full, self._open):
            segment.last_piece_id = piece_id

    def seal_full(self, connection: sqlite3.Connection) -> list[SealedSegment]:
        """Write the segments that are full, inside the caller's transaction; `sealed` must follow its commit.

        A batch may end inside a segment, and pieces are indexed by whole batches: the open segment is sealed with the
        full ones, so that none of its spans stands twice after a restart.
        """
        if len(self._open) >= SPANS_PER_SEGMENT or self._full:
            self._full.append(self._open)
            self._open = OpenSegment()
            self._publish()
        return [segment.write(connection) for segment in self._full if len(segment)]

    def seal_all(self, connection: sqlite3.Connection, min_spans: int) -> list[SealedSegment]:
        """Write the open segment too, where it has enough spans to be worth it."""
        if len(self._open) >= min_spans:
            self._full.append(self._open)
            self._open = OpenSegment()
        return [segment.write(connection) for segment in self._full if len(segment)]

    def sealed(self, written: list[SealedSegment]) -> None:
        """Put the written segments in the place of those in memory."""
        if written:
            self._sealed += written
            self._full = []
            self._publish()

    def drop_expired(self, connection: sqlite3.Connection, first_trace_key: int) -> list[SealedSegment]:
        """Delete the rows of segments whose traces are all gone; `dropped` must follow the commit."""
        from otel.backend.stores.sqlite.segments import BUCKET_COUNT

        gone = [segment for segment in self._sealed if segment.max_trace_key < first_trace_key]
        # The newest one stays, since it says which pieces are indexed.
        gone = [segment for segment in gone if segment is not self._sealed[-1]]
        for segment in gone:
            first = segment.segment_id * BUCKET_COUNT
            connection.execute("DELETE FROM segment_postings WHERE id >= ? AND id < ?", (first, first + BUCKET_COUNT))
            connection.execute("DELETE FROM segment WHERE id = ?", (segment.segment_id,))
        return gone

    def dropped(self, gone: list[SealedSegment]) -> None:
        """Forget segments that expired."""
        if gone:
            ids = {segment.segment_id for segment in gone}
            self._sealed = [segment for segment in self._sealed if segment.segment_id not in ids]
            self._publish()

    def _publish(self) -> None:
        self.segments = (*self._sealed, *self._full, self._open)
