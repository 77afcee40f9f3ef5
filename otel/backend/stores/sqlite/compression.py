"""The dictionaries that blocks are packed with: a few kilobytes of recent spans, renewed as the spans change.

They matter where spans come a few at a time, and so lie in small blocks. The writer's thread packs, any thread unpacks.
Source: RFC 8878 (a dictionary may be any content).
"""

from __future__ import annotations

import sqlite3
from collections import deque

import zstandard

from otel.backend.stores.sqlite.block import Block, read_block
from otel.backend.stores.sqlite.dictionaries import Unpackers, dictionary_of

# Nearly what fits into a page of the file.
DICTIONARY_BYTES = 8000
# What one block brings to a dictionary, so that it holds spans of several senders.
BYTES_OF_ONE_BLOCK = 500
# So many bytes of spans share a dictionary before a new one is made: its row then costs a byte a span.
BYTES_PER_DICTIONARY = 4 * 1024 * 1024
# Before the first dictionary, less is worth packing badly.
FIRST_DICTIONARY_BYTES = 16 * 1024
LEVEL = 1
# A thread that reads remembers so many dictionaries, about 40 KiB each.
MAX_REMEMBERED = 32


class Compression:
    """Packs blocks with the newest dictionary and remembers the others."""

    def __init__(self) -> None:
        self.dictionary_id = 0
        self._packer = _packer(b"")
        self._recent: deque[bytes] = deque(maxlen=DICTIONARY_BYTES // BYTES_OF_ONE_BLOCK)
        self._packed_bytes = 0
        self._unpackers = Unpackers("compression_dictionary", MAX_REMEMBERED, _unpacker)

    def load(self, connection: sqlite3.Connection) -> None:
        """Go on with the dictionary that was made last."""
        row = connection.execute("SELECT id, body FROM compression_dictionary ORDER BY id DESC LIMIT 1").fetchone()
        self._use(*(row or (0, b"")))
        self._recent.clear()
        self._unpackers.forget()

    def pack(self, content: bytes, sample: bytes) -> bytes:
        """Pack a block; `sample` is what a later dictionary may know of it."""
        self._packed_bytes += len(content)
        self._recent.append(sample[:BYTES_OF_ONE_BLOCK])
        return self._packer.compress(content)

    def renew_in_time(self, connection: sqlite3.Connection) -> None:
        """Make a new dictionary where it is time."""
        if self._packed_bytes < (BYTES_PER_DICTIONARY if self.dictionary_id else FIRST_DICTIONARY_BYTES):
            return
        # What stands nearest to the end of a dictionary is cheapest to point to.
        body = b"".join(self._recent)[-DICTIONARY_BYTES:]
        row_id = connection.execute("INSERT INTO compression_dictionary (body) VALUES (?)", (body,)).lastrowid
        assert row_id is not None
        self._use(row_id, body)
        self._packed_bytes = 0

    def unpack(self, connection: sqlite3.Connection, dictionary_id: int, body: bytes) -> Block:
        """Unpack a block."""
        return read_block(self._unpackers.of(connection, dictionary_id).decompress(body))

    def _use(self, dictionary_id: int, body: bytes) -> None:
        self.dictionary_id = dictionary_id
        self._packer = _packer(body)


def _packer(body: bytes) -> zstandard.ZstdCompressor:
    if not body:
        return zstandard.ZstdCompressor(level=LEVEL)
    dictionary = dictionary_of(body)
    dictionary.precompute_compress(level=LEVEL)
    return zstandard.ZstdCompressor(level=LEVEL, dict_data=dictionary)


def _unpacker(body: bytes) -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor(dict_data=dictionary_of(body)) if body else zstandard.ZstdDecompressor()
