"""What a span says about a gRPC call, under the names of any convention that may arrive.

Known: RPC conventions 1.44.0 (`rpc.response.status_code`), their successor (`rpc.status_code`), the ones before
(`rpc.grpc.status_code`, `rpc.service`), this project's own attributes.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from otel.analysis.model import Attributes, Span, SpanKind

STATUS_CODE_ATTRIBUTES = ("rpc.response.status_code", "rpc.status_code", "rpc.grpc.status_code")
STATUS_CODE_NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""By number."""

_NUMBER = re.compile(r"[0-9]{1,20}")
_METHOD = re.compile(r"/?(?:[\w.]+\.)?(\w+)/(\w+)")


@dataclass(frozen=True, slots=True)
class RpcFacts:
    """A span read as one side of a gRPC call; None where the span does not say."""

    service: str
    """Short name, `UserService`."""
    method: str
    """`GetUser`."""
    status_code: str
    """`NOT_FOUND`; "" where the span does not say."""
    timeout_s: float | None
    time_remaining_s: float | None
    previous_attempts: int | None
    sent_message_count: int | None
    received_message_count: int | None
    cut_short: bool
    """Whether the server says that the call ended while a request was awaited: cancelled or refused, it cannot know."""

    @property
    def short_name(self) -> str:
        """`UserService/GetUser`."""
        return f"{self.service}/{self.method}"


def rpc_facts(span: Span) -> RpcFacts | None:
    """Read `span` as an RPC; None when it is none, or of an unknown method."""
    attributes = span.attributes
    name = _method_name(span)
    if name is None:
        return None
    return RpcFacts(
        service=name[0],
        method=name[1],
        status_code=status_code_name(attributes),
        timeout_s=_number(attributes, "tracelab.rpc.timeout_s"),
        time_remaining_s=_number(attributes, "tracelab.rpc.time_remaining_s"),
        previous_attempts=_integer(attributes, "grpc.previous_rpc_attempts"),
        sent_message_count=_integer(attributes, "tracelab.rpc.sent_message_count"),
        received_message_count=_integer(attributes, "tracelab.rpc.received_message_count"),
        cut_short=attributes.get("tracelab.rpc.cut_short") is True,
    )


def operation(span: Span) -> str:
    """Name what the span does, short: `UserService/GetUser` for a call, else the span's name."""
    name = _method_name(span)
    return span.name if name is None else f"{name[0]}/{name[1]}"


def status_code_name(attributes: Attributes) -> str:
    """Give the gRPC status code's name, whichever attribute has it, as number or as name; "" when none has."""
    for key in STATUS_CODE_ATTRIBUTES:
        value = attributes.get(key)
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            return value.upper()
        if isinstance(value, int | str):
            number = int(value)
            return STATUS_CODE_NAMES[number] if 0 <= number < len(STATUS_CODE_NAMES) else str(number)
    return ""


def error_type(span: Span) -> str:
    """Give `error.type`, or ""."""
    value = span.attributes.get("error.type")
    return value if isinstance(value, str) else ""


def _method_name(span: Span) -> tuple[str, str] | None:
    if span.kind not in (SpanKind.CLIENT, SpanKind.SERVER):
        return None
    attributes = span.attributes
    is_rpc = any(key in attributes for key in ("rpc.system", "rpc.system.name", "rpc.method"))
    service, method = attributes.get("rpc.service"), attributes.get("rpc.method")
    candidates = [
        f"{service}/{method}" if isinstance(service, str) and isinstance(method, str) else method,
        attributes.get("rpc.method_original"),
        span.name,
    ]
    for candidate in candidates if is_rpc else [span.name]:
        match = _METHOD.fullmatch(candidate) if isinstance(candidate, str) else None
        if match:
            return match[1], match[2]
    return None


def _number(attributes: Attributes, key: str) -> float | None:
    value = attributes.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None  # anybody may send NaN, which is no duration and no count


def _integer(attributes: Attributes, key: str) -> int | None:
    number = _number(attributes, key)
    return None if number is None else int(number)
