"""OTLP/JSON, both ways, driven by the protobuf descriptors so that no field can be forgotten.

Out: lowerCamelCase, ids in lower-case hex, 64-bit integers as strings, enums as numbers; zero scalars and empty lists
are left out, but `resource`, `scope`, `status` and a key's `value` always stand, if only as `{}`. In: tolerant, as the
Collector is (snake_case keys, integers in both forms, enum names, unknown fields ignored). Pure, safe in any thread.
Source: opentelemetry-proto docs/specification.md; pdata of the OpenTelemetry Collector.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from otel.backend.errors import MalformedTelemetryError

Json: TypeAlias = "dict[str, Any]"

HEX_FIELDS = {"trace_id": 32, "span_id": 16, "parent_span_id": 16}
ALWAYS_PRESENT = {
    "ResourceSpans": ("resource",),
    "ScopeSpans": ("scope",),
    "Span": ("status",),
    "KeyValue": ("value",),
    "ResourceLogs": ("resource",),
    "ScopeLogs": ("scope",),
    "ResourceMetrics": ("resource",),
    "ScopeMetrics": ("scope",),
}
INTEGERS_64 = {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
    FieldDescriptor.TYPE_SINT64,
}
UNSIGNED = {
    FieldDescriptor.TYPE_UINT32,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_FIXED32,
    FieldDescriptor.TYPE_FIXED64,
}
# What `_pair` knows of; a KeyValue of a later OTLP may have more, and is then written field by field.
PAIR_FIELDS = {"key", "value", "key_strindex"}
# Past this a message cannot nest: AnyValue may hold AnyValues, and a hostile body must not end the stack.
MAX_DEPTH = 64


def to_json(message: Message) -> Json:
    """Return a message as the object that OTLP/JSON says."""
    writers, always = _writers(message.DESCRIPTOR)
    out: Json = {}
    for field, value in message.ListFields():
        name, write = writers[field.number]
        out[name] = write(value)
    for name in always:
        if name not in out:
            out[name] = {}
    return out


def read_json(document: object, message: Message) -> None:
    """Fill `message` from a parsed OTLP/JSON document; MalformedTelemetryError names the field that is wrong."""
    _read_message(document, message, "", 0)


@cache
def _writers(descriptor: Descriptor) -> tuple[dict[int, tuple[str, Callable[[Any], Any]]], tuple[str, ...]]:
    writers = {field.number: (field.json_name, _writer(field)) for field in descriptor.fields}
    return writers, ALWAYS_PRESENT.get(descriptor.name, ())


def _writer(field: FieldDescriptor) -> Callable[[Any], Any]:
    one = _scalar_writer(field)
    if field.is_repeated:
        return lambda values: [one(value) for value in values]
    return one


def _scalar_writer(field: FieldDescriptor) -> Callable[[Any], Any]:
    if field.message_type is not None:
        is_pair = {each.name for each in field.message_type.fields} == PAIR_FIELDS
        return _pair if is_pair else to_json
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes.hex if field.name in HEX_FIELDS else _base64
    if field.type in INTEGERS_64:
        return str
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return _number
    return lambda value: value


def _pair(pair: KeyValue) -> Json:
    """Write an attribute: most of a trace is attributes, and most of them are a key with a text or a number."""
    key, value = pair.key, pair.value
    form = value.WhichOneof("value") if key and not pair.key_strindex else None
    if form == "string_value":
        return {"key": key, "value": {"stringValue": value.string_value}}
    if form == "int_value":
        return {"key": key, "value": {"intValue": str(value.int_value)}}
    return to_json(pair)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _number(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


@cache
def _fields(descriptor: Descriptor) -> dict[str, FieldDescriptor]:
    by_name = {field.name: field for field in descriptor.fields}
    by_name.update({field.json_name: field for field in descriptor.fields})
    return by_name


def _read_message(document: object, message: Message, path: str, depth: int) -> None:
    if not isinstance(document, dict):
        raise MalformedTelemetryError(f"{path or 'the body'} must be a JSON object, is {_kind_of(document)}")
    if depth > MAX_DEPTH:
        raise MalformedTelemetryError(f"{path} is nested deeper than {MAX_DEPTH} levels")
    fields = _fields(message.DESCRIPTOR)
    for key, value in document.items():
        field = fields.get(key)
        if field is not None and value is not None:
            _read_field(value, field, message, f"{path}.{key}" if path else key, depth)


def _read_field(value: object, field: FieldDescriptor, message: Message, path: str, depth: int) -> None:
    if field.is_repeated:
        if not isinstance(value, list):
            raise MalformedTelemetryError(f"{path} must be a JSON list, is {_kind_of(value)}")
        target = getattr(message, field.name)
        for index, element in enumerate(value):
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                _read_message(element, target.add(), f"{path}[{index}]", depth + 1)
            else:
                target.append(_read_scalar(element, field, f"{path}[{index}]"))
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        target = getattr(message, field.name)
        target.SetInParent()
        _read_message(value, target, path, depth + 1)
    else:
        setattr(message, field.name, _read_scalar(value, field, path))


def _read_scalar(value: object, field: FieldDescriptor, path: str) -> object:
    if field.type == FieldDescriptor.TYPE_STRING:
        return _read_string(value, path)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _read_bytes(value, HEX_FIELDS.get(field.name), path)
    if field.type == FieldDescriptor.TYPE_BOOL:
        if isinstance(value, bool):
            return value
        raise MalformedTelemetryError(f"{path} must be true or false, is {_kind_of(value)}")
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return _read_double(value, path)
    return _read_integer(value, field, path)


def _read_string(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise MalformedTelemetryError(f"{path} must be a string, is {_kind_of(value)}")
    return value.encode("utf-8", "replace").decode("utf-8")


def _read_bytes(value: object, hex_digits: int | None, path: str) -> bytes:
    if not isinstance(value, str):
        raise MalformedTelemetryError(f"{path} must be a string, is {_kind_of(value)}")
    try:
        if hex_digits is None:
            return base64.b64decode(value + "=" * (-len(value) % 4), altchars=_altchars(value), validate=True)
        if value and len(value) != hex_digits:
            raise MalformedTelemetryError(f"{path} must be {hex_digits} hex digits, has {len(value)} characters")
        return binascii.unhexlify(value)
    except (binascii.Error, ValueError) as error:
        form = "base64" if hex_digits is None else f"{hex_digits} hex digits"
        raise MalformedTelemetryError(f"{path} must be {form}") from error


def _altchars(value: str) -> bytes | None:
    return b"-_" if "-" in value or "_" in value else None


def _read_double(value: object, path: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    raise MalformedTelemetryError(f"{path} must be a number, is {_kind_of(value)}")


def _read_integer(value: object, field: FieldDescriptor, path: str) -> int:
    number = _integer_of(value, field)
    if number is None:
        raise MalformedTelemetryError(f"{path} must be an integer, is {_kind_of(value)}")
    bits = 64 if field.type in INTEGERS_64 else 32
    low, high = (0, 2**bits - 1) if field.type in UNSIGNED else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if not low <= number <= high:
        raise MalformedTelemetryError(f"{path} is out of the range of {bits} bits: {number}")
    return number


def _integer_of(value: object, field: FieldDescriptor) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if not isinstance(value, str):
        return None
    if field.enum_type is not None and value in field.enum_type.values_by_name:
        return int(field.enum_type.values_by_name[value].number)
    try:
        return int(value)
    except ValueError:
        return None


def _kind_of(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number") if not isinstance(value, str) else repr(value[:40])
