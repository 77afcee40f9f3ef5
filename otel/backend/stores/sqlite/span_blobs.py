"""How spans lie in a `span_piece` row: frames of (resource id, scope id, protobuf), packed with a shared dictionary.

A frame's protobuf is the `spans` field of a ScopeSpans message, so that parsing it is one call. A small piece packs
badly alone; with a few kilobytes of earlier spans as dictionary it takes about a fifth. Pure but for the dictionaries,
which a caller looks up. Source: RFC 1950 (preset dictionaries).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

FRAME = struct.Struct("<III")
HEADER = struct.Struct("<I")
# Past a few kilobytes a dictionary costs more time to set up than it saves room.
DICTIONARY_BYTES = 4096
COMPRESSION_LEVEL = 1
WINDOW_BITS = 13
MEMORY_LEVEL = 5
SPANS_TAG = b"\x12"


def varint(number: int) -> bytes:
    """Write a protobuf varint."""
    if number < 0x80:
        return bytes((number,))
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def frame(resource_id: int, scope_id: int, spans: bytes) -> bytes:
    """Write one frame."""
    return FRAME.pack(resource_id, scope_id, len(spans)) + spans


def packer(dictionary: bytes) -> zlib._Compress:
    """Make what `pack` copies for each piece: setting a dictionary up costs more than packing a piece with it.

    The small window keeps the copy small; pieces seldom reach past it.
    """
    return zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL, zdict=dictionary)


def pack(frames: bytes, dictionary_id: int, prototype: zlib._Compress) -> bytes:
    """Compress frames with a copy of `prototype`, which was made of the dictionary named."""
    copy = prototype.copy()
    return HEADER.pack(dictionary_id) + copy.compress(frames) + copy.flush()


def unpack(body: bytes, dictionary_of: Callable[[int], bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Yield the frames of a row."""
    (dictionary_id,) = HEADER.unpack_from(body)
    unpacker = zlib.decompressobj(zdict=dictionary_of(dictionary_id)) if dictionary_id else zlib.decompressobj()
    frames = unpacker.decompress(body[HEADER.size :])
    position = 0
    while position < len(frames):
        resource_id, scope_id, length = FRAME.unpack_from(frames, position)
        position += FRAME.size
        yield resource_id, scope_id, frames[position : position + length]
        position += length
