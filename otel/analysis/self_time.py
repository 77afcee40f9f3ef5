"""Self time: how long a span ran with none of its children running."""

from __future__ import annotations

from otel.analysis.model import Span
from otel.analysis.tree import Forest


def self_times_ns(forest: Forest) -> dict[str, int]:
    """Give each span's self time by span id: its duration less what its children cover of it. O(n log n)."""
    return {span.span_id: _self_time_ns(span, forest.children_of(span)) for span in forest.spans}


def _self_time_ns(span: Span, children_by_start: tuple[Span, ...]) -> int:
    covered_ns = 0
    reached = span.start_time_unix_nano
    for child in children_by_start:
        if not child.has_time:
            continue
        start = max(child.start_time_unix_nano, reached)
        end = min(child.end_time_unix_nano, span.end_time_unix_nano)
        if end > start:
            covered_ns += end - start
            reached = end
    return max(0, span.duration_ns - covered_ns)
