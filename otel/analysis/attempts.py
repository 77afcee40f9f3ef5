"""Attempts of a retried call, found from its server spans: the client's library tells nobody about them."""

from __future__ import annotations

from dataclasses import dataclass

from otel.analysis.model import Span, SpanKind
from otel.analysis.rpc import rpc_facts
from otel.analysis.tree import Forest


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a call as its server saw it. `number` counts from 1; `wait_ns` is the time since the try before."""

    server_span: Span
    number: int
    wait_ns: int


@dataclass(frozen=True, slots=True)
class Call:
    """A client span with the attempts that reached a server."""

    client_span: Span
    attempts: tuple[Attempt, ...]


def retried_calls(forest: Forest) -> tuple[Call, ...]:
    """Find the calls that were tried more than once, by start time.

    An attempt's number is what the server was told (`grpc.previous_rpc_attempts`), else its place. A try that no
    server received leaves a gap in the numbers.
    """
    calls = (Call(span, _attempts(forest, span)) for span in forest.spans if span.kind is SpanKind.CLIENT)
    return tuple(call for call in calls if any(attempt.number > 1 for attempt in call.attempts))


def _attempts(forest: Forest, client: Span) -> tuple[Attempt, ...]:
    attempts: list[Attempt] = []
    for span in forest.children_of(client):
        if span.kind is not SpanKind.SERVER:
            continue
        facts = rpc_facts(span)
        told = facts.previous_attempts if facts else None
        before = attempts[-1].server_span if attempts else None
        wait_ns = max(0, span.start_time_unix_nano - before.end_time_unix_nano) if before and before.has_time else 0
        attempts.append(Attempt(span, len(attempts) + 1 if told is None else told + 1, wait_ns))
    return tuple(attempts)
