"""Whether logs and spans of a call really belong together: computed from what was read back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from otel.analysis.model import LogRecord, Span, Trace, start_order
from otel.analysis.reading import TraceReading
from otel.analysis.tree import forest_of

SESSION_ID = "session.id"
CLOCK_TOLERANCE_NS = 1_000_000
"""A record may be this far outside its span: the two are stamped one after the other."""
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class JoinReport:
    """How the log records of a trace join its spans.

    `without_span`: records of a sampled call whose span is missing. `outside_span`: written before their span began or
    after it ended. `without_ids`: records that name no trace or no span.
    """

    log_count: int
    joined_count: int
    without_span: tuple[LogRecord, ...]
    outside_span: tuple[LogRecord, ...]
    without_ids: tuple[LogRecord, ...]

    @property
    def all_joined(self) -> bool:
        """Whether each record is joined to a span that exists, within that span's time."""
        return self.joined_count == self.log_count and not self.outside_span

    @property
    def is_sound(self) -> bool:
        """Whether nothing contradicts itself; records of unsampled calls, or outside any call, join nothing rightly."""
        return not self.without_span and not self.outside_span


def join_logs(trace: Trace, logs: Iterable[LogRecord], tolerance_ns: int = CLOCK_TOLERANCE_NS) -> JoinReport:
    """Join `logs` to the spans of `trace` by trace id and span id, and check each against its span's time.

    A record of a call that was not sampled has no span and isn't missing one. Both clocks are the same host's, so
    nothing is moved.
    """
    forest = forest_of(trace)
    records = tuple(logs)
    own = [
        (record, forest.span_of(record)) for record in records if record.trace_id == trace.trace_id and record.span_id
    ]
    joined = [(record, span) for record, span in own if span is not None]
    return JoinReport(
        log_count=len(records),
        joined_count=len(joined),
        without_span=tuple(record for record, span in own if span is None and _claims_a_span(record)),
        outside_span=tuple(record for record, span in joined if not _is_inside(span, record, tolerance_ns)),
        without_ids=tuple(r for r in records if not r.trace_id or not r.span_id),
    )


def join_stored(records: Iterable[LogRecord], trace_of: Callable[[str], Trace | None]) -> JoinReport:
    """Join records of any number of traces, each to its own; `trace_of` gives a trace by id, or None."""
    by_trace: dict[str, list[LogRecord]] = {}
    for record in records:
        by_trace.setdefault(record.trace_id, []).append(record)
    reports = [
        join_logs((trace_of(trace_id) if trace_id else None) or Trace(trace_id, ()), own)
        for trace_id, own in by_trace.items()
    ]
    return JoinReport(
        log_count=sum(report.log_count for report in reports),
        joined_count=sum(report.joined_count for report in reports),
        without_span=tuple(record for report in reports for record in report.without_span),
        outside_span=tuple(record for report in reports for record in report.outside_span),
        without_ids=tuple(record for report in reports for record in report.without_ids),
    )


@dataclass(frozen=True, slots=True)
class TraceProof:
    """What can be said of one call from all that carries its session id."""

    trace_ids: tuple[str, ...]
    services: tuple[str, ...]
    span_count: int
    orphan_span_count: int
    join: JoinReport

    @property
    def holds(self) -> bool:
        """One trace, nothing orphaned, every record joined."""
        return len(self.trace_ids) == 1 and not self.orphan_span_count and self.join.all_joined


def prove(traces: Iterable[Trace], logs: Iterable[LogRecord]) -> TraceProof:
    """Count what the given traces and records show; usually those found by one `session.id`.

    With several traces the join is of the first by start time.
    """
    found = sorted((trace for trace in traces if trace.spans), key=lambda trace: start_order(trace.spans[0]))
    readings = [TraceReading(trace) for trace in found]
    first = found[0] if found else Trace("", ())
    return TraceProof(
        trace_ids=tuple(trace.trace_id for trace in found),
        services=tuple(sorted({span.service_name for trace in found for span in trace.spans})),
        span_count=sum(len(reading.forest.spans) for reading in readings),
        orphan_span_count=sum(len(reading.forest.orphans) for reading in readings),
        join=join_logs(first, logs),
    )


def _claims_a_span(record: LogRecord) -> bool:
    # Flags 0 is also what a sender that leaves them out sends, so only a known "not sampled" would excuse; there the
    # random flag (2) is set and the sampled one is not.
    return record.flags & _SAMPLED == _SAMPLED or record.flags == 0


def _is_inside(span: Span, record: LogRecord, tolerance_ns: int) -> bool:
    time = record.time_unix_nano
    return (
        not span.has_time or span.start_time_unix_nano - tolerance_ns <= time <= span.end_time_unix_nano + tolerance_ns
    )
