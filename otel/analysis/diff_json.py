"""A comparison of two traces as JSON: what `GET /api/lab/diff` answers and the page draws.

Nanoseconds are strings, ids hex, as in `analysis_json`.
"""

from __future__ import annotations

from otel.analysis.diff import DiffNode, Fold, SpanPair, TraceDiff
from otel.analysis.otlp_json import JsonObject


def diff_to_json(diff: TraceDiff) -> JsonObject:
    """Write `diff`: nodes depth first, whose `deltaNano` add up to the whole `deltaNano`. Pure."""
    return {
        "a": {"traceId": diff.a_trace_id, "durationNano": str(diff.a_duration_ns)},
        "b": {"traceId": diff.b_trace_id, "durationNano": str(diff.b_duration_ns)},
        "deltaNano": str(diff.delta_ns),
        "nodes": [_node(node) for node in diff.nodes],
        "logCounts": [{"name": name, "a": a, "b": b} for name, a, b in diff.log_counts],
    }


def _node(node: DiffNode) -> JsonObject:
    return {
        "serviceName": node.key.service_name,
        "operation": node.key.operation,
        "kind": node.key.kind.name.lower(),
        "depth": node.depth,
        "change": node.change.value,
        "moved": node.moved,
        "a": _fold(node.a),
        "b": _fold(node.b),
        "deltaNano": str(node.delta_ns),
        "worstPair": _pair(node.worst_pair) if node.worst_pair else None,
    }


def _fold(fold: Fold) -> JsonObject:
    return {
        "count": fold.count,
        "spanIds": list(fold.span_ids),
        "durationNano": str(fold.duration_ns),
        "selfTimeNano": str(fold.self_time_ns),
        "criticalTimeNano": str(fold.critical_time_ns),
        "medianDurationNano": str(fold.median_duration_ns),
        "worstStatus": fold.worst_status,
    }


def _pair(pair: SpanPair) -> JsonObject:
    return {
        "aSpanId": pair.a_span_id,
        "bSpanId": pair.b_span_id,
        "deltaNano": str(pair.delta_ns),
        "differences": [{"key": key, "a": a, "b": b} for key, a, b in pair.differences],
    }
