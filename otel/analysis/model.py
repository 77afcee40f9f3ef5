"""The values that every reader of telemetry shares: traces, spans and log records, as OTLP defines them.

All are frozen; attribute mappings are treated as read-only. Ids are lower-case hex (32 digits for a trace, 16 for a
span, "" for none), times are nanoseconds since the Unix epoch. Source: opentelemetry-proto trace.proto, logs.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import TypeAlias

AttributeValue: TypeAlias = (
    "str | bool | int | float | bytes | tuple[AttributeValue, ...] | Mapping[str, AttributeValue] | None"
)
Attributes: TypeAlias = Mapping[str, AttributeValue]

NO_ATTRIBUTES: Attributes = MappingProxyType({})


def _no_attributes() -> Attributes:
    return NO_ATTRIBUTES  # a factory, since a mapping proxy is not hashable before Python 3.12


class SpanKind(IntEnum):
    """What a span stands for; the numbers are OTLP's."""

    UNSPECIFIED = 0
    INTERNAL = 1
    SERVER = 2
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


class StatusCode(IntEnum):
    """Whether a span failed, as OpenTelemetry says it; not the gRPC status code. The numbers are OTLP's."""

    UNSET = 0
    OK = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Resource:
    """The process that made a span or a log record."""

    attributes: Attributes = field(default_factory=_no_attributes)
    schema_url: str = ""

    @property
    def service_name(self) -> str:
        """`service.name`, or "" where it is missing."""
        value = self.attributes.get("service.name")
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Scope:
    """The instrumentation scope that made a span or a log record."""

    name: str = ""
    version: str = ""
    attributes: Attributes = field(default_factory=_no_attributes)
    schema_url: str = ""


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened at one moment inside a span."""

    name: str
    time_unix_nano: int
    attributes: Attributes = field(default_factory=_no_attributes)
    dropped_attributes_count: int = 0


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A causal relation to a span that is not the parent."""

    trace_id: str
    span_id: str
    attributes: Attributes = field(default_factory=_no_attributes)
    trace_state: str = ""
    flags: int = 0
    dropped_attributes_count: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """One operation of one process. `parent_span_id` is "" for a root."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: SpanKind
    start_time_unix_nano: int
    end_time_unix_nano: int
    attributes: Attributes = field(default_factory=_no_attributes)
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    status_code: StatusCode = StatusCode.UNSET
    status_message: str = ""
    trace_state: str = ""
    flags: int = 0
    resource: Resource = field(default_factory=Resource)
    scope: Scope = field(default_factory=Scope)
    dropped_attributes_count: int = 0
    dropped_events_count: int = 0
    dropped_links_count: int = 0

    @property
    def has_time(self) -> bool:
        """Whether the span says when it ran: OTLP's 0 is a time that was never set, not 1970."""
        return self.start_time_unix_nano > 0 and self.end_time_unix_nano > 0

    @property
    def duration_ns(self) -> int:
        """End minus start, in nanoseconds; 0 without a time, or where a broken clock put the end before the start."""
        return max(0, self.end_time_unix_nano - self.start_time_unix_nano) if self.has_time else 0

    @property
    def service_name(self) -> str:
        """The service of the span's resource."""
        return self.resource.service_name

    @property
    def is_error(self) -> bool:
        """Whether the span's OpenTelemetry status is ERROR."""
        return self.status_code is StatusCode.ERROR


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One structured log record; ids are "" where it was written outside any span."""

    time_unix_nano: int
    observed_time_unix_nano: int = 0
    severity_number: int = 0
    severity_text: str = ""
    body: AttributeValue = None
    event_name: str = ""
    attributes: Attributes = field(default_factory=_no_attributes)
    trace_id: str = ""
    span_id: str = ""
    flags: int = 0
    resource: Resource = field(default_factory=Resource)
    scope: Scope = field(default_factory=Scope)
    dropped_attributes_count: int = 0

    @property
    def service_name(self) -> str:
        """The service of the record's resource."""
        return self.resource.service_name


@dataclass(frozen=True, slots=True)
class Trace:
    """All spans that are known of one trace id, in `start_order`."""

    trace_id: str
    spans: tuple[Span, ...]


def start_order(span: Span) -> tuple[bool, int, str]:
    """Sort key: start time, then span id, so that the order of arrival never matters; without a time, last."""
    return not span.has_time, span.start_time_unix_nano, span.span_id
