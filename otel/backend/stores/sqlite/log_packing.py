"""How a log record lies in its row: as protobuf, or packed with a dictionary of records that came before it.

Records are short and alike, and each is read and dropped by itself: so each is a zstd frame of its own, and what its
row says anyway (ids, time) is left out. Source: RFC 8878; logs.proto (field numbers).
"""

from __future__ import annotations

import sqlite3
import struct
from collections import deque
from typing import Final

import zstandard

from otel.backend.stores.sqlite.dictionaries import Unpackers, dictionary_of

DICTIONARY_BYTES: Final = 8000
# Before the first dictionary records lie as they are; from there on a new one is made after so many bytes.
FIRST_DICTIONARY_BYTES: Final = 16 * 1024
BYTES_PER_DICTIONARY: Final = 4 * 1024 * 1024
LONGEST_SAMPLE_BYTES: Final = 500
LEVEL: Final = 3
MAX_REMEMBERED: Final = 16
# Which fields were left out, and the dictionary. No protobuf begins with such a byte: there is no field 0.
HEAD: Final = struct.Struct("<BI")
WITH_TIME, WITHOUT_TIME = 0, 1
FIXED64: Final = struct.Struct("<Q")
TIME_TAG, TRACE_ID_TAG, SPAN_ID_TAG = b"\x09", b"\x4a\x10", b"\x52\x08"
TIME_BYTES: Final = 9
INT64_MAX: Final = 2**63 - 1


class LogPacking:
    """Packs records in the writer's thread, and unpacks them in any."""

    def __init__(self) -> None:
        self._dictionary_id = 0
        self._packer: zstandard.ZstdCompressor | None = None
        self._recent: deque[bytes] = deque()
        self._recent_bytes = 0
        self._packed_bytes = 0
        self._unpackers = Unpackers("log_dictionary", MAX_REMEMBERED, _unpacker)

    def load(self, connection: sqlite3.Connection) -> None:
        """Go on with the dictionary that was made last."""
        row = connection.execute("SELECT id, body FROM log_dictionary ORDER BY id DESC LIMIT 1").fetchone()
        self._packer = None
        if row is not None:
            self._use(*row)
        self._recent.clear()
        self._recent_bytes = self._packed_bytes = 0
        self._unpackers.forget()

    def pack(self, connection: sqlite3.Connection, record: bytes, trace_id: bytes, span_id: bytes) -> bytes:
        """Return what goes into the row, given a record as deterministic protobuf."""
        self._learn(connection, record)
        if self._packer is None:
            return record
        kind = WITH_TIME
        if record.startswith(TIME_TAG) and FIXED64.unpack_from(record, 1)[0] <= INT64_MAX:
            kind, record = WITHOUT_TIME, record[TIME_BYTES:]
        ids = _ids(trace_id, span_id)
        if ids and record.count(ids) == 1:  # otherwise a text says the same, and is left alone
            record = record.replace(ids, b"")
        return HEAD.pack(kind, self._dictionary_id) + self._packer.compress(record)

    def unpack(
        self, connection: sqlite3.Connection, body: bytes, time: int, trace_id: bytes | None, span_id: bytes | None
    ) -> bytes:
        """Return a record as protobuf, given what else its row says; a field that is there twice is the same twice."""
        if not body or body[0] not in (WITH_TIME, WITHOUT_TIME):
            return body
        kind, dictionary_id = HEAD.unpack_from(body)
        record = self._unpackers.of(connection, dictionary_id).decompress(body[HEAD.size :])
        begin = TIME_TAG + FIXED64.pack(time) if kind == WITHOUT_TIME else b""
        return b"".join((begin, record, _ids(trace_id or b"", span_id or b"")))

    def drop_unused(self, connection: sqlite3.Connection) -> None:
        """Drop dictionaries that no record needs any more: they grow in the order of records."""
        row = connection.execute("SELECT substr(record, 1, ?) FROM log ORDER BY id LIMIT 1", (HEAD.size,)).fetchone()
        if row is not None and row[0][:1] in (b"\0", b"\1"):
            connection.execute("DELETE FROM log_dictionary WHERE id < ?", (HEAD.unpack(row[0])[1],))

    def _learn(self, connection: sqlite3.Connection, record: bytes) -> None:
        """Remember a record, and make a new dictionary of those remembered where it is time."""
        self._recent.append(record[:LONGEST_SAMPLE_BYTES])
        self._recent_bytes += len(self._recent[-1])
        while self._recent_bytes > DICTIONARY_BYTES:
            self._recent_bytes -= len(self._recent.popleft())
        self._packed_bytes += len(record)
        if self._packed_bytes < (FIRST_DICTIONARY_BYTES if self._packer is None else BYTES_PER_DICTIONARY):
            return
        content = b"".join(self._recent)
        row_id = connection.execute("INSERT INTO log_dictionary (body) VALUES (?)", (content,)).lastrowid
        assert row_id is not None
        self._use(row_id, content)
        self._packed_bytes = 0

    def _use(self, dictionary_id: int, content: bytes) -> None:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            LEVEL, format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_dict_id=False
        )
        dictionary = dictionary_of(content)
        dictionary.precompute_compress(compression_params=parameters)
        self._packer = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters)
        self._dictionary_id = dictionary_id


def _unpacker(content: bytes) -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor(dict_data=dictionary_of(content), format=zstandard.FORMAT_ZSTD1_MAGICLESS)


def _ids(trace_id: bytes, span_id: bytes) -> bytes:
    """Write the two fields as a record has them, one after the other; none where one of them is missing."""
    return TRACE_ID_TAG + trace_id + SPAN_ID_TAG + span_id if trace_id and span_id else b""
