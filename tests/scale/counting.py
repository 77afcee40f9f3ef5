"""What became of a load's traces: asked of Jaeger one by one, and set against the rule."""

from __future__ import annotations

import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from otel.analysis.model import Trace
from otel.query import QueryError, TraceQuery
from tests.scale.cluster import METRICS_PORT, RULE
from tests.scale.load import Call
from tests.scale.processes import EngineProcess
from tests.scale.rule import is_in_share

KEEP_PERCENT: Final = float(RULE["KEEP_PERCENT"])
SLOW_S: Final = int(RULE["SLOW_MS"]) / 1_000
READERS: Final = 4
SETTLE_BOUND_S: Final = 120.0
POLL_S: Final = 1.0
# A unit in the name and the ending _total come and go with versions of the exporter.
COUNTER: Final = re.compile(r"^(otelcol_\w+?)(?:__spans_)?(?:_total)?(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Stored:
    """What Jaeger has of a load: spans by trace; `holed` are traces with a span whose parent is missing."""

    span_counts: Mapping[bytes, int]
    holed: frozenset[bytes]

    @property
    def span_count(self) -> int:
        """All spans that are stored."""
        return sum(self.span_counts.values())

    def missing(self, calls: Iterable[Call]) -> list[Call]:
        """Those that the rule keeps and nobody has."""
        return [call for call in calls if is_kept_by_rule(call) and not self.span_counts.get(call.trace_id)]

    def unasked(self, calls: Iterable[Call]) -> list[Call]:
        """Those that are stored although neither failed, in the share, nor slow for their caller."""
        return [
            call
            for call in calls
            if self.span_counts.get(call.trace_id) and not is_kept_by_rule(call) and call.duration_s < SLOW_S
        ]


def is_kept_by_rule(call: Call) -> bool:
    """Whether the gateway's rule keeps it, as far as its caller can tell: slow ones apart."""
    return call.is_error or not call.ended_as_meant or is_in_share(call.trace_id, KEEP_PERCENT)


def stored_when_settled(
    query: TraceQuery, calls: Sequence[Call], expected_spans: Mapping[bool, int] | None, bound_s: float = SETTLE_BOUND_S
) -> Stored:
    """Ask until every trace that the rule keeps is there or the bound is over, then ask for everything once more.

    `expected_spans` has the spans of a call by whether it was meant to fail; where known, so many must be there.
    """
    pending, until_s = [call for call in calls if is_kept_by_rule(call)], time.monotonic() + bound_s
    while pending and time.monotonic() < until_s:
        found = ask(query, pending)
        pending = [
            call
            for call in pending
            if found.span_counts.get(call.trace_id, 0) < (expected_spans[call.is_error] if expected_spans else 1)
        ]
        time.sleep(POLL_S if pending else 0)
    return ask(query, calls)


def ask(query: TraceQuery, calls: Sequence[Call]) -> Stored:
    """Ask for every trace of these calls."""
    with ThreadPoolExecutor(READERS) as pool:
        answers = pool.map(lambda call: _trace(query, call), calls)
        found = {call: trace for call, trace in zip(calls, answers, strict=True) if trace is not None}
    return Stored(
        {call.trace_id: len({span.span_id for span in trace.spans}) for call, trace in found.items()},
        frozenset(call.trace_id for call, trace in found.items() if _has_hole(trace, call)),
    )


def _trace(query: TraceQuery, call: Call) -> Trace | None:
    try:
        return query.trace(call.trace_id.hex())
    except QueryError:  # a store that is short of a node may refuse once
        return query.trace(call.trace_id.hex())


def _has_hole(trace: Trace, call: Call) -> bool:
    """Whether a span's parent is missing, other than the caller's."""
    ids = {call.span_id, *(span.span_id for span in trace.spans)}
    return any(span.parent_span_id not in ids for span in trace.spans)


def counters(processes: Iterable[EngineProcess]) -> Counter[str]:
    """Sum what Collectors say of themselves, over all their labels; a process that is dead says nothing."""
    summed: Counter[str] = Counter()
    for process in processes:
        if process.is_running:
            with urllib.request.urlopen(f"http://{process.address}:{METRICS_PORT}/metrics", timeout=10) as answer:
                for name, value in COUNTER.findall(answer.read().decode()):
                    summed[name] += int(float(value))
    return summed
