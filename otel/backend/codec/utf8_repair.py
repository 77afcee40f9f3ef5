"""Parsing of protobuf whose strings are not valid UTF-8: the slow way that is taken only after the fast one failed.

Senders in languages with byte strings do send such text, and one bad value must not cost its whole batch. Invalid bytes
become U+FFFD. Walks the wire format by the message's descriptor; pure, safe in any thread, O(n) in bytes.
Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from otel.backend.codec.varint import varint

VARINT, FIXED64, LENGTH_DELIMITED, FIXED32 = 0, 1, 2, 5
MAX_DEPTH = 64
MAX_VARINT_BYTES = 10

M = TypeVar("M", bound=Message)


class _NotProtobufError(Exception):
    """The bytes do not follow the wire format."""


def parse_with_repair(body: bytes, message_type: type[M]) -> M | None:
    """Parse `body` with its strings made valid; None where it is not such a message even then."""
    try:
        return message_type.FromString(_repair(body, message_type.DESCRIPTOR, 0))
    except (DecodeError, _NotProtobufError):
        return None


def _repair(body: bytes, descriptor: Any, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise _NotProtobufError
    out = bytearray()
    position = 0
    while position < len(body):
        begin = position
        tag, position = _varint(body, position)
        wire_type = tag & 7
        if wire_type != LENGTH_DELIMITED:
            position = _skip(body, position, wire_type)
            out += body[begin:position]
            continue
        length, position = _varint(body, position)
        end = position + length
        if end > len(body):
            raise _NotProtobufError
        content = _repair_field(body[position:end], descriptor.fields_by_number.get(tag >> 3), depth)
        out += varint(tag) + varint(len(content)) + content
        position = end
    return bytes(out)


def _repair_field(content: bytes, field: FieldDescriptor | None, depth: int) -> bytes:
    if field is None:
        return content
    if field.type == FieldDescriptor.TYPE_STRING:
        return content.decode("utf-8", "replace").encode("utf-8")
    if field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type is not None:
        return _repair(content, field.message_type, depth + 1)
    return content


def _skip(body: bytes, position: int, wire_type: int) -> int:
    if wire_type == VARINT:
        return _varint(body, position)[1]
    width = {FIXED64: 8, FIXED32: 4}.get(wire_type)
    if width is None or position + width > len(body):
        raise _NotProtobufError
    return position + width


def _varint(body: bytes, position: int) -> tuple[int, int]:
    number = 0
    for index in range(MAX_VARINT_BYTES):
        if position + index >= len(body):
            raise _NotProtobufError
        byte = body[position + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number, position + index + 1
    raise _NotProtobufError
