"""The spans that decided how long a trace took.

Source: CRISP (USENIX ATC 2022) and Jaeger UI's critical path, with three differences: children may touch or overlap by
a hair (spans end in callbacks), and a child that its parent never waited for is not blamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from otel.analysis.clock_skew import correct_clock_skew
from otel.analysis.model import Span, SpanKind, Trace, start_order
from otel.analysis.tree import Forest, forest_of

TOLERANCE_NS = 1_000_000
"""Overlaps up to this, and up to 5 % of the shorter span, count as touching."""


@dataclass(frozen=True, slots=True)
class PathStep:
    """A stretch of time in which `span` itself was what the trace waited for."""

    span: Span
    start_time_unix_nano: int
    end_time_unix_nano: int

    @property
    def duration_ns(self) -> int:
        """Length in nanoseconds, always above 0."""
        return self.end_time_unix_nano - self.start_time_unix_nano


@dataclass(frozen=True, slots=True)
class CriticalPath:
    """The path of the tree under `root`; `root` is None for an empty forest, and never without a time if any has one.

    `slack_ns`: by how much a waited-for span off the path could be slower for free.
    `outlives_parent_ns`: by how much a span ended later than its parent.
    """

    root: Span | None
    steps: tuple[PathStep, ...]
    slack_ns: Mapping[str, int]
    outlives_parent_ns: Mapping[str, int]

    def time_by_span_ns(self) -> dict[str, int]:
        """Own time on the path by span id; the sum is the root's duration."""
        times: dict[str, int] = {}
        for step in self.steps:
            times[step.span.span_id] = times.get(step.span.span_id, 0) + step.duration_ns
        return times


def critical_path(trace: Trace, client_span_id: str = "") -> tuple[PathStep, ...]:
    """Name the spans that decided how long `trace` took, in order of time, after clock skew is corrected.

    Walks back from the root's end: each moment belongs to the child that ended last before it, else to the span itself.
    Steps tile the root without gap or overlap, so their `duration_ns` add up to the root's. Several roots: the tree
    with the client's span, else the longest. What has no time is passed over: the path begins at the first span below
    that has one. An empty forest gives an empty path.
    Pure, safe in any thread; iterative, O(n log n) in spans.
    """
    return find_critical_path(forest_of(correct_clock_skew(trace).trace), client_span_id).steps


def find_critical_path(forest: Forest, client_span_id: str = "") -> CriticalPath:
    """Do as `critical_path` does, for a forest whose clocks are already right, and tell slack too."""
    root = _root_of_path(forest, client_span_id)
    if root is None:
        return CriticalPath(None, (), {}, {})
    slack_ns: dict[str, int] = {}
    for head in forest.heads:
        _find_slack(forest, head, slack_ns)
    found = _steps(forest, root) if root.has_time else ()
    steps = tuple(sorted(found, key=lambda step: step.start_time_unix_nano))
    on_path = {step.span.span_id for step in steps}
    return CriticalPath(
        root,
        steps,
        {span_id: slack for span_id, slack in slack_ns.items() if span_id not in on_path},
        dict(_outliving(forest)),
    )


