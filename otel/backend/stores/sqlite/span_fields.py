"""Reads the attributes of a span out of the bytes that protobuf wrote, without an object for each of them.

Ingestion asks only which attributes a span has, as bytes: cutting them out takes half of the time that reaching and
writing each again does. Pure, safe in any thread. Source: protobuf.dev/programming-guides/encoding, trace.proto.
"""

from __future__ import annotations

from opentelemetry.proto.trace.v1.trace_pb2 import Span

ATTRIBUTES_TAG = 0x4A
KIND_TAG = 0x30
LENGTH_PREFIXED = 2
TIME_TAGS = frozenset((0x39, 0x41))
TIME_SIZE = 9


def attributes_in(body: bytes) -> list[bytes]:
    """Return each attribute as KeyValue bytes. `body` is a Span that protobuf itself has written, by field number."""
    found = []
    position, end = 0, len(body)
    while position < end:
        tag = body[position]
        if tag > ATTRIBUTES_TAG:
            break
        if tag & 7 == LENGTH_PREFIXED:
            size, shift = body[position + 1], 7
            position += 2
            while size >> shift:
                size = size & (1 << shift) - 1 | body[position] << shift
                position, shift = position + 1, shift + 7
            if tag == ATTRIBUTES_TAG:
                found.append(body[position : position + size])
            position += size
        elif tag in TIME_TAGS:
            position += TIME_SIZE
        elif tag == KIND_TAG and body[position + 1] < 0x80:
            position += 2
        else:  # a kind that is not known
            return [pair.SerializeToString() for pair in Span.FromString(body).attributes]
    return found
