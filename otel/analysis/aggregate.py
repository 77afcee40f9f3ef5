"""The critical path over many traces: where their time goes as a rule, with a trace behind every number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from otel.analysis.diff import Path
from otel.analysis.model import Span
from otel.analysis.operations import operation_key
from otel.analysis.reading import TraceReading


@dataclass(frozen=True, slots=True)
class PathShare:
    """What one path of operations, root first, has of the critical time of many traces; nanoseconds.

    `trace_count` is in how many traces it was on the path. The exemplars are the trace with the median and the one with
    the most critical time here, among those.
    """

    path: Path
    critical_time_ns: int
    span_count: int
    trace_count: int
    median_trace_id: str
    worst_trace_id: str


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Many traces together. `shares` are depth first, as a flame graph is drawn; their times sum to `duration_ns`."""

    trace_count: int
    duration_ns: int
    shares: tuple[PathShare, ...]

    def mean_ns(self, share: PathShare) -> Fraction:
        """Critical time of a share per trace, over all traces, exact."""
        return Fraction(share.critical_time_ns, max(1, self.trace_count))

    def ratio(self, share: PathShare) -> float:
        """Part of all critical time, 0 to 1."""
        return share.critical_time_ns / self.duration_ns if self.duration_ns else 0.0


def aggregate_critical_paths(readings: Iterable[TraceReading]) -> Aggregate:
    """Fold the critical paths of many traces by path of operations. Traces without spans are left out."""
    by_path: dict[Path, dict[str, tuple[int, int]]] = {}
    read = [reading for reading in readings if reading.root is not None]
    for reading in read:
        for path, (time_ns, count) in _times_by_path(reading).items():
            by_path.setdefault(path, {})[reading.trace.trace_id] = (time_ns, count)
    shares = (_share(path, traces) for path, traces in sorted(by_path.items()))
    return Aggregate(
        trace_count=len(read),
        duration_ns=sum(max(0, reading.root.duration_ns) for reading in read if reading.root),
        shares=tuple(shares),
    )


def _times_by_path(reading: TraceReading) -> dict[Path, tuple[int, int]]:
    times: dict[Path, tuple[int, int]] = {}
    for span_id, time_ns in reading.critical_time_ns.items():
        path = _path_to(reading, reading.forest.by_id[span_id])
        before_ns, count = times.get(path, (0, 0))
        times[path] = (before_ns + time_ns, count + 1)
    return times


def _path_to(reading: TraceReading, span: Span) -> Path:
    keys = []
    above: Span | None = span
    while above is not None:
        keys.append(operation_key(above))
        above = reading.forest.parent_of(above)
    return tuple(reversed(keys))


def _share(path: Path, traces: dict[str, tuple[int, int]]) -> PathShare:
    by_time = sorted(traces, key=lambda trace_id: (traces[trace_id][0], trace_id))
    return PathShare(
        path=path,
        critical_time_ns=sum(time_ns for time_ns, _ in traces.values()),
        span_count=sum(count for _, count in traces.values()),
        trace_count=len(traces),
        median_trace_id=by_time[(len(by_time) - 1) // 2],
        worst_trace_id=by_time[-1],
    )
