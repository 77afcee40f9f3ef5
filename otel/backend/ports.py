"""The storage port of the backend, and the values that cross it; those of metrics are in `metric_ports`.

Spans, logs and metrics cross it as OTLP's own protobuf messages, so that no field can get lost on the way. Times are
nanoseconds since the Unix epoch, ids are raw bytes (16 for a trace, 8 for a span).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, TracesData

from otel.backend.metric_ports import MetricStore

NO_CONDITIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TraceSearch:
    """What one and the same span of a trace must satisfy; bounds are inclusive, 0 switches a duration bound off."""

    start_min_unix_nano: int
    start_max_unix_nano: int
    service: str = ""
    operation: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: NO_CONDITIONS)
    duration_min_ns: int = 0
    duration_max_ns: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class ServiceCount:
    """How many spans of a trace one service made."""

    name: str
    span_count: int
    error_span_count: int


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace in one row. The root is the parentless span that starts first; its names are "" where there is none.

    A span whose start or end is 0, which is a time that was never set, counts for neither time; both are 0 where no
    span has one.
    """

    trace_id: bytes
    root_service: str
    root_operation: str
    min_start_unix_nano: int
    max_end_unix_nano: int
    span_count: int
    error_span_count: int
    orphan_span_count: int
    services: tuple[ServiceCount, ...]


@dataclass(frozen=True, slots=True, order=True)
class Operation:
    """A span name of one service, by OTLP span kind."""

    name: str
    kind: int


@dataclass(frozen=True, slots=True)
class SpanMeasure:
    """What rates, errors and durations are computed from: one span without its attributes."""

    service: str
    operation: str
    start_unix_nano: int
    duration_ns: int
    is_error: bool


@dataclass(frozen=True, slots=True, order=True)
class LogPosition:
    """A place in the order of log records: time, then the order of arrival."""

    time_unix_nano: int
    number: int


@dataclass(frozen=True, slots=True)
class LogSearch:
    """Which log records to list, oldest first; every condition that is set must hold.

    `text` is words, each of which must begin a word of the body, the event name, the severity text or an attribute.
    """

    trace_id: bytes = b""
    span_id: bytes = b""
    service: str = ""
    severity_min: int = 0
    time_min_unix_nano: int | None = None
    time_max_unix_nano: int | None = None
    text: str = ""
    limit: int = 100
    after: LogPosition | None = None


@dataclass(frozen=True, slots=True)
class LogPage:
    """Log records in order, and where to go on; neighbours of one resource and scope share their entry."""

    resource_logs: Sequence[ResourceLogs] = ()
    next_position: LogPosition | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a write changed: traces that got new spans, logs and points that were new, and how much was seen before."""

    trace_ids: frozenset[bytes] = frozenset()
    span_count: int = 0
    log_count: int = 0
    duplicate_count: int = 0
    point_count: int = 0


@dataclass(frozen=True, slots=True)
class IngestCounts:
    """What came in since the start: what was new to the store, what it had already, and requests that were refused."""

    span_count: int = 0
    log_count: int = 0
    point_count: int = 0
    duplicate_count: int = 0
    refused_request_count: int = 0
    queued_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """How full a store is."""

    trace_count: int
    span_count: int
    log_count: int
    used_bytes: int
    max_bytes: int
    oldest_arrival_unix_nano: int = 0
    series_count: int = 0
    point_count: int = 0


@dataclass(frozen=True, slots=True)
class Retention:
    """How much a store keeps. Past either bound what arrived first goes: traces whole, with their logs, and points."""

    max_bytes: int = 512 * 1024 * 1024
    max_age_s: float = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class CallCount:
    """How often spans of `parent` had a child span in `child`; both may be the same service."""

    parent: str
    child: str
    count: int


class TelemetryStore(MetricStore, Protocol):
    """Keeps spans, logs and metrics, and finds them again.

    A write is all or nothing and has reached the store's medium when it returns: what is on a disk survives the death
    of the process. It raises `StoreFullError` where there is no room or the medium fails for now; nothing of the batch
    is then kept, and reads go on. Spans have a trace id of 16 and a span id of 8 bytes, neither all zero.

    The pieces of a trace may come in any order, late and more than once: a span that has the trace id, span id, start
    and name of one that is there already is left out, as is a log record that is equal in every field to one of an
    earlier request. Order of time is that of the spans, never that of arrival.

    Writes, `expire` and `close` come from one thread at a time; reads may come from any thread, at the same time.
    """

    @property
    def set_aside(self) -> Path | None:
        """The damaged file that was moved out of the way when the store was opened; None where there was none."""

    def write(
        self,
        spans: Iterable[ResourceSpans],
        logs: Iterable[ResourceLogs],
        metrics: Iterable[ResourceMetrics] = (),
        span_contents: Sequence[bytes] = (),
    ) -> Written:
        """Store a batch, which belongs to the store from here on. Every metric has data, every point a time.

        `span_contents` are bytes that say the same scopes and spans as each of `spans`, where the caller has them; an
        empty one, and one that is missing, is not known.
        """

    def expire(self) -> int:
        """Drop what is past the bounds of age and bytes; returns how many traces went."""

    def trace(self, trace_id: bytes) -> TracesData | None:
        """Return all spans of a trace, grouped by resource and scope, or None where none is known."""

    def summaries(self, search: TraceSearch) -> list[TraceSummary]:
        """Find traces, newest start first, at most `search.limit`."""

    def summaries_of(self, trace_ids: Iterable[bytes]) -> list[TraceSummary]:
        """Return the summaries of the traces that are known, newest start first."""

    def services(self) -> list[str]:
        """Return the names of services that made spans, sorted."""

    def operations(self, service: str) -> list[Operation]:
        """Return the distinct span names and kinds of a service, sorted."""

    def calls(self, start_min_unix_nano: int, end_max_unix_nano: int) -> list[CallCount]:
        """Count parent and child services over the traces that lie wholly and strictly inside the two moments."""

    def measures(
        self, services: frozenset[str], kinds: frozenset[int], start_min_unix_nano: int, start_max_unix_nano: int
    ) -> Iterable[SpanMeasure]:
        """Yield the spans of these services and kinds that started within the bounds, in no order."""

    def logs(self, search: LogSearch) -> LogPage:
        """List log records, oldest first."""

    def statistics(self) -> StoreStatistics:
        """Say how full the store is."""

    def close(self) -> None:
        """Finish; no other call may follow."""
