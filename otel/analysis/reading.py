"""Everything that is computed about one trace, together: what screens, pages and exports are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from otel.analysis.clock_skew import SkewCorrection, correct_clock_skew
from otel.analysis.critical_path import CriticalPath, PathStep, find_critical_path
from otel.analysis.model import LogRecord, Span, SpanKind, Trace
from otel.analysis.rpc import operation, rpc_facts
from otel.analysis.self_time import self_times_ns
from otel.analysis.tree import Forest, forest_of

WIRE_AND_QUEUES = "wire and queues"
NO_SERVER_SPAN = "no server span"


@dataclass(frozen=True)
class TraceReading:
    """A trace, read. Times are after clock skew was corrected; `skew.shifts_ns` says what was moved.

    The parts are computed on first use. Not to be shared between threads before that.
    """

    trace: Trace
    logs: tuple[LogRecord, ...] = ()
    client_span_id: str = ""

    @cached_property
    def skew(self) -> SkewCorrection:
        """The trace with its clocks made right."""
        return correct_clock_skew(self.trace)

    @cached_property
    def forest(self) -> Forest:
        """Who called whom."""
        return forest_of(self.skew.trace)

    @cached_property
    def path(self) -> CriticalPath:
        """What decided how long it took."""
        return find_critical_path(self.forest, self.client_span_id)

    @cached_property
    def critical_time_ns(self) -> Mapping[str, int]:
        """Own time on the critical path by span id."""
        return self.path.time_by_span_ns()

    @cached_property
    def self_time_ns(self) -> Mapping[str, int]:
        """Self time by span id."""
        return self_times_ns(self.forest)

    @property
    def root(self) -> Span | None:
        """The head of the tree that the critical path belongs to; None for an empty trace."""
        return self.path.root

    @cached_property
    def start_time_unix_nano(self) -> int:
        """When the first span began; 0 for a trace without times. A span that has none stretches nothing."""
        return min((span.start_time_unix_nano for span in self._timed_spans), default=0)

    @cached_property
    def end_time_unix_nano(self) -> int:
        """When the last span ended, not before it began; 0 for a trace without times."""
        return max((span.start_time_unix_nano + span.duration_ns for span in self._timed_spans), default=0)

    @cached_property
    def _timed_spans(self) -> tuple[Span, ...]:
        return tuple(span for span in self.forest.spans if span.has_time)

    @cached_property
    def services(self) -> tuple[str, ...]:
        """Service names in the order in which the waterfall first shows them."""
        return tuple(dict.fromkeys(span.service_name for span, _ in self.forest.depth_first()))

    @cached_property
    def logs_by_span(self) -> Mapping[str, tuple[LogRecord, ...]]:
        """The records of each span that exists, oldest first."""
        by_span: dict[str, list[LogRecord]] = {}
        for record in sorted(self.logs, key=lambda record: record.time_unix_nano):
            span = self.forest.span_of(record)
            if span is not None:
                by_span.setdefault(span.span_id, []).append(record)
        return {span_id: tuple(records) for span_id, records in by_span.items()}

    @cached_property
    def loose_logs(self) -> tuple[LogRecord, ...]:
        """The records whose span was not received, oldest first."""
        loose = (record for record in self.logs if record.span_id not in self.forest.by_id)
        return tuple(sorted(loose, key=lambda record: record.time_unix_nano))

    def log_time_unix_nano(self, record: LogRecord) -> int:
        """When `record` was written, moved with its span where clocks were corrected."""
        span = self.forest.span_of(record)
        return record.time_unix_nano + (self.skew.shifts_ns.get(span.span_id, 0) if span else 0)

    def step_label(self, step: PathStep) -> str:
        """Name what a stretch of the path was spent on."""
        return self.own_part_label(step.span)

    def own_part_label(self, span: Span) -> str:
        """Name what a span's own time means: a client's is wire and queues, if a server answered."""
        if span.kind is not SpanKind.CLIENT or rpc_facts(span) is None:
            return operation(span)
        served = any(child.kind is SpanKind.SERVER for child in self.forest.children_of(span))
        return WIRE_AND_QUEUES if served else NO_SERVER_SPAN
