"""The dictionaries that spans are packed with: a few kilobytes of recent ones, renewed as the spans change.

The writer's thread packs, any thread unpacks.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict

from otel.backend.stores.sqlite.span_blobs import DICTIONARY_BYTES, pack, packer

# So many pieces share a dictionary before a new one is made: its row then costs about a byte a span.
PIECES_PER_DICTIONARY = 4096
# Before the first dictionary, less is worth packing badly.
FIRST_DICTIONARY_PIECES = 16
MAX_REMEMBERED = 256


class Compression:
    """Packs pieces with the newest dictionary and remembers the others."""

    def __init__(self) -> None:
        self._current_id = 0
        self._packer = packer(b"")
        self._recent: list[bytes] = []
        self._packed_count = 0
        self._remembered: OrderedDict[int, bytes] = OrderedDict()

    def load(self, connection: sqlite3.Connection) -> None:
        """Go on with the dictionary that was made last."""
        row = connection.execute("SELECT id, body FROM compression_dictionary ORDER BY id DESC LIMIT 1").fetchone()
        self._use(*(row or (0, b"")))
        self._remembered.clear()
        self._recent.clear()

    def pack(self, connection: sqlite3.Connection, frames: bytes) -> bytes:
        """Pack the frames of a piece, making a new dictionary first where it is time."""
        self._packed_count += 1
        until_renewal = PIECES_PER_DICTIONARY if self._current_id else FIRST_DICTIONARY_PIECES
        if self._packed_count >= until_renewal and self._recent:
            self._renew(connection)
        if self._packed_count + FIRST_DICTIONARY_PIECES >= until_renewal:
            self._recent.append(frames[:DICTIONARY_BYTES])
        return pack(frames, self._current_id, self._packer)

    def dictionary(self, connection: sqlite3.Connection, dictionary_id: int) -> bytes:
        """Return a dictionary by id."""
        body = self._remembered.get(dictionary_id)
        if body is None:
            row = connection.execute(
                "SELECT body FROM compression_dictionary WHERE id = ?", (dictionary_id,)
            ).fetchone()
            body = bytes(row[0])
            self._remembered[dictionary_id] = body
            while len(self._remembered) > MAX_REMEMBERED:
                self._remembered.popitem(last=False)
        return body

    def _renew(self, connection: sqlite3.Connection) -> None:
        # What stands nearest to the end of a dictionary is cheapest to point to.
        body = b"".join(self._recent)[-DICTIONARY_BYTES:]
        row_id = connection.execute("INSERT INTO compression_dictionary (body) VALUES (?)", (body,)).lastrowid
        assert row_id is not None
        self._use(row_id, body)
        self._recent.clear()
        self._packed_count = 0

    def _use(self, dictionary_id: int, body: bytes) -> None:
        self._current_id = dictionary_id
        self._packer = packer(body)
