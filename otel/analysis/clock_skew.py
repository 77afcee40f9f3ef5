"""Clocks of different hosts disagree: move spans so that no child starts before its parent, and say so.

Jaeger's rule (`clockskew.go`), which Jaeger itself has turned off by default. Durations are true, positions are
opinions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from otel.analysis.model import Span, Trace, start_order
from otel.analysis.tree import Forest, forest_of

HOST_ATTRIBUTES = ("host.id", "host.ip", "host.name")


@dataclass(frozen=True, slots=True)
class SkewCorrection:
    """A copy of a trace with spans moved; `shifts_ns` has the moved spans only."""

    trace: Trace
    shifts_ns: Mapping[str, int]

    @property
    def note(self) -> str:
        """One sentence for a person; "" when nothing was moved."""
        if not self.shifts_ns:
            return ""
        most_ns = max(self.shifts_ns.values(), key=abs)
        moved = f"{most_ns / 1e6:+.1f} ms"
        moves = (
            f"1 span was moved by {moved} to fit its parent"
            if len(self.shifts_ns) == 1
            else f"{len(self.shifts_ns)} spans were moved by up to {moved} to fit their parents"
        )
        return f"clocks differ between hosts: {moves}; how the wire time splits is unknown"


def correct_clock_skew(trace: Trace) -> SkewCorrection:
    """Move the spans whose host differs from their parent's and which lie outside it; descendants follow.

    A child longer than its parent is only kept from starting before it; else it is centred. Where a host or a time is
    unknown nothing moves. Pure; O(n log n).
    """
    forest = forest_of(trace)
    shifts_ns = _shifts(forest)
    if not shifts_ns:
        return SkewCorrection(trace, {})
    spans = (shifted(span, shifts_ns.get(span.span_id, 0)) for span in forest.spans)
    return SkewCorrection(Trace(trace.trace_id, tuple(sorted(spans, key=start_order))), shifts_ns)


def shifted(span: Span, shift_ns: int) -> Span:
    """Copy `span` with all its times moved by `shift_ns`."""
    if not shift_ns:
        return span
    return replace(
        span,
        start_time_unix_nano=span.start_time_unix_nano + shift_ns,
        end_time_unix_nano=span.end_time_unix_nano + shift_ns,
        events=tuple(replace(event, time_unix_nano=event.time_unix_nano + shift_ns) for event in span.events),
    )


def _shifts(forest: Forest) -> dict[str, int]:
    shifts_ns: dict[str, int] = {}
    for parent, _ in forest.depth_first():
        inherited_ns = shifts_ns.get(parent.span_id, 0)
        for child in forest.children_of(parent):
            differ = _hosts_differ(parent, child) and parent.has_time
            shift_ns = _shift_into(parent, inherited_ns, child) if differ else inherited_ns
            if shift_ns and child.has_time:
                shifts_ns[child.span_id] = shift_ns
    return shifts_ns


def _shift_into(parent: Span, parent_shift_ns: int, child: Span) -> int:
    start = parent.start_time_unix_nano + parent_shift_ns
    end = parent.end_time_unix_nano + parent_shift_ns
    if child.duration_ns > parent.duration_ns:
        return max(0, start - child.start_time_unix_nano)
    if start <= child.start_time_unix_nano and child.end_time_unix_nano <= end:
        return 0
    return start + (parent.duration_ns - child.duration_ns) // 2 - child.start_time_unix_nano


def _hosts_differ(parent: Span, child: Span) -> bool:
    parent_host, child_host = _host(parent), _host(child)
    return bool(parent_host and child_host) and parent_host != child_host


def _host(span: Span) -> str:
    attributes = span.resource.attributes
    return next((str(attributes[key]) for key in HOST_ATTRIBUTES if attributes.get(key)), "")