def tolerance_ns(first: Span, second: Span) -> int:
    """How much two spans may overlap and still count as one after the other."""
    return min(TOLERANCE_NS, max(0, min(first.duration_ns, second.duration_ns)) // 20)


def is_waited_for(parent: Span, child: Span) -> bool:
    """Whether `parent` can have waited for `child`, by kinds and times."""
    if child.kind in (SpanKind.PRODUCER, SpanKind.CONSUMER) or child.duration_ns <= 0 or not parent.has_time:
        return False
    if child.start_time_unix_nano >= parent.end_time_unix_nano:
        return False
    if child.end_time_unix_nano <= parent.start_time_unix_nano:
        return False
    late_ns = child.end_time_unix_nano - parent.end_time_unix_nano
    return _is_served(parent, child) or late_ns <= tolerance_ns(parent, child)


@dataclass(frozen=True, slots=True)
class Waits:
    """What one span waited for, latest first: the children taken, and for each other child the one taken instead."""

    taken: tuple[tuple[Span, int], ...]
    instead: Mapping[str, Span]


def waits_of(parent: Span, children: tuple[Span, ...]) -> Waits:
    """Walk back from the end of `parent`; `taken` pairs a child with the moment at which the wait for it was over."""
    queue = sorted(
        (child for child in children if is_waited_for(parent, child)),
        key=lambda child: (-_end_within(parent, child), start_order(child)),
    )
    taken: list[tuple[Span, int]] = []
    instead: dict[str, Span] = {}
    moment, index = parent.end_time_unix_nano, 0
    while index < len(queue) and moment > parent.start_time_unix_nano:
        # All that end at or after `moment` compete for it; with none of them left, time goes back to the next end.
        floor = min(moment, max(_end_within(parent, queue[index]), parent.start_time_unix_nano))
        best: Span | None = None
        passed: list[Span] = []
        while index < len(queue) and _end_within(parent, queue[index]) >= floor:
            child = queue[index]
            index += 1
            previous = taken[-1][0] if taken else None
            if not _ends_in_time(parent, child, moment, previous):
                instead[child.span_id] = previous or parent
            else:
                passed.append(child)
                best = child if best is None or start_order(child) < start_order(best) else best
        if best is None:
            continue
        instead.update((child.span_id, best) for child in passed if child is not best)
        taken.append((best, min(_end_within(parent, best), moment)))
        moment = best.start_time_unix_nano
    # What is left overlaps the parent, whose start was reached: the child taken last lies over it. A parent of no
    # length took none.
    last = taken[-1][0] if taken else parent
    instead.update((child.span_id, last) for child in queue[index:])
    return Waits(tuple(taken), instead)


def _ends_in_time(parent: Span, child: Span, moment: int, previous: Span | None) -> bool:
    if child.start_time_unix_nano >= moment:
        return False
    late_ns = _end_within(parent, child) - moment
    return late_ns <= 0 or previous is None or late_ns <= tolerance_ns(child, previous)


def _end_within(parent: Span, child: Span) -> int:
    if _is_served(parent, child):
        return min(child.end_time_unix_nano, parent.end_time_unix_nano)
    return child.end_time_unix_nano


def _is_served(parent: Span, child: Span) -> bool:
    return parent.kind is SpanKind.CLIENT and child.kind is SpanKind.SERVER


def _steps(forest: Forest, root: Span) -> Iterator[PathStep]:
    # A span that is clipped keeps the path it has when seen alone, cut to the window: at a deadline the culprit is
    # whatever the abandoned server was waiting for at that moment.
    stack = [(root, root.start_time_unix_nano, root.end_time_unix_nano)]
    while stack:
        span, low, high = stack.pop()
        moment = span.end_time_unix_nano
        for child, until in waits_of(span, forest.children_of(span)).taken:
            yield from _own(span, max(until, low), min(moment, high))
            start, end = max(child.start_time_unix_nano, low), min(until, high)
            if start < end:
                stack.append((child, start, end))
            moment = child.start_time_unix_nano
        yield from _own(span, low, min(moment, high))


def _own(span: Span, start: int, end: int) -> Iterator[PathStep]:
    if start < end:
        yield PathStep(span, start, end)


def _find_slack(forest: Forest, head: Span, slack_ns: dict[str, int]) -> None:
    for span, _ in forest.subtree(head):
        waits = waits_of(span, forest.children_of(span))
        inherited = slack_ns.get(span.span_id)
        if inherited is not None:
            slack_ns.update((child.span_id, inherited) for child, _ in waits.taken)
        for span_id, other in waits.instead.items():
            own_ns = other.end_time_unix_nano - forest.by_id[span_id].end_time_unix_nano
            slack_ns[span_id] = max(0, own_ns) + (inherited or 0)


def _outliving(forest: Forest) -> Iterator[tuple[str, int]]:
    for parent in forest.spans:
        for child in forest.children_of(parent):
            if not (parent.has_time and child.has_time):
                continue
            late_ns = child.end_time_unix_nano - parent.end_time_unix_nano
            if late_ns > tolerance_ns(parent, child):
                yield child.span_id, late_ns


def _root_of_path(forest: Forest, client_span_id: str) -> Span | None:
    for head in forest.heads:
        if client_span_id and any(span.span_id == client_span_id for span, _ in forest.subtree(head)):
            return _longest(_first_with_time(forest, [head])) or head
    return (
        _longest(_first_with_time(forest, forest.roots))
        or _longest(_first_with_time(forest, forest.orphans))
        or next(iter(forest.heads), None)
    )


def _longest(spans: Iterable[Span]) -> Span | None:
    return min(spans, key=lambda span: (-span.duration_ns, start_order(span)), default=None)


def _first_with_time(forest: Forest, heads: Iterable[Span]) -> Iterator[Span]:
    stack = list(heads)
    while stack:
        span = stack.pop()
        if span.has_time:
            yield span
        else:
            stack.extend(forest.children_of(span))
