"""The dictionaries of one table, by id, as what unpacks with them. Source: RFC 8878 (any content may be one)."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable

import zstandard


class Unpackers:
    """Any thread: each has decompressors of its own, and remembers so many of them."""

    def __init__(
        self, table: str, max_remembered: int, unpacker_with: Callable[[bytes], zstandard.ZstdDecompressor]
    ) -> None:
        self._question = f"SELECT body FROM {table} WHERE id = ?"  # noqa: S608  # our own names
        self._max_remembered = max_remembered
        self._unpacker_with = unpacker_with
        self._remembered = threading.local()

    def forget(self) -> None:
        """Read every dictionary anew: ids of those that a failed transaction made come again with other content."""
        self._remembered = threading.local()

    def of(self, connection: sqlite3.Connection, dictionary_id: int) -> zstandard.ZstdDecompressor:
        """Return what unpacks with a dictionary; 0 is the empty one."""
        unpackers: dict[int, zstandard.ZstdDecompressor] = self._remembered.__dict__.setdefault("unpackers", {})
        unpacker = unpackers.get(dictionary_id)
        if unpacker is None:
            if len(unpackers) >= self._max_remembered:
                unpackers.clear()
            content = connection.execute(self._question, (dictionary_id,)).fetchone()[0] if dictionary_id else b""
            unpacker = unpackers[dictionary_id] = self._unpacker_with(content)
        return unpacker


def dictionary_of(content: bytes) -> zstandard.ZstdCompressionDict:
    """Return content as a dictionary."""
    return zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
