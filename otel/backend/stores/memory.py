"""The storage port in memory: the plainest thing that keeps the contract, for tests and `--store :memory:`.

Searches walk every span. Bytes are counted as wire size. Reads and writes exclude each other by one lock.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, TracesData

from otel.analysis.words import text_matches
from otel.backend.metric_ports import MetricPoint, MetricSeries
from otel.backend.ports import (
    CallCount,
    LogPage,
    LogPosition,
    LogSearch,
    Operation,
    Retention,
    ServiceCount,
    SpanMeasure,
    StoreStatistics,
    TraceSearch,
    TraceSummary,
    Written,
)
from otel.backend.stores.log_text import record_time, searchable_text
from otel.backend.stores.matching import STATUS_ERROR, service_of, span_matches
from otel.backend.stores.memory_metrics import MemoryMetrics
from otel.backend.stores.regroup import log_page_entries, spans_by_resource

SpanIdentity = tuple[bytes, int, str]


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """A span with what it was sent under."""

    span: Span
    resource: Resource
    resource_schema_url: str
    scope: InstrumentationScope
    scope_schema_url: str
    service: str


@dataclass(frozen=True, slots=True)
class StoredLog:
    """A log record with what it was sent under."""

    record: LogRecord
    resource: Resource
    resource_schema_url: str
    scope: InstrumentationScope
    scope_schema_url: str
    service: str
    position: LogPosition
    arrival_unix_nano: int
    fingerprint: tuple[bytes, int]


@dataclass(slots=True)
class _StoredTrace:
    arrival_unix_nano: int
    spans: dict[SpanIdentity, StoredSpan] = field(default_factory=dict)
    size_bytes: int = 0


class MemoryStore:
    """Keeps everything in dictionaries, in order of arrival. See `TelemetryStore` for the contract."""

    def __init__(self, retention: Retention | None = None, now_unix_nano: Callable[[], int] = time.time_ns) -> None:
        self._retention = retention or Retention()
        self._now_unix_nano = now_unix_nano
        self._lock = threading.RLock()
        self._traces: dict[bytes, _StoredTrace] = {}
        self._logs: list[StoredLog] = []
        self._fingerprints: set[tuple[bytes, int]] = set()
        self._log_number = 0
        self._metrics = MemoryMetrics()
        self._span_and_log_bytes = 0

    @property
    def set_aside(self) -> None:
        """Nothing: there is no file."""

    def write(
        self,
        spans: Iterable[ResourceSpans],
        logs: Iterable[ResourceLogs],
        metrics: Iterable[ResourceMetrics] = (),
        span_contents: Sequence[bytes] = (),  # noqa: ARG002  # the messages are kept
    ) -> Written:
        """Store a batch."""
        with self._lock:
            touched: set[bytes] = set()
            span_count = duplicate_count = 0
            for stored in _flat_spans(spans):
                if self._add_span(stored):
                    touched.add(stored.span.trace_id)
                    span_count += 1
                else:
                    duplicate_count += 1
            log_count, log_duplicate_count = self._add_logs(logs)
            point_count, point_duplicate_count = self._metrics.write(metrics, self._now_unix_nano())
            duplicate_count += log_duplicate_count + point_duplicate_count
            self.expire()
            return Written(frozenset(touched), span_count, log_count, duplicate_count, point_count)

    def expire(self) -> int:
        """Drop the traces that arrived first, and the logs and points that arrived before those that stay."""
        with self._lock:
            gone = 0
            horizon_unix_nano = self._now_unix_nano() - int(self._retention.max_age_s * 1e9)
            gone += self._drop_before(horizon_unix_nano)
            while self._used_bytes > self._retention.max_bytes and (first := self._first_arrival()) is not None:
                gone += self._drop_before(first + 1)
            return gone

    def trace(self, trace_id: bytes) -> TracesData | None:
        """Return all spans of a trace."""
        with self._lock:
            found = self._traces.get(trace_id)
            return spans_by_resource(found.spans.values()) if found else None

    def summaries(self, search: TraceSearch) -> list[TraceSummary]:
        """Find traces, newest start first."""
        with self._lock:
            matching = [
                trace_id
                for trace_id, trace in self._traces.items()
                if any(span_matches(each.span, each.resource, each.scope, search) for each in trace.spans.values())
            ]
            return self.summaries_of(matching)[: search.limit]

    def summaries_of(self, trace_ids: Iterable[bytes]) -> list[TraceSummary]:
        """Return the summaries of known traces."""
        with self._lock:
            found = [_summary(each, self._traces[each]) for each in trace_ids if each in self._traces]
        return sorted(found, key=lambda summary: (-summary.min_start_unix_nano, summary.trace_id))

    def services(self) -> list[str]:
        """Return the services that made spans."""
        with self._lock:
            return sorted({each.service for each in self._all_spans()})

    def operations(self, service: str) -> list[Operation]:
        """Return the span names and kinds of a service."""
        with self._lock:
            return sorted(
                {Operation(each.span.name, each.span.kind) for each in self._all_spans() if each.service == service}
            )

    def calls(self, start_min_unix_nano: int, end_max_unix_nano: int) -> list[CallCount]:
        """Count parent and child services."""
        counts: Counter[tuple[str, str]] = Counter()
        with self._lock:
            for trace in self._traces.values():
                start, end = _extent(trace)
                if start > start_min_unix_nano and end < end_max_unix_nano:
                    by_id = {each.span.span_id: each.service for each in trace.spans.values()}
                    for each in trace.spans.values():
                        if each.span.parent_span_id in by_id:
                            counts[by_id[each.span.parent_span_id], each.service] += 1
        return [CallCount(parent, child, count) for (parent, child), count in sorted(counts.items())]

    def measures(
        self, services: frozenset[str], kinds: frozenset[int], start_min_unix_nano: int, start_max_unix_nano: int
    ) -> list[SpanMeasure]:
        """Return the spans of these services and kinds."""
        with self._lock:
            return [
                SpanMeasure(
                    each.service,
                    each.span.name,
                    each.span.start_time_unix_nano,
                    each.span.end_time_unix_nano - each.span.start_time_unix_nano,
                    each.span.status.code == STATUS_ERROR,
                )
                for each in self._all_spans()
                if each.service in services
                and each.span.kind in kinds
                and start_min_unix_nano <= each.span.start_time_unix_nano <= start_max_unix_nano
            ]

    def logs(self, search: LogSearch) -> LogPage:
        """List log records."""
        with self._lock:
            matching = sorted(
                (each for each in self._logs if _log_matches(each, search)), key=lambda each: each.position
            )
        page = matching[: search.limit]
        more = len(matching) > len(page)
        return LogPage(log_page_entries(page), page[-1].position if more and page else None)

    def metric_series(self) -> list[MetricSeries]:
        """Return every series."""
        with self._lock:
            return self._metrics.series()

    def metric_points(
        self, numbers: Collection[int], time_min_unix_nano: int, time_max_unix_nano: int, every_ns: int = 0
    ) -> list[tuple[int, Sequence[MetricPoint]]]:
        """Return the points of these series."""
        with self._lock:
            return self._metrics.points(numbers, time_min_unix_nano, time_max_unix_nano, every_ns)

    def statistics(self) -> StoreStatistics:
        """Say how full the store is."""
        with self._lock:
            first = next(iter(self._traces.values()), None)
            return StoreStatistics(
                trace_count=len(self._traces),
                span_count=sum(len(trace.spans) for trace in self._traces.values()),
                log_count=len(self._logs),
                used_bytes=self._used_bytes,
                max_bytes=self._retention.max_bytes,
                oldest_arrival_unix_nano=first.arrival_unix_nano if first else 0,
                series_count=len(self._metrics.series()),
                point_count=self._metrics.point_count,
            )

    def close(self) -> None:
        """Forget everything."""
        self._traces.clear()
        self._logs.clear()
        self._metrics = MemoryMetrics()

    @property
    def _used_bytes(self) -> int:
        return self._span_and_log_bytes + self._metrics.used_bytes

    def _first_arrival(self) -> int | None:
        arrivals = [trace.arrival_unix_nano for trace in self._traces.values()][:1]
        arrivals += [stored.arrival_unix_nano for stored in self._logs][:1]
        arrivals += self._metrics.first_arrival()
        return min(arrivals, default=None)

    def _all_spans(self) -> Iterator[StoredSpan]:
        for trace in self._traces.values():
            yield from trace.spans.values()

    def _add_span(self, stored: StoredSpan) -> bool:
        span = stored.span
        trace = self._traces.get(span.trace_id)
        if trace is None:
            trace = self._traces[span.trace_id] = _StoredTrace(self._now_unix_nano())
        identity = (span.span_id, span.start_time_unix_nano, span.name)
        if identity in trace.spans:
            return False
        trace.spans[identity] = stored
        size_bytes = span.ByteSize()
        trace.size_bytes += size_bytes
        self._span_and_log_bytes += size_bytes
        return True

    def _add_logs(self, logs: Iterable[ResourceLogs]) -> tuple[int, int]:
        occurrences: Counter[bytes] = Counter()
        new_count = duplicate_count = 0
        for stored, content in _flat_logs(logs):
            fingerprint = (content, occurrences[content])
            occurrences[content] += 1
            if fingerprint in self._fingerprints:
                duplicate_count += 1
                continue
            self._log_number += 1
            new_count += 1
            self._fingerprints.add(fingerprint)
            self._span_and_log_bytes += len(content)
            self._logs.append(
                StoredLog(
                    *stored,
                    position=LogPosition(record_time(stored[0]), self._log_number),
                    arrival_unix_nano=self._now_unix_nano(),
                    fingerprint=fingerprint,
                )
            )
        return new_count, duplicate_count

    def _drop_before(self, arrival_unix_nano: int) -> int:
        gone = [trace_id for trace_id, trace in self._traces.items() if trace.arrival_unix_nano < arrival_unix_nano]
        for trace_id in gone:
            self._span_and_log_bytes -= self._traces.pop(trace_id).size_bytes
        gone_ids = set(gone)
        kept = []
        for stored in self._logs:
            stays = stored.record.trace_id in self._traces or (
                stored.arrival_unix_nano >= arrival_unix_nano and stored.record.trace_id not in gone_ids
            )
            if stays:
                kept.append(stored)
            else:
                self._fingerprints.discard(stored.fingerprint)
                self._span_and_log_bytes -= len(stored.fingerprint[0])
        self._logs = kept
        self._metrics.drop_before(arrival_unix_nano)
        return len(gone)


def _flat_spans(spans: Iterable[ResourceSpans]) -> Iterator[StoredSpan]:
    for part in spans:
        service = service_of(part.resource)
        for scope_spans in part.scope_spans:
            for span in scope_spans.spans:
                yield StoredSpan(
                    span, part.resource, part.schema_url, scope_spans.scope, scope_spans.schema_url, service
                )


FlatLog = tuple[LogRecord, Resource, str, InstrumentationScope, str, str]


def _flat_logs(logs: Iterable[ResourceLogs]) -> Iterator[tuple[FlatLog, bytes]]:
    for part in logs:
        service = service_of(part.resource)
        resource_bytes = part.resource.SerializeToString(deterministic=True)
        for scope_logs in part.scope_logs:
            scope_bytes = scope_logs.scope.SerializeToString(deterministic=True)
            for record in scope_logs.log_records:
                flat = (record, part.resource, part.schema_url, scope_logs.scope, scope_logs.schema_url, service)
                yield flat, resource_bytes + scope_bytes + record.SerializeToString(deterministic=True)


def _summary(trace_id: bytes, trace: _StoredTrace) -> TraceSummary:
    stored = list(trace.spans.values())
    ids = {each.span.span_id for each in stored}
    roots = [each for each in stored if not each.span.parent_span_id]
    root = min(roots, key=lambda each: (not _has_time(each), each.span.start_time_unix_nano), default=None)
    min_start, max_end = _extent(trace)
    spans = Counter(each.service for each in stored)
    errors = Counter(each.service for each in stored if each.span.status.code == STATUS_ERROR)
    return TraceSummary(
        trace_id=trace_id,
        root_service=root.service if root else "",
        root_operation=root.span.name if root else "",
        min_start_unix_nano=min_start,
        max_end_unix_nano=max_end,
        span_count=len(stored),
        error_span_count=errors.total(),
        orphan_span_count=sum(1 for each in stored if each.span.parent_span_id and each.span.parent_span_id not in ids),
        services=tuple(ServiceCount(name, spans[name], errors[name]) for name in sorted(spans)),
    )


def _extent(trace: _StoredTrace) -> tuple[int, int]:
    # A time of 0 was never set, and would make the trace begin in 1970.
    spans = [each.span for each in trace.spans.values() if _has_time(each)]
    starts, ends = [span.start_time_unix_nano for span in spans], [span.end_time_unix_nano for span in spans]
    return min(starts, default=0), max(ends, default=0)


def _has_time(stored: StoredSpan) -> bool:
    return bool(stored.span.start_time_unix_nano and stored.span.end_time_unix_nano)


def _log_matches(stored: StoredLog, search: LogSearch) -> bool:
    record, time_unix_nano = stored.record, stored.position.time_unix_nano
    return (
        (not search.trace_id or record.trace_id == search.trace_id)
        and (not search.span_id or record.span_id == search.span_id)
        and (not search.service or stored.service == search.service)
        and record.severity_number >= search.severity_min
        and (search.time_min_unix_nano is None or time_unix_nano >= search.time_min_unix_nano)
        and (search.time_max_unix_nano is None or time_unix_nano <= search.time_max_unix_nano)
        and (search.after is None or stored.position > search.after)
        and (not search.text or text_matches(searchable_text(record), search.text))
    )
