"""The text forms that a search compares: attribute values, span kinds and statuses, as Jaeger writes them.

Pure, safe in any thread. Source: pdata `Value.AsString` of the OpenTelemetry Collector.
"""

from __future__ import annotations

import base64
import math
from decimal import Decimal

import orjson
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

KIND_NAMES = ("", "internal", "server", "client", "producer", "consumer")
STATUS_NAMES = ("UNSET", "OK", "ERROR")


def kind_name(kind: int) -> str:
    """Return `internal`, `server`, … or "" for unspecified and unknown kinds."""
    return KIND_NAMES[kind] if 0 <= kind < len(KIND_NAMES) else ""


def kind_number(name: str) -> int:
    """Return OTLP's number of a kind given in any case; 0 where there is none."""
    lowered = name.lower()
    return KIND_NAMES.index(lowered) if lowered in KIND_NAMES else 0


def text_of(value: AnyValue) -> str:
    """Return a value as text: decimal integers, `true`/`false`, base64 of bytes, JSON of lists and maps."""
    form = value.WhichOneof("value")
    if form == "string_value":
        return value.string_value
    if form == "int_value":
        return str(value.int_value)
    if form == "bool_value":
        return "true" if value.bool_value else "false"
    if form == "double_value":
        return float_text(value.double_value)
    if form == "bytes_value":
        return base64.b64encode(value.bytes_value).decode("ascii")
    if form in ("array_value", "kvlist_value"):
        return orjson.dumps(plain(value), option=orjson.OPT_SORT_KEYS).decode("utf-8")
    return ""


def plain(value: AnyValue) -> object:
    """Return a value as what JSON can hold; bytes become base64, and integers past 64-bit JSON stay integers."""
    form = value.WhichOneof("value")
    if form == "array_value":
        return [plain(element) for element in value.array_value.values]
    if form == "kvlist_value":
        return {pair.key: plain(pair.value) for pair in value.kvlist_value.values}
    if form == "bytes_value":
        return base64.b64encode(value.bytes_value).decode("ascii")
    return None if form is None else getattr(value, form)


def float_text(number: float) -> str:
    """Return a double as Go's JSON writes it: no exponent between 1e-6 and 1e21, no trailing `.0`."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    written = repr(number)
    if "e" not in written:
        return written.removesuffix(".0")
    decimal = Decimal(written)
    if 1e-6 <= abs(number) < 1e21:
        text = format(decimal, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    sign, digits, _ = decimal.normalize().as_tuple()
    fraction = "".join(map(str, digits[1:]))
    return f"{'-' if sign else ''}{digits[0]}{'.' + fraction if fraction else ''}e{decimal.adjusted():+d}"
