"""How protobuf writes a number whose length is its own (protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations


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
