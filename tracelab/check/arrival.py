"""Waits for the traces of a check: what a server exports stands in its queue in the order in which it ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from otel.analysis.model import Trace
from otel.query import TraceNotCompleteError, TraceQuery
from tracelab.check.judge import server_spans

SETTLED_S: Final = 0.5


def arrived_traces(query: TraceQuery, trace_ids: Sequence[str], last: str, within_s: float) -> dict[str, Trace]:
    """Read the traces once the server's span of the `last` call has come, or after `within_s` as they are.

    Blocks; raises QueryError.
    """
    try:
        query.wait_for_trace(last, until=lambda trace: bool(server_spans(trace)), within_s=within_s)
        time.sleep(SETTLED_S)  # two exports of one moment may come in either order
    except TraceNotCompleteError:
        pass
    found = {trace_id: query.trace(trace_id) for trace_id in trace_ids}
    return {trace_id: trace for trace_id, trace in found.items() if trace is not None}
