"""Questions to a trace backend and their answers, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from otel.analysis.model import LogRecord


@dataclass(frozen=True, slots=True)
class TraceSearch:
    """Which traces are wanted. All conditions hold on one and the same span of a trace; "" and None are no condition.

    `attributes` maps to text (`error` to `true`); times are of that span's start, durations that span's.
    Without times the last `lookback_s` seconds are searched.
    """

    service_name: str = ""
    operation_name: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    duration_min_ns: int | None = None
    duration_max_ns: int | None = None
    start_time_min_unix_nano: int | None = None
    start_time_max_unix_nano: int | None = None
    lookback_s: float = 7 * 86400.0
    limit: int = 20


@dataclass(frozen=True, slots=True)
class ServiceCount:
    """How many spans a service has in a trace."""

    name: str
    span_count: int
    error_span_count: int


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace in one line. The root's names are "" while the root has not arrived; a time of 0 was never set."""

    trace_id: str
    root_service_name: str
    root_operation_name: str
    start_time_unix_nano: int
    end_time_unix_nano: int
    span_count: int
    error_span_count: int
    orphan_span_count: int
    services: tuple[ServiceCount, ...]

    @property
    def duration_ns(self) -> int:
        """From the first span's start to the last one's end; 0 without a time, or where a broken clock turned them."""
        return max(0, self.end_time_unix_nano - self.start_time_unix_nano) if self.start_time_unix_nano else 0


@dataclass(frozen=True, slots=True)
class Operation:
    """A span name that a service has, with the kind in lower case."""

    name: str
    span_kind: str


@dataclass(frozen=True, slots=True)
class LogSearch:
    """Which log records are wanted; oldest first. `severity_min` is OTLP's number: 9 info, 13 warn, 17 error."""

    trace_id: str = ""
    span_id: str = ""
    service_name: str = ""
    severity_min: int = 0
    time_min_unix_nano: int | None = None
    time_max_unix_nano: int | None = None
    text: str = ""
    limit: int = 1000
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class LogPage:
    """Log records, oldest first. `next_cursor` asks for what follows; "" on the last page.

    `from_span_events`: the backend has no log store, the records were rebuilt from the events of spans.
    """

    records: tuple[LogRecord, ...]
    next_cursor: str = ""
    from_span_events: bool = False


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """What answers at an address. `engine` is `embedded` (ours) or `jaeger`; `details` is what it says of itself."""

    engine: str
    has_log_store: bool
    details: Mapping[str, object] = field(default_factory=dict)
