"""The storage port over one SQLite file: see `TelemetryStore` for the contract and `sql/schema.sql` for the tables.

Spans lie as packed protobuf in the order of arrival, in blocks (`block.py`), beside a summary row per trace and which
blocks it is in. What is searched by is in segments (`segments.py`), which ingestion only ever appends to.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, TracesData

from otel.backend.metric_ports import MetricPoint, MetricSeries
from otel.backend.ports import (
    CallCount,
    LogPage,
    LogSearch,
    Operation,
    Retention,
    SpanMeasure,
    StoreStatistics,
    TraceSearch,
    TraceSummary,
    Written,
)
from otel.backend.stores.sqlite.batches import Batches, oldest_trace_arrival
from otel.backend.stores.sqlite.block_writer import BlockWriter
from otel.backend.stores.sqlite.calls import calls_in
from otel.backend.stores.sqlite.compression import Compression
from otel.backend.stores.sqlite.database import Database
from otel.backend.stores.sqlite.expiry import Expired, expire_before, next_horizons
from otel.backend.stores.sqlite.log_packing import LogPacking
from otel.backend.stores.sqlite.log_rows import page_of_logs, write_logs
from otel.backend.stores.sqlite.metric_rows import SeriesTable, last_points_of, points_of, write_metrics
from otel.backend.stores.sqlite.names import Names
from otel.backend.stores.sqlite.older_pieces import OlderPieces
from otel.backend.stores.sqlite.search import newest_matches, plan_of
from otel.backend.stores.sqlite.segment_list import SegmentList
from otel.backend.stores.sqlite.span_index import index_again
from otel.backend.stores.sqlite.span_reader import SpanReader
from otel.backend.stores.sqlite.span_writer import SpanWriter
from otel.backend.stores.sqlite.tokens import AttributeTokens
from otel.backend.stores.sqlite.trace_rows import SUMMARY_COLUMNS, TraceStates, summary_of

STATUS_ERROR = 2
IDS_PER_QUERY = 500
# A clean end writes the open segment where making it again would take long; a smaller one is made again in no time.
MIN_SEALED_SPANS = 1024
# Past its bytes a store drops to this share of them, so that it does not drop at every write.
KEPT_RATIO = 0.95


class SqliteStore:
    """Keeps telemetry in a file; StoreRefusedError where the file cannot be used."""

    def __init__(
        self, path: Path, retention: Retention | None = None, now_unix_nano: Callable[[], int] = time.time_ns
    ) -> None:
        self._retention = retention or Retention()
        self._now_unix_nano = now_unix_nano
        self._database = Database(path)
        self._tokens = AttributeTokens()
        self._names = Names(self._tokens)
        self._series = SeriesTable(self._names)
        self._segments = SegmentList(self._tokens)
        self._compression = Compression()
        self._older = OlderPieces()
        self._packing = LogPacking()
        self._spans = SpanReader(self._names, self._compression, self._older)
        self._states = TraceStates(self._spans)
        self._batches = Batches()
        self._blocks = BlockWriter(self._compression)
        self._writer = SpanWriter(self._names, self._states, self._segments, self._blocks)
        try:
            self._load()
        except sqlite3.DatabaseError as error:  # a page that opening the file did not touch
            self._database.begin_again(error)
            self._load()

    @property
    def set_aside(self) -> Path | None:
        """The damaged file that this one took the place of."""
        return self._database.set_aside

    def write(
        self,
        spans: Iterable[ResourceSpans],
        logs: Iterable[ResourceLogs],
        metrics: Iterable[ResourceMetrics] = (),
        span_contents: Sequence[bytes] = (),
    ) -> Written:
        """Store a batch in one transaction."""
        now_unix_nano = self._now_unix_nano()
        first_trace_key = self._states.next_key
        try:
            with self._database.transaction() as connection:
                trace_ids, span_count, duplicate_count = self._writer.write(
                    connection, spans, span_contents, now_unix_nano
                )
                log_count, log_duplicate_count = write_logs(
                    connection, logs, self._names, self._packing, now_unix_nano, self._batches.next_log_id
                )
                trace_keys = range(first_trace_key, self._states.next_key)
                self._batches.note(connection, now_unix_nano, trace_keys, log_count)
                points = write_metrics(connection, metrics, self._names, self._series, now_unix_nano)
                sealed = self._segments.seal_full(connection)
        except BaseException:
            self._load()
            raise
        self._segments.sealed(sealed)
        if self._database.used_bytes(self._database.writer) > self._retention.max_bytes:
            self.expire()
        point_count, point_duplicate_count = points
        duplicate_count += log_duplicate_count + point_duplicate_count
        return Written(trace_ids, span_count, log_count, duplicate_count, point_count)

    def expire(self) -> int:
        """Drop what is past the bounds."""
        horizon_unix_nano = self._now_unix_nano() - int(self._retention.max_age_s * 1e9)
        gone = 0
        while not (expired := self._expire_step(horizon_unix_nano)).is_empty:
            gone += len(expired.trace_ids)
        connection = self._database.writer
        if self._database.used_bytes(connection) > self._retention.max_bytes:
            while self._database.used_bytes(connection) > self._retention.max_bytes * KEPT_RATIO:
                steps = map(self._expire_step, next_horizons(connection))
                dropped = next((step for step in steps if not step.is_empty), None)
                if dropped is None:
                    break
                gone += len(dropped.trace_ids)
        return gone

    def trace(self, trace_id: bytes) -> TracesData | None:
        """Return all spans of a trace."""

        def query(connection: sqlite3.Connection) -> TracesData | None:
            row = connection.execute("SELECT key FROM trace WHERE trace_id = ?", (trace_id,)).fetchone()
            return self._spans.trace(connection, row[0]) if row else None

        return self._database.read(query)

    def summaries(self, search: TraceSearch) -> list[TraceSummary]:
        """Find traces, newest start first."""
        plan = plan_of(search, self._names)
        if plan is None:
            return []

        def query(connection: sqlite3.Connection) -> list[TraceSummary]:
            keys = newest_matches(plan, self._segments.segments, connection, self._spans)
            return self._summaries_by(connection, "key", keys)

        return self._database.read(query)

    def summaries_of(self, trace_ids: Iterable[bytes]) -> list[TraceSummary]:
        """Return the summaries of known traces."""
        return self._database.read(lambda connection: self._summaries_by(connection, "trace_id", list(trace_ids)))

    def services(self) -> list[str]:
        """Return the services that made spans."""
        return self._names.services_of_spans()

    def operations(self, service: str) -> list[Operation]:
        """Return the span names and kinds of a service."""
        return self._names.listed_operations(service)

    def calls(self, start_min_unix_nano: int, end_max_unix_nano: int) -> list[CallCount]:
        """Count parent and child services."""
        return self._database.read(
            lambda connection: calls_in(connection, start_min_unix_nano, end_max_unix_nano, self._spans)
        )

    def measures(
        self, services: frozenset[str], kinds: frozenset[int], start_min_unix_nano: int, start_max_unix_nano: int
    ) -> Iterator[SpanMeasure]:
        """Yield the spans of these services and kinds."""
        operations = {
            each.operation_id: each
            for each in list(self._names.operations.values())
            if each.service in services and each.kind in kinds
        }
        for segment in self._segments.segments:
            if segment.min_start > start_max_unix_nano or segment.max_start < start_min_unix_nano:
                continue
            columns = self._database.read(segment.columns)
            if columns is None:
                continue
            wanted = {
                number: (operations[each], status)
                for number, (each, status) in enumerate(columns.sets)
                if each in operations
            }
            for number, set_id in enumerate(columns.set_ids):
                start = columns.starts[number]
                if set_id in wanted and start_min_unix_nano <= start <= start_max_unix_nano:
                    operation, status = wanted[set_id]
                    yield SpanMeasure(
                        operation.service,
                        operation.name or "",
                        start,
                        columns.durations[number],
                        status == STATUS_ERROR,
                    )

    def logs(self, search: LogSearch) -> LogPage:
        """List log records."""
        return self._database.read(lambda connection: page_of_logs(connection, search, self._names, self._packing))

    def metric_series(self) -> list[MetricSeries]:
        """Return every series."""
        return self._series.all()

    def metric_points(
        self, numbers: Collection[int], time_min_unix_nano: int, time_max_unix_nano: int, every_ns: int = 0
    ) -> Iterator[tuple[int, Sequence[MetricPoint]]]:
        """Yield the points of these series."""
        for number in numbers:
            series = self._series.known(number)
            if series is None:
                continue
            bounds = (time_min_unix_nano, time_max_unix_nano)
            reading = partial(points_of, series=series, bounds_unix_nano=bounds)
            if every_ns:
                reading = partial(last_points_of, series=series, bounds_unix_nano=bounds, every_ns=every_ns)
            points = self._database.read(reading)
            if points:
                yield number, points

    def statistics(self) -> StoreStatistics:
        """Say how full the store is."""

        def query(connection: sqlite3.Connection) -> StoreStatistics:
            traces = connection.execute("SELECT count(*), total(span_count) FROM trace").fetchone()
            logs = connection.execute("SELECT count(*) FROM log").fetchone()
            points = connection.execute("SELECT count(*) FROM metric_point").fetchone()
            return StoreStatistics(
                trace_count=traces[0],
                span_count=int(traces[1]),
                log_count=logs[0],
                used_bytes=self._database.used_bytes(connection),
                max_bytes=self._retention.max_bytes,
                oldest_arrival_unix_nano=oldest_trace_arrival(connection),
                series_count=len(self._series.all()),
                point_count=points[0],
            )

        return self._database.read(query)

    def close(self) -> None:
        """Write what only memory has of the index, and close the file."""
        try:
            with self._database.transaction() as connection:
                self._segments.seal_all(connection, MIN_SEALED_SPANS)
        finally:
            self._database.close()

    def _load(self) -> None:
        """Read what is stored; also after a transaction that failed, since memory may name what it never committed."""
        connection = self._database.writer
        self._names.load(connection)
        self._series.load(connection)
        self._compression.load(connection)
        self._older.load(connection)
        self._packing.load(connection)
        last_block_id = self._segments.load(connection, self._older.exist)
        self._batches.load(connection)
        self._states.load(connection, max(self._segments.highest_trace_key, self._batches.highest_trace_key))
        self._blocks.load(connection, last_block_id)
        if self._older.exist:
            with self._database.transaction():
                self._older.take_over(connection, self._blocks)
        index_again(connection, last_block_id, self._spans, self._names, self._segments)

    def _expire_step(self, horizon_unix_nano: int) -> Expired:
        try:
            with self._database.transaction() as connection:
                expired = expire_before(
                    connection, horizon_unix_nano, self._segments, self._older, self._names, self._series, self._packing
                )
        except BaseException:
            self._load()
            raise
        self._segments.dropped(list(expired.segments))
        self._states.forget(expired.trace_ids)
        return expired

    def _summaries_by(
        self, connection: sqlite3.Connection, column: str, values: list[int] | list[bytes]
    ) -> list[TraceSummary]:
        found: list[TraceSummary] = []
        for begin in range(0, len(values), IDS_PER_QUERY):
            part = values[begin : begin + IDS_PER_QUERY]
            marks = ",".join("?" * len(part))
            rows = connection.execute(
                f"SELECT {SUMMARY_COLUMNS} FROM trace WHERE {column} IN ({marks})",  # noqa: S608  # our own names
                part,
            )
            found += [summary_of(row, self._names) for row in rows]
        return sorted(found, key=lambda summary: (-summary.min_start_unix_nano, summary.trace_id))
