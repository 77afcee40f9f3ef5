"""What became of a load's traces: asked of Jaeger one by one, and set against the rule."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from otel.analysis.model import Trace
from otel.query import LogSearch, QueryError, TraceQuery
from tests.polling import eventually
from tests.scale.cluster import RULE
from tests.scale.load import Call
from tests.scale.rule import is_in_share

KEEP_PERCENT: Final = float(RULE["KEEP_PERCENT"])
SLOW_S: Final = int(RULE["SLOW_MS"]) / 1_000
READERS: Final = 4
SETTLE_BOUND_S: Final = 120.0
POLL_S: Final = 1.0
REFUSED_BOUND_S: Final = 30.0


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


def spans_by_ending(query: TraceQuery, calls: Sequence[Call]) -> dict[bool, int]:
    """Count a call's spans by whether it was meant to fail, from calls that are kept; all of a kind have as many."""
    settled = eventually(
        lambda: ask(query, calls), until=lambda it: not it.holed and len(it.span_counts) == len(calls), within_s=60
    )
    found: dict[bool, int] = {}
    for is_error in (False, True):
        numbers = {settled.span_counts[call.trace_id] for call in calls if call.is_error is is_error}
        assert len(numbers) == 1, f"calls of one kind have different numbers of spans: {numbers}"
        (found[is_error],) = numbers
    return found


def log_counts(query: TraceQuery, calls: Sequence[Call]) -> dict[bytes, int]:
    """Count the log records of each call's trace, each once; what is sampled out has its logs all the same."""
    with ThreadPoolExecutor(READERS) as pool:
        pages = pool.map(lambda call: query.logs(LogSearch(trace_id=call.trace_id.hex())), calls)
        return {call.trace_id: len(page.records) for call, page in zip(calls, pages, strict=True)}


def calls_short_of_logs(
    query: TraceQuery, calls: Sequence[Call], logs_of_a_call: Mapping[bool, int], bound_s: float = SETTLE_BOUND_S
) -> int:
    """Count the calls that have not exactly the records they should have, once all have or the bound is over."""
    pending, until_s = list(calls), time.monotonic() + bound_s
    while True:
        found = log_counts(query, pending)
        pending = [call for call in pending if found[call.trace_id] != logs_of_a_call[call.is_error]]
        if not pending or time.monotonic() > until_s:
            return len(pending)
        time.sleep(POLL_S)


def logs_by_ending(query: TraceQuery, calls: Sequence[Call]) -> dict[bool, int]:
    """Count a call's log records by whether it was meant to fail; all of a kind have as many, once all are there."""

    def by_ending() -> dict[bool, set[int]]:
        found = log_counts(query, calls)
        return {kind: {found[call.trace_id] for call in calls if call.is_error is kind} for kind in (False, True)}

    settled = eventually(
        by_ending, until=lambda it: all(len(kind) == 1 and 0 not in kind for kind in it.values()), within_s=60
    )
    return {kind: next(iter(numbers)) for kind, numbers in settled.items()}


def _trace(query: TraceQuery, call: Call) -> Trace | None:
    """Ask until there is an answer: a store that is short of a node may refuse until it has missed it."""

    def asked() -> list[Trace | None]:
        try:
            return [query.trace(call.trace_id.hex())]
        except QueryError:
            return []

    (answer,) = eventually(asked, within_s=REFUSED_BOUND_S)
    return answer


def _has_hole(trace: Trace, call: Call) -> bool:
    """Whether a span's parent is missing, other than the caller's."""
    ids = {call.span_id, *(span.span_id for span in trace.spans)}
    return any(span.parent_span_id not in ids for span in trace.spans)
