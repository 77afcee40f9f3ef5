"""Spans as versions 1 and 2 of the store wrote them, read until their traces have gone: a piece per trace and write.

A piece is frames of (resource id, scope id, protobuf), packed with zlib and a shared dictionary. Nothing writes them
any more; a file that begins today has no table for them. Source: RFC 1950 (preset dictionaries).
"""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from otel.backend.stores.sqlite.block_writer import BlockWriter
from otel.backend.stores.sqlite.span_fields import bodies_in

FRAME = struct.Struct("<III")
HEADER = struct.Struct("<I")


class OlderPieces:
    """The pieces of a file, as far as it has any."""

    def __init__(self) -> None:
        self.exist = False

    def load(self, connection: sqlite3.Connection) -> None:
        """Learn whether the file may have pieces."""
        self.exist = bool(
            connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'span_piece'").fetchone()[0]
        )

    def frames(self, connection: sqlite3.Connection, trace_key: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield resource id, scope id and spans of each frame of a trace."""
        if not self.exist:
            return
        rows = connection.execute("SELECT spans FROM span_piece WHERE trace_key = ? ORDER BY id", (trace_key,))
        for (body,) in rows.fetchall():
            yield from frames_in(connection, body)

    def take_over(self, connection: sqlite3.Connection, blocks: BlockWriter) -> None:
        """Move the pieces that no segment indexes into blocks, which are indexed from here on."""
        if not self.exist:
            return
        condition = "id > (SELECT coalesce(max(last_piece_id), 0) FROM segment)"
        pieces = connection.execute(
            "SELECT trace_key, trace_id, spans FROM span_piece JOIN trace ON key = trace_key"  # noqa: S608
            f" WHERE {condition} ORDER BY id"
        )
        traces: dict[int, _PieceTrace] = {}
        for trace_key, trace_id, piece in pieces.fetchall():
            trace = traces.setdefault(trace_key, _PieceTrace(trace_key, trace_id))
            for resource_id, scope_id, spans in frames_in(connection, piece):
                blocks.begin_run(resource_id, scope_id)
                for body in bodies_in(spans):
                    if not blocks.room:
                        blocks.end_block(connection)
                    blocks.add(trace, body)
        blocks.finish(connection)
        links = [(trace.key, block_id) for trace in traces.values() for block_id in trace.block_ids]
        connection.executemany("INSERT INTO trace_block (trace_key, block_id) VALUES (?, ?)", links)
        connection.execute(f"DELETE FROM span_piece WHERE {condition}")  # noqa: S608

    def delete(self, connection: sqlite3.Connection, trace_key: int) -> None:
        """Delete the pieces of a trace."""
        if self.exist:
            connection.execute("DELETE FROM span_piece WHERE trace_key = ?", (trace_key,))

    def oldest_dictionary_id(self, connection: sqlite3.Connection) -> int | None:
        """Return the oldest dictionary that a piece needs; they grow in the order of pieces."""
        if not self.exist:
            return None
        row = connection.execute(
            "SELECT substr(spans, 1, ?) FROM span_piece ORDER BY id LIMIT 1", (HEADER.size,)
        ).fetchone()
        return int(HEADER.unpack(row[0])[0]) if row else None


@dataclass(slots=True, eq=False)
class _PieceTrace:
    """A trace whose pieces move into blocks."""

    key: int
    trace_id: bytes
    block_ids: list[int] = field(default_factory=list)

    def note_block(self, block_id: int) -> None:
        self.block_ids.append(block_id)


def frames_in(connection: sqlite3.Connection, body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield the frames of a piece."""
    (dictionary_id,) = HEADER.unpack_from(body)
    unpacker = zlib.decompressobj()
    if dictionary_id:
        row = connection.execute("SELECT body FROM compression_dictionary WHERE id = ?", (dictionary_id,)).fetchone()
        unpacker = zlib.decompressobj(zdict=row[0])
    frames = unpacker.decompress(body[HEADER.size :])
    position = 0
    while position < len(frames):
        resource_id, scope_id, length = FRAME.unpack_from(frames, position)
        position += FRAME.size
        yield resource_id, scope_id, frames[position : position + length]
        position += length
