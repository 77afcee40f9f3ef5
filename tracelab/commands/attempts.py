"""What gRPC's core counted of a trace's calls, where its metrics can be told apart from those of other calls."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from otel.analysis.model import SpanKind, Trace
from otel.analysis.rpc import operation
from otel.query import MetricQuery, MetricSearch

ATTEMPTS: Final = "grpc.client.attempt.started"
CALLS: Final = "rpc.client.call.duration"
METHOD: Final = "rpc.method"
CORE_METHOD: Final = "grpc.method"
# Metrics are sent every 10 s by what lab starts; a call's are in the points up to one interval later.
AROUND_S: Final = 15.0
MOST_METHODS: Final = 8


def attempt_sentences(query: MetricQuery, trace: Trace) -> list[str]:
    """Say of each service and method how many attempts its calls took, if these were more than the calls.

    Metrics tell of a method, not of a trace: where other calls of that method were made in the same seconds, nothing is
    said. Raises QueryError.
    """
    calls = [span for span in trace.spans if span.kind is SpanKind.CLIENT and METHOD in span.attributes]
    made = Counter((span.service_name, str(span.attributes[METHOD])) for span in calls)
    if not made or not any(metric.name == ATTEMPTS for metric in query.metrics()):
        return []
    shown = {str(span.attributes[METHOD]): operation(span) for span in calls}
    time_min, time_max, length_s = _times(trace)
    sentences = []
    for (service, method), count in list(made.items())[:MOST_METHODS]:
        search = MetricSearch(CALLS, "rate", service=service, time_min=time_min, time_max=time_max, step_s=length_s)
        counted = _total(query, replace(search, attributes={METHOD: method}))
        of_core = replace(search, name=ATTEMPTS, attributes={CORE_METHOD: method})
        attempts = _total(query, of_core) if counted == count else 0
        if attempts > count:
            of = f"{count} call" if count == 1 else f"{count} calls"
            sentences.append(f"gRPC counted {attempts} attempts for {of} of {shown[method]} by {service}")
    return sentences


def _total(query: MetricQuery, search: MetricSearch) -> int:
    """Count what was measured in the time of `search`."""
    found = query.query(search)
    return round(math.fsum(value * found.step_s for line in found.lines for value in line.values if value))


def _times(trace: Trace) -> tuple[str, str, int]:
    """From when to when (RFC 3339) the trace's calls are in metrics, and how many whole seconds that is."""
    timed = [span for span in trace.spans if span.has_time]
    began_s = min((span.start_time_unix_nano / 1e9 for span in timed), default=time.time()) - AROUND_S
    ended_s = max((span.end_time_unix_nano / 1e9 for span in timed), default=0.0) + AROUND_S
    last_s = min(time.time(), ended_s)
    first, last = (datetime.fromtimestamp(each, UTC).isoformat(timespec="milliseconds") for each in (began_s, last_s))
    return first.replace("+00:00", "Z"), last.replace("+00:00", "Z"), max(1, math.ceil(last_s - began_s))
