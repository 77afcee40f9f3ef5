"""OTLP's trace messages, read only as far as ingestion asks: the same wire format under descriptors of our own.

What nobody looks into here is a field of bytes: a span as it came, each of its attributes as it came. Protobuf then
makes no object for a key and a value, and cutting a span's attributes out is one call. Bytes must have been accepted by
the real messages before: nothing here checks that a text is UTF-8. Pure, safe in any thread.
Source: trace.proto; protobuf.dev/programming-guides/encoding (a message and bytes lie alike on the wire).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from opentelemetry.proto.trace.v1.trace_pb2 import Status

from otel.backend.codec.lean_messages import BYTES, MANY, NUMBER, ONE, TIME, Field, message_classes
from otel.backend.codec.varint import varint

SPANS_TAG = b"\x12"


class SpanFields(Protocol):
    """A span's fields; times are nanoseconds since the epoch, 0 where they were never set."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: bytes
    kind: int
    start_time_unix_nano: int
    end_time_unix_nano: int

    @property
    def statuses(self) -> Sequence[bytes]:
        """One as Status bytes, or none; a sender that writes several means all of them as one."""

    @property
    def attributes(self) -> Sequence[bytes]:
        """Each as KeyValue bytes."""

    @property
    def events(self) -> Sequence[Any]:
        """Each with `attributes`."""

    @property
    def links(self) -> Sequence[Any]:
        """Each with `attributes`."""


def scopes_in(resource_spans: bytes) -> Sequence[bytes]:
    """Return each ScopeSpans of a ResourceSpans, as bytes."""
    return _RESOURCE_SPANS.FromString(resource_spans).scope_spans  # type: ignore[no-any-return]  # made below


def bodies_in(scope_spans: bytes) -> Sequence[bytes]:
    """Return each Span of a ScopeSpans, as bytes."""
    return _SCOPE_BODIES.FromString(scope_spans).spans  # type: ignore[no-any-return]  # made below


def spans_in(scope_spans: bytes) -> Sequence[SpanFields]:
    """Return each Span of a ScopeSpans, as fields."""
    return _SCOPE_SPANS.FromString(scope_spans).spans  # type: ignore[no-any-return]  # made below


def indexed_attributes(span: SpanFields) -> Sequence[bytes]:
    """Return the attributes by which a span is found: its own, and those of its events and links."""
    if not span.events and not span.links:
        return span.attributes[:]  # a list, which is read several times as fast as what protobuf keeps
    return [*span.attributes, *(content for part in (*span.events, *span.links) for content in part.attributes)]


def status_of(span: SpanFields) -> bytes:
    """Return a span's status as bytes. What is written in parts means the same as the parts one after the other."""
    return b"".join(span.statuses)


def status_code(status: bytes) -> int:
    """Return OTLP's number of a span's status."""
    return Status.FromString(status).code if status else 0


def as_spans_field(body: bytes) -> bytes:
    """Return a Span as what ScopeSpans holds of it: to be parsed or joined with others."""
    return SPANS_TAG + varint(len(body)) + body


_MESSAGES: Final[dict[str, tuple[Field, ...]]] = {
    "ResourceSpans": (("scope_spans", 2, BYTES, MANY),),
    "ScopeBodies": (("spans", 2, BYTES, MANY),),
    "ScopeSpans": (("spans", 2, "Span", MANY),),
    "Span": (
        ("trace_id", 1, BYTES, ONE),
        ("span_id", 2, BYTES, ONE),
        ("parent_span_id", 4, BYTES, ONE),
        ("name", 5, BYTES, ONE),
        ("kind", 6, NUMBER, ONE),
        ("start_time_unix_nano", 7, TIME, ONE),
        ("end_time_unix_nano", 8, TIME, ONE),
        ("attributes", 9, BYTES, MANY),
        ("events", 11, "Event", MANY),
        ("links", 13, "Link", MANY),
        ("statuses", 15, BYTES, MANY),
    ),
    "Event": (("attributes", 3, BYTES, MANY),),
    "Link": (("attributes", 4, BYTES, MANY),),
}


_CLASSES = message_classes("tracelab.fields", _MESSAGES)
_RESOURCE_SPANS = _CLASSES["ResourceSpans"]
_SCOPE_BODIES = _CLASSES["ScopeBodies"]
_SCOPE_SPANS = _CLASSES["ScopeSpans"]
