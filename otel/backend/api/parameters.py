"""Query parameters as text, turned into values; ValueError says what is wrong and what is allowed.

Which parameter it was and in what shape that is told is the business of the API that asks: v3, legacy or ours. Pure.
Source: Go's strconv and time packages, jaeger http_gateway.go and model/v1/ids.go.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import orjson

from otel.backend.stores.matching import FALSE_TEXTS, TRUE_TEXTS

MAX_TRACE_ID_DIGITS = 32
# Enough for a number with its fraction in every unit; a longer one would cost, and mean no more.
MAX_DURATION_CHARACTERS = 100
# base64 of 16 bytes; anything longer can be no trace id.
MAX_BASE64_CHARACTERS = 24
SPAN_ID_DIGITS = 16
INT64_MAX = 2**63 - 1
DURATION_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
DURATION = re.compile(r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+")
DURATION_PART = re.compile(r"(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)")
RFC3339 = re.compile(r"(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9})\d*)?([Zz]|[+\- ]\d{2}:\d{2})")
HEX = re.compile(r"[0-9a-fA-F]+")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def trace_id_of(text: str) -> bytes:
    """Read a trace id: 1 to 32 hex digits, padded at the left, or base64 of 8 or 16 bytes."""
    if HEX.fullmatch(text):
        if len(text) > MAX_TRACE_ID_DIGITS:
            raise ValueError(f"'{text[:40]}' is longer than {MAX_TRACE_ID_DIGITS} hex digits")
        return bytes.fromhex(text.zfill(MAX_TRACE_ID_DIGITS))
    decoded = _base64_id(text)
    if decoded is None:
        raise ValueError(f"'{text[:40]}' is not 1 to {MAX_TRACE_ID_DIGITS} hex digits")
    return decoded


def hex_trace_id_of(text: str) -> bytes:
    """Read a trace id that must be hex, as the legacy search wants it."""
    if not HEX.fullmatch(text) or len(text) > MAX_TRACE_ID_DIGITS:
        raise ValueError(f"'{text[:40]}' is not 1 to {MAX_TRACE_ID_DIGITS} hex digits")
    return bytes.fromhex(text.zfill(MAX_TRACE_ID_DIGITS))


def span_id_of(text: str) -> bytes:
    """Read a span id: 1 to 16 hex digits, padded at the left."""
    if not HEX.fullmatch(text) or len(text) > SPAN_ID_DIGITS:
        raise ValueError(f"'{text[:40]}' is not 1 to {SPAN_ID_DIGITS} hex digits")
    return bytes.fromhex(text.zfill(SPAN_ID_DIGITS))


def time_of(text: str) -> int:
    """Read an RFC 3339 time as nanoseconds since the epoch; a space counts as the `+` of an offset."""
    parts = RFC3339.fullmatch(text)
    if parts is None:
        raise ValueError(f"'{text[:40]}' is not an RFC 3339 time such as 2026-11-23T18:00:00Z")
    year, month, day, hour, minute, second = (int(parts[number]) for number in range(1, 7))
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _offset(parts[8])
    except (ValueError, OverflowError) as error:
        raise ValueError(f"'{text[:40]}' is no time: {error}") from error
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + int((parts[7] or "0").ljust(9, "0"))


def duration_of(text: str) -> int:
    """Read a Go duration such as `1.5s` or `1h10m`, as nanoseconds; a bare number is refused, but `0` is fine."""
    if text in ("0", "+0", "-0"):
        return 0
    if len(text) > MAX_DURATION_CHARACTERS or not DURATION.fullmatch(text):
        raise ValueError(f"'{text[:40]}' is not a duration such as 1.5s, 100ms or 1h10m")
    total_ns = 0
    for whole, fraction, unit in DURATION_PART.findall(text):
        unit_ns = DURATION_UNITS_NS[unit]
        total_ns += int(whole or "0") * unit_ns
        if fraction:
            total_ns += int(fraction) * unit_ns // 10 ** len(fraction)
    if total_ns > INT64_MAX:
        raise ValueError(f"'{text[:40]}' is longer than 290 years")
    return -total_ns if text.startswith("-") else total_ns


def integer_of(text: str, *, bits: int = 64) -> int:
    """Read a decimal integer of so many bits."""
    if not re.fullmatch(r"[+-]?[0-9]+", text) or len(text) > 25:
        raise ValueError(f"'{text[:40]}' is not an integer")
    number = int(text)
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        raise ValueError(f"'{text[:40]}' is out of the range of {bits} bits")
    return number


def boolean_of(text: str) -> bool:
    """Read a boolean as Go does."""
    if text in TRUE_TEXTS:
        return True
    if text in FALSE_TEXTS:
        return False
    raise ValueError(f"'{text[:40]}' is not true or false")


def attributes_of(text: str) -> dict[str, str]:
    """Read a JSON object of strings."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError('must be a JSON object of strings such as {"error":"true"}')
    wrong = next((key for key, value in document.items() if not isinstance(value, str)), None)
    if wrong is not None:
        raise ValueError(f"the value of '{wrong[:40]}' must be a string")
    return document


def first_set(parameters: Mapping[str, str], *names: str) -> tuple[str, str]:
    """Return the first of `names` that has a value that is not empty, and that value; else the first name and ""."""
    for name in names:
        value = parameters.get(name, "")
        if value:
            return name, value
    return names[0], ""


def rfc3339(unix_nano: int) -> str:
    """Write a time as RFC 3339 in UTC, with as many digits as it needs."""
    seconds, fraction = divmod(unix_nano, 1_000_000_000)
    moment = EPOCH + timedelta(seconds=seconds)
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{digits}Z"


def _offset(text: str) -> timedelta:
    if text in ("Z", "z"):
        return timedelta()
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError("its offset is out of range")
    size = timedelta(hours=hours, minutes=minutes)
    return -size if text[0] == "-" else size


def _base64_id(text: str) -> bytes | None:
    if not text or len(text) > MAX_BASE64_CHARACTERS:
        return None
    padded = text.rstrip("=")
    padded += "=" * (-len(padded) % 4)
    try:
        decoded = base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded.rjust(16, b"\0") if len(decoded) in (8, 16) else None
