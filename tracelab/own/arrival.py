"""Waits for the trace of a call: its own span comes at once, the server's when the server's exporter sends it."""

from __future__ import annotations

import time
from collections.abc import Callable

from otel.analysis.model import SpanKind, Trace
from otel.analysis.reading import TraceReading
from otel.query import BackendUnreachableError, TraceNotCompleteError, TraceQuery

SETTLED_S = 0.25
"""With no new span for so long a trace counts as whole: what one export brings stands in the store together."""


def arrived_reading(query: TraceQuery, trace_id: str, within_s: float) -> TraceReading | None:
    """Read the trace with its logs once a server's span is in it and nothing more comes, or after `within_s` as it is.

    None where nothing of it came. Blocks; raises QueryError.
    """
    try:
        trace = query.wait_for_trace(trace_id, until=_settled(time.monotonic), within_s=within_s)
    except TraceNotCompleteError as error:
        if error.seen is None:
            return None
        trace = error.seen
    except BackendUnreachableError:
        return None
    return TraceReading(trace, tuple(query.logs_of_trace(trace_id, trace).records))


def was_served(reading: TraceReading) -> bool:
    """Whether a server's span has arrived."""
    return any(span.kind is SpanKind.SERVER for span in reading.forest.spans)


def _settled(clock: Callable[[], float]) -> Callable[[Trace], bool]:
    seen = (0, clock())

    def is_whole(trace: Trace) -> bool:
        nonlocal seen
        if len(trace.spans) != seen[0]:
            seen = (len(trace.spans), clock())
        served = any(span.kind is SpanKind.SERVER for span in trace.spans)
        return served and clock() - seen[1] >= SETTLED_S

    return is_whole
