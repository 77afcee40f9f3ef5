"""How protobuf writes a number whose length is its own (protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations

from collections.abc import Iterator

MORE, LOWER = 0x80, 0x7F


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


def varints_in(body: bytes) -> Iterator[int]:
    """Yield the varints that lie one after the other; a last one that is cut off is none."""
    number = shift = 0
    for byte in body:
        number |= (byte & LOWER) << shift
        if byte & MORE:
            shift += 7
        else:
            yield number
            number = shift = 0
