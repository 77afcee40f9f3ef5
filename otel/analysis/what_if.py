"""What if an operation were faster: replay the trace, do not subtract.

Subtracting overstates as soon as calls run in parallel. The answer holds "if nothing else contends".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from otel.analysis.critical_path import TOLERANCE_NS, is_waited_for, tolerance_ns
from otel.analysis.model import Span, SpanKind
from otel.analysis.reading import TraceReading
from otel.analysis.tree import Forest


@dataclass(frozen=True, slots=True)
class Replay:
    """How long the root took, and would take; in nanoseconds."""

    duration_ns: int
    replayed_duration_ns: int

    @property
    def saved_ns(self) -> int:
        """How much time the change would save; below 0 if it costs."""
        return self.duration_ns - self.replayed_duration_ns


def what_if(reading: TraceReading, factor_of: Callable[[Span], Fraction]) -> Replay:
    """Replay the trace with the own time of each span scaled by `factor_of`.

    A child keeps its lag after what it could have waited for: the latest sibling that had ended when it started, else
    its parent's start. Lags belong to the parent and scale with it; the parent ends with its old lag after the latest
    child that it waited for.
    """
    root = reading.root
    if root is None:
        return Replay(0, 0)
    replayed = _replayed_lengths(reading.forest, root, factor_of)
    return Replay(root.duration_ns, round(replayed[root.span_id]))


def scaled_operation(names: Mapping[str, Fraction], operation: Callable[[Span], str]) -> Callable[[Span], Fraction]:
    """Scale the spans whose operation is named: both sides of a call, so wire and queues too."""
    one = Fraction(1)
    return lambda span: names.get(operation(span), one)


def _replayed_lengths(forest: Forest, root: Span, factor_of: Callable[[Span], Fraction]) -> dict[str, Fraction]:
    lengths: dict[str, Fraction] = {}
    for span, _ in reversed(list(forest.subtree(root))):
        lengths[span.span_id] = _length(span, forest.children_of(span), factor_of(span), lengths)
    return lengths


def _length(span: Span, children: tuple[Span, ...], factor: Fraction, lengths: Mapping[str, Fraction]) -> Fraction:
    waited = [child for child in children if is_waited_for(span, child)]
    if not waited:
        return span.duration_ns * factor
    by_end = sorted(waited, key=lambda child: _end(span, child))
    ends = [_end(span, child) for child in by_end]
    new_ends: dict[str, Fraction] = {}
    for child in sorted(waited, key=lambda child: (child.start_time_unix_nano, _end(span, child))):
        before = _latest_ended(by_end, ends, child)
        if before is None:
            old_from, new_from = span.start_time_unix_nano, Fraction(0)
        else:
            old_from, new_from = _end(span, before), new_ends[before.span_id]
        lag = (child.start_time_unix_nano - old_from) * factor
        share = Fraction(_end(span, child) - child.start_time_unix_nano, child.duration_ns)
        new_ends[child.span_id] = new_from + lag + lengths[child.span_id] * share
    return max(new_ends.values()) + (span.end_time_unix_nano - ends[-1]) * factor


def _latest_ended(by_end: list[Span], ends: list[int], child: Span) -> Span | None:
    start = child.start_time_unix_nano
    for index in range(bisect_right(ends, start + TOLERANCE_NS) - 1, -1, -1):
        sibling = by_end[index]
        # Started earlier, so it is replayed already; ended by then, but for a hair.
        if sibling.start_time_unix_nano < start and ends[index] - start <= tolerance_ns(sibling, child):
            return sibling
    return None


def _end(parent: Span, child: Span) -> int:
    if parent.kind is SpanKind.CLIENT and child.kind is SpanKind.SERVER:
        return min(child.end_time_unix_nano, parent.end_time_unix_nano)
    return child.end_time_unix_nano
