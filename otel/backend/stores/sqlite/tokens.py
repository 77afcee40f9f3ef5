"""Hashes of what a search may ask for: 32 bits for a key and a value, an operation, a resource, a scope.

They only narrow a search down: a collision costs a look at a span that does not match, never a wrong answer.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Iterator
from zlib import crc32

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from otel.backend.codec.attribute_text import text_of

# Distinct attributes whose hash is remembered; past that the memory is emptied and fills anew.
MAX_REMEMBERED = 50_000
KEY_TAG, VALUE_TAG, STRING_VALUE_TAG, DOUBLE_VALUE_TAG = 0x0A, 0x12, 0x0A, 0x21
DOUBLE = struct.Struct("<d")
DOUBLE_VALUE_SIZE = 9
# What stands before the eight bytes of a double that is the last of an attribute.
DOUBLE_VALUE_HEAD = bytes((DOUBLE_VALUE_SIZE, DOUBLE_VALUE_TAG))
# An empty key and an empty text.
SHORTEST_PLAIN = 4
# With its own tag and length the text still has a length of one byte.
LONGEST_SHORT = 125


def attribute_token(key: str, text: str) -> int:
    """Return the hash of an attribute's key and text form."""
    return crc32(text.encode("utf-8", "surrogatepass"), crc32(key.encode("utf-8", "surrogatepass") + b"\0"))


def double_token(key: str, number: float) -> int:
    """Return the hash of a finite double: of its bits, since writing it as a text takes longer than all the rest."""
    return crc32(DOUBLE.pack(number), crc32(key.encode("utf-8", "surrogatepass") + b"\1"))


def operation_token(operation_id: int) -> int:
    """Return the hash of an operation's id."""
    return crc32(b"\x01operation%d" % operation_id)


def origin_token(origin_id: int) -> int:
    """Return the hash of a resource's or scope's id."""
    return crc32(b"\x01origin%d" % origin_id)


def token_of(key: str, value: AnyValue) -> int:
    """Return the hash of an attribute: of its text form, or of a double's bits."""
    if value.WhichOneof("value") == "double_value" and math.isfinite(value.double_value):
        return double_token(key, value.double_value)
    return attribute_token(key, text_of(value))


def tokens_of_text(key: str, text: str) -> Iterator[int]:
    """Yield each hash that an attribute with this text form may have.

    The text of a double reads back as the same bits. Segments of older files have it by its text.
    """
    yield attribute_token(key, text)
    with contextlib.suppress(ValueError):
        number = float(text)
        if math.isfinite(number):
            yield double_token(key, number)


class AttributeTokens(dict[bytes, int]):
    """Hashes of attributes by their protobuf bytes, computed when first asked for. One thread at a time.

    A dictionary, since looking one up is the most frequent thing that ingestion does.
    """

    def __missing__(self, content: bytes) -> int:
        """Compute the hash of an attribute."""
        token = _plain_token(content)
        if token is None:
            pair = KeyValue.FromString(content)
            token = token_of(pair.key, pair.value)
        elif content[-DOUBLE_VALUE_SIZE - 1 : -DOUBLE.size] == DOUBLE_VALUE_HEAD:
            return token  # a double hardly comes again, and to remember it costs more than its hash
        if len(self) >= MAX_REMEMBERED:
            self.clear()
        self[content] = token
        return token


def _plain_token(content: bytes) -> int | None:
    """Return the hash of an attribute that is a short text or a double, unparsed: most that are new are such.

    The bytes of a short one are: 0x0A, length, key, 0x12, length, then 0x0A, length, text or 0x21, eight bytes. Of
    another form, or of lengths from 126 on, the answer is None.
    """
    if len(content) < SHORTEST_PLAIN or content[0] != KEY_TAG or content[1] > LONGEST_SHORT:
        return None
    value = content[1] + 2
    size = len(content) - value - 2
    if size < 2 or size > LONGEST_SHORT + 2 or content[value] != VALUE_TAG or content[value + 1] != size:
        return None
    if content[value + 2] == STRING_VALUE_TAG and content[value + 3] == size - 2:
        return crc32(content[value + 4 :], crc32(content[2:value] + b"\0"))
    # The exponent of what is infinite or no number is all ones: its last byte is 0x7F or 0xFF.
    if content[value + 2] == DOUBLE_VALUE_TAG and size == DOUBLE_VALUE_SIZE and content[-1] & 0x7F != 0x7F:
        return crc32(content[value + 3 :], crc32(content[2:value] + b"\1"))
    return None
