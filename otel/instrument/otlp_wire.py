"""OTLP's wire form by hand: the parts that spans and logs share, with bounded caches of encoded bytes.

Only what is frequent is encoded here: strings, booleans, integers, floats, bytes. Every other value is encoded by the
functions of the stock exporter, so an odd value looks, or fails, exactly as it does there. An encoder belongs to one
exporter; any thread may use it, since its caches are only read, added to and emptied.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common import _internal as stock
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel.instrument.deferred import Deferred

# A full cache is emptied: what is frequent is back at once, what was there once does not stay.
CACHE_SIZE: Final = 4096
# Longer texts (stack traces) are encoded each time: they seldom repeat, and would make the caches heavy.
CACHED_TEXT_CHARS: Final = 128
INT64_LIMIT: Final = 2**63
UINT64_MASK: Final = 2**64 - 1
# Calls wait for the interpreter while a batch is encoded: for this many records, some 50 µs; then they have it a while.
RECORDS_AT_ONCE: Final = 12
PAUSE_S: Final = 0.0003

_ONE_BYTE: Final = tuple(bytes((number,)) for number in range(128))
_DOUBLE: Final = struct.Struct("<Bd")
_DOUBLE_ALONE: Final = struct.Struct("<d")
_CACHED_TYPES: Final = frozenset({str, int, bool})

Key = TypeVar("Key", bound=Hashable)

# Spans and logs are due at the same moment: one batch of a process is encoded at a time, or calls would wait for two.
_turn = threading.Lock()


def _free_turn() -> None:
    global _turn  # its owner is a thread that a forked process does not have
    _turn = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_turn)


def varint(number: int) -> bytes:
    """Encode a number of at least 0, seven bits a byte, lowest first."""
    if number < 1 << 7:
        return _ONE_BYTE[number]
    if number < 1 << 14:
        return bytes((number & 127 | 128, number >> 7))
    groups = bytearray()
    while number >= 1 << 7:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def field(number: int, content: bytes) -> bytes:
    """Encode a field of text, bytes or a message, whose number is below 16."""
    return b"%c%b%b" % (number << 3 | 2, varint(len(content)), content)


def remember(cache: dict[Key, bytes], key: Key, encoded: bytes) -> bytes:
    """Keep and return `encoded`."""
    if len(cache) >= CACHE_SIZE:
        cache.clear()
    cache[key] = encoded
    return encoded


def any_value(value: Any) -> bytes:
    """Encode the content of an `AnyValue`. Raises what the stock encoder raises for a value that has no form."""
    kind = type(value)
    if kind is str:
        return field(1, value.encode())
    if kind is bool:
        return b"\x10\x01" if value else b"\x10\x00"
    if kind is int and -INT64_LIMIT <= value < INT64_LIMIT:
        return b"\x18" + varint(value & UINT64_MASK)
    if kind is float:
        return _DOUBLE.pack(4 << 3 | 1, value)
    if kind is bytes:
        return field(7, value)
    encoded: bytes = stock._encode_value(value).SerializeToString()
    return encoded


def request_with(
    batch: Sequence[Any],
    encode_stock: Callable[[Sequence[Any]], Any],
    envelope: Envelope,
    encode_deferred: Callable[[Any], bytes],
) -> bytes:
    """Encode a batch that one of our encoders could not: what has a form for sure by it, the rest by the stock one.

    Two requests one after the other are one with the groups of both, as protobuf joins messages.
    """
    deferred = [record for record in batch if type(record) is Deferred]
    others = [record for record in batch if type(record) is not Deferred]
    stock_request: bytes = encode_stock(others).SerializeToString()
    return envelope.request(deferred, encode_deferred) + stock_request


class AttributeFields:
    """Encodes attributes as `KeyValue` fields of one number; keeps the bytes of each (key, value) it has seen.

    The values of `unique_keys` never repeat, so they are not kept: they would only push the others out.
    """

    def __init__(self, field_number: int, unique_keys: Collection[str] = ()) -> None:
        self._number = field_number
        self._unique_keys = frozenset(unique_keys)
        self._cache: dict[tuple[str, Any, type], bytes] = {}
        self._keys: dict[str, bytes] = {}
        self._before_double: dict[str, bytes] = {}

    def append(self, parts: list[bytes], attributes: Mapping[str, Any] | None) -> None:
        """Append one field per attribute to `parts`; like the stock encoder, log and leave out what has no form."""
        if not attributes:
            return
        cache = self._cache
        # The SDK's own mapping gives each item by three calls in Python; its dictionary is what they read.
        items = attributes._dict if type(attributes) is BoundedAttributes else attributes
        for key, value in items.items():
            kind = type(value)  # part of the cache's key, since 1 == True == 1.0
            if kind is float:
                before = self._before_double.get(key) or self._start_double(key)
                parts.append(before + _DOUBLE_ALONE.pack(value) if before else self._encode(key, value))
                continue
            encoded = cache.get((key, value, kind)) if kind in _CACHED_TYPES else None
            parts.append(self._encode(key, value) if encoded is None else encoded)

    def _start_double(self, key: str) -> bytes:
        """Return what stands before the eight bytes of a float, or nothing for a key without a form."""
        try:
            content = (self._keys.get(key) or self._name(key)) + field(2, any_value(0.0))
        except Exception:  # the stock encoder tells why, by `_encode`
            return b""
        before = field(self._number, content)[: -_DOUBLE_ALONE.size]
        return remember(self._before_double, key, before) if len(key) <= CACHED_TEXT_CHARS else before

    def _encode(self, key: str, value: Any) -> bytes:
        try:
            name = self._keys.get(key) or self._name(key)
            content = name + field(2, any_value(value))
        except Exception:  # the stock encoder tells why, in its words
            return b"".join(
                field(self._number, member.SerializeToString()) for member in stock._encode_attributes({key: value})
            )
        encoded = field(self._number, content)
        if type(value) in _CACHED_TYPES and len(content) <= CACHED_TEXT_CHARS and key not in self._unique_keys:
            remember(self._cache, (key, value, type(value)), encoded)
        return encoded

    def _name(self, key: str) -> bytes:
        encoded = field(1, key.encode())
        return remember(self._keys, key, encoded) if len(key) <= CACHED_TEXT_CHARS else encoded


class Envelope:
    """Puts encoded records into their resources and scopes, the same nesting for spans and for logs."""

    def __init__(self) -> None:
        self._last_resource: tuple[Resource, bytes] | None = None
        self._scopes: dict[InstrumentationScope | None, bytes] = {}

    def request(self, records: Iterable[Any], encode: Callable[[Any], bytes]) -> bytes:
        """Encode `records`, each by `encode`, as the whole request; groups come in the order of their first record.

        Waits for its turn and lets go of the interpreter now and then, so it is not for the thread of an event loop.
        """
        with _turn:
            request = self._request(records, encode)
            time.sleep(PAUSE_S)  # to send it takes some time of its own
        return request

    def _request(self, records: Iterable[Any], encode: Callable[[Any], bytes]) -> bytes:
        by_resource: dict[Resource, dict[InstrumentationScope | None, list[bytes]]] = {}
        # By identity first: a resource's hash renders all of it as JSON. The records keep the objects alive.
        by_identity: dict[tuple[int, int], list[bytes]] = {}
        for number, record in enumerate(records, 1):
            if number % RECORDS_AT_ONCE == 0:
                time.sleep(PAUSE_S)  # calls go on meanwhile
            resource, scope = record.resource, record.instrumentation_scope
            group = by_identity.get((id(resource), id(scope)))
            if group is None:
                group = by_resource.setdefault(resource, {}).setdefault(scope or None, [])
                by_identity[id(resource), id(scope)] = group
            group.append(field(2, encode(record)))
        return b"".join(field(1, self._of_resource(resource, scopes)) for resource, scopes in by_resource.items())

    def _of_resource(self, resource: Resource, scopes: Mapping[InstrumentationScope | None, Sequence[bytes]]) -> bytes:
        parts = [self._resource(resource)]
        parts += [field(2, b"".join([self._scope(scope), *group])) for scope, group in scopes.items()]
        parts.append(_schema_url(resource.schema_url))
        return b"".join(parts)

    def _resource(self, resource: Resource) -> bytes:
        if self._last_resource is None or self._last_resource[0] is not resource:
            self._last_resource = (resource, field(1, stock._encode_resource(resource).SerializeToString()))
        return self._last_resource[1]

    def _scope(self, scope: InstrumentationScope | None) -> bytes:
        encoded = self._scopes.get(scope)
        if encoded is None:
            described = stock._encode_instrumentation_scope(scope)  # type: ignore[arg-type]  # it takes None, too
            schema_url = _schema_url(scope.schema_url if scope is not None else None)
            encoded = remember(self._scopes, scope, field(1, described.SerializeToString()) + schema_url)
        return encoded


def _schema_url(url: str | None) -> bytes:
    return field(3, url.encode()) if url else b""
