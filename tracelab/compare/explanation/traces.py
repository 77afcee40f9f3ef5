"""Reads the traces behind samples, through the query API alone, and takes them apart.

A trace arrives in pieces, from several processes: it is read again until nothing is missing or the time is up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.reading import NO_SERVER_SPAN, WIRE_AND_QUEUES, TraceReading
from otel.analysis.rpc import operation, rpc_facts
from otel.analysis.tree import Forest
from otel.query.client import TraceQuery
from tracelab.compare.explanation.trace_parts import Part, PartKey, TraceParts

WAIT_S = 5.0
_POLL_S = 0.1

Call: TypeAlias = tuple[str, str]
"""The service that calls, and the operation that it calls."""


def _ignore_count(done: int, wanted: int) -> None:
    """Show nothing."""


def parts_of(trace: Trace) -> TraceParts:
    """Take a trace apart: critical time and spans by service, operation and kind. Times add up to the root's duration.

    Incomplete if a span's parent was not received or there is not exactly one root.
    """
    return parts_of_reading(TraceReading(trace))


def parts_of_reading(reading: TraceReading) -> TraceParts:
    """Do as `parts_of` does, for a trace that was read."""
    forest, own_ns, root = reading.forest, reading.critical_time_ns, reading.root
    parts: dict[PartKey, Part] = {}
    for span in forest.spans:
        key = key_of(forest, span)
        part = parts.get(key, Part(0, 0))
        parts[key] = Part(part.critical_ns + own_ns.get(span.span_id, 0), part.span_count + 1)
    return TraceParts(
        trace_id=reading.trace.trace_id,
        root_duration_ns=root.duration_ns if root else 0,
        parts=tuple(sorted(parts.items(), key=lambda item: item[0])),
        complete=not forest.orphans and len(forest.roots) == 1,
    )


def key_of(forest: Forest, span: Span) -> PartKey:
    """Whose time a span's own time is; a calling span's is the wire's, or nobody's whose server left no span."""
    part = ""
    if span.kind is SpanKind.CLIENT and rpc_facts(span) is not None:
        served = any(child.kind is SpanKind.SERVER for child in forest.children_of(span))
        part = WIRE_AND_QUEUES if served else NO_SERVER_SPAN
    return PartKey(span.service_name, operation(span), span.kind.name.lower(), part)


class TraceReader:
    """Reads traces once each, and keeps their parts and, for replaying, what was read. Synchronous; one thread."""

    def __init__(self, query: TraceQuery, wait_s: float = WAIT_S) -> None:
        self.readings: dict[str, TraceReading] = {}
        self._query = query
        self._deadline_s = time.monotonic() + wait_s
        self._found: dict[str, TraceParts] = {}

    def read(
        self, trace_ids: Iterable[str], newest: str = "", on_read: Callable[[int, int], None] = _ignore_count
    ) -> Mapping[str, TraceParts]:
        """The parts of each trace of one variant that the backend has; `on_read` hears how many are read, of how many.

        What is incomplete is asked for again until the reader's time is up. A trace in which an operation has no server
        span, though it has one in most of the others, is incomplete too: a span was lost. `newest` is the trace of the
        variant's last call: until each call in it has its server span, services may still hold what they have not sent,
        and no trace without a server span counts as complete. Raises QueryError.
        """
        asked = [trace_id for trace_id in dict.fromkeys(trace_ids) if trace_id]
        wanted = list(dict.fromkeys((*asked, newest))) if newest else asked
        missing = [trace_id for trace_id in wanted if trace_id not in self._found]
        while missing:
            for number, trace_id in enumerate(missing):
                trace = self._query.trace(trace_id)
                if trace is not None:
                    self.readings[trace_id] = TraceReading(trace)
                    self._found[trace_id] = parts_of_reading(self.readings[trace_id])
                on_read(len(wanted) - len(missing) + number + 1, len(wanted))
            missing = self._not_whole(wanted, newest)
            if time.monotonic() > self._deadline_s:
                break
            if missing:
                time.sleep(_POLL_S)
        usual = self._usually_served(wanted)
        return {
            trace_id: replace(self._found[trace_id], complete=self._is_whole(trace_id, usual))
            for trace_id in asked
            if trace_id in self._found
        }

    def _not_whole(self, wanted: Iterable[str], newest: str) -> list[str]:
        # A process sends its spans in the order in which they ended, so that the last call's arrive last.
        if newest and not self._is_served(newest):
            return [trace_id for trace_id in wanted if not self._is_served(trace_id)]
        usual = self._usually_served(wanted)
        return [trace_id for trace_id in wanted if not self._is_whole(trace_id, usual)]

    def _is_served(self, trace_id: str) -> bool:
        parts = self._found.get(trace_id)
        return parts is not None and parts.complete and not _unserved(parts)

    def _is_whole(self, trace_id: str, usually_served: set[Call]) -> bool:
        parts = self._found.get(trace_id)
        return parts is not None and parts.complete and not _unserved(parts) & usually_served

    def _usually_served(self, trace_ids: Iterable[str]) -> set[Call]:
        """The calls that have a server span in most of these traces."""
        balance: dict[Call, int] = {}
        for trace_id in trace_ids:
            parts = self._found.get(trace_id)
            for call, step in _calls(parts) if parts else ():
                balance[call] = balance.get(call, 0) + step
        return {call for call, total in balance.items() if total > 0}


def _calls(parts: TraceParts) -> Iterable[tuple[Call, int]]:
    for key, _ in parts.parts:
        if key.part:
            yield (key.service_name, key.operation), 1 if key.part == WIRE_AND_QUEUES else -1


def _unserved(parts: TraceParts) -> set[Call]:
    return {(key.service_name, key.operation) for key, _ in parts.parts if key.part == NO_SERVER_SPAN}
