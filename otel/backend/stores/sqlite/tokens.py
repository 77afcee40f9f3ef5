"""Hashes of what a search may ask for: 32 bits for a key and a value, an operation, a resource, a scope.

They only narrow a search down: a collision costs a look at a span that does not match, never a wrong answer.
"""

from __future__ import annotations

import struct
from zlib import crc32

from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from otel.backend.codec.attribute_text import float_text, text_of

# Distinct attributes whose hash is remembered; past that the memory is emptied and fills anew.
MAX_REMEMBERED = 50_000
KEY_TAG, VALUE_TAG, STRING_VALUE_TAG, DOUBLE_VALUE_TAG = 0x0A, 0x12, 0x0A, 0x21
DOUBLE = struct.Struct("<d")
DOUBLE_VALUE_SIZE = 9
# An empty key and an empty text.
SHORTEST_PLAIN = 4
# With its own tag and length the text still has a length of one byte.
LONGEST_SHORT = 125


def attribute_token(key: str, text: str) -> int:
    """Return the hash of an attribute's key and text form."""
    return crc32(text.encode("utf-8", "surrogatepass"), crc32(key.encode("utf-8", "surrogatepass") + b"\0"))


def operation_token(operation_id: int) -> int:
    """Return the hash of an operation's id."""
    return crc32(b"\x01operation%d" % operation_id)


def origin_token(origin_id: int) -> int:
    """Return the hash of a resource's or scope's id."""
    return crc32(b"\x01origin%d" % origin_id)


class AttributeTokens(dict[bytes, int]):
    """Hashes of attributes by their protobuf bytes, computed when first asked for. One thread at a time.

    A dictionary, since looking one up is the most frequent thing that ingestion does.
    """

    def __missing__(self, content: bytes) -> int:
        """Compute the hash of an attribute."""
        token = _plain_token(content)
        if token is None:
            pair = KeyValue.FromString(content)
            token = attribute_token(pair.key, text_of(pair.value))
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
        text = content[value + 4 :]
    elif content[value + 2] == DOUBLE_VALUE_TAG and size == DOUBLE_VALUE_SIZE:
        text = float_text(DOUBLE.unpack_from(content, value + 3)[0]).encode("ascii")
    else:
        return None
    return crc32(text, crc32(content[2:value] + b"\0"))
