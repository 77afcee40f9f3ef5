"""A trace as a sequence diagram: who asked whom, what came back, in order of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from otel.analysis.attempts import retried_calls
from otel.analysis.durations import duration_text
from otel.analysis.model import Span, SpanEvent, SpanKind
from otel.analysis.reading import TraceReading
from otel.analysis.rpc import operation, rpc_facts

_CANCELLED_CODES = ("CANCELLED", "DEADLINE_EXCEEDED")


class StepKind(StrEnum):
    """What an arrow or a mark of the diagram means."""

    REQUEST = "request"
    RESPONSE = "response"
    MESSAGE = "message"
    CANCEL = "cancel"
    LOG = "log"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class SequenceStep:
    """One arrow, or a mark on one participant when both ends are the same."""

    kind: StepKind
    from_service: str
    to_service: str
    time_unix_nano: int
    label: str
    span_id: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """Participants from left to right, steps in order of time."""

    participants: tuple[str, ...]
    steps: tuple[SequenceStep, ...]


def sequence_of(reading: TraceReading) -> Sequence:
    """Turn a trace and its logs into the steps of a sequence diagram.

    A call without a server span goes to a participant named after its gRPC service. Requests are placed at the
    client's start, responses at its end, of a retried call at the server's. What has no time has no place. Pure;
    O(n log n).
    """
    steps = [*_call_steps(reading), *_log_steps(reading)]
    order = {StepKind.REQUEST: 0, StepKind.RESPONSE: 2}
    steps.sort(key=lambda step: (step.time_unix_nano, order.get(step.kind, 1)))
    named = [name for step in steps for name in (step.from_service, step.to_service)]
    return Sequence(tuple(dict.fromkeys((*reading.services, *named))), tuple(steps))


def _call_steps(reading: TraceReading) -> Iterator[SequenceStep]:
    attempts = {call.client_span.span_id: call.attempts for call in retried_calls(reading.forest)}
    for client in reading.forest.spans:
        if client.kind is not SpanKind.CLIENT or not client.has_time or rpc_facts(client) is None:
            continue
        servers = [child for child in reading.forest.children_of(client) if child.kind is SpanKind.SERVER]
        if not servers:
            yield from _unserved(client)
        elif client.span_id in attempts:
            for attempt in attempts[client.span_id]:
                if not attempt.server_span.has_time:
                    continue
                yield from _served(client, attempt.server_span, f" (attempt {attempt.number})")
        else:
            yield from _served(client, servers[0], "")


def _unserved(client: Span) -> Iterator[SequenceStep]:
    facts = rpc_facts(client)
    to_service = f"{facts.service if facts else '?'} (no span)"
    start, end = client.start_time_unix_nano, client.end_time_unix_nano
    name = operation(client)
    yield SequenceStep(StepKind.REQUEST, client.service_name, to_service, start, name, client.span_id)
    answer = _answer(client)
    yield SequenceStep(StepKind.RESPONSE, to_service, client.service_name, end, answer, client.span_id, client.is_error)


def _served(client: Span, server: Span, attempt: str) -> Iterator[SequenceStep]:
    here, there = client.service_name, server.service_name
    asked = server if attempt else client
    label = operation(client) + attempt
    yield SequenceStep(StepKind.REQUEST, here, there, asked.start_time_unix_nano, label, client.span_id)
    yield from _messages(client, server)
    if not attempt and _is_cancelled(client, server):
        reason = "deadline exceeded" if _code(client) == "DEADLINE_EXCEEDED" else "cancel"
        label = f"{reason} after {duration_text(client.duration_ns)}"
        yield SequenceStep(StepKind.CANCEL, here, there, client.end_time_unix_nano, label, client.span_id, True)
        return
    answer = SequenceStep(
        StepKind.RESPONSE, there, here, asked.end_time_unix_nano, _answer(asked), server.span_id, asked.is_error
    )
    yield answer


def _messages(client: Span, server: Span) -> Iterator[SequenceStep]:
    for owner, peer in ((server, client), (client, server)):
        events = [(event, direction) for event in owner.events if (direction := _direction(event))]
        if len(events) > 2:
            for event, direction in events:
                ends = (owner, peer) if direction == "sent" else (peer, owner)
                yield SequenceStep(
                    StepKind.MESSAGE,
                    ends[0].service_name,
                    ends[1].service_name,
                    event.time_unix_nano,
                    _message_label(event),
                    owner.span_id,
                )
            return


def _direction(event: SpanEvent) -> str:
    if event.name == "Outbound message" or event.attributes.get("message.type") == "SENT":
        return "sent"
    if event.name == "Inbound message" or event.attributes.get("message.type") == "RECEIVED":
        return "received"
    return ""


def _message_label(event: SpanEvent) -> str:
    number = event.attributes.get("sequence-number", event.attributes.get("message.id"))
    size = event.attributes.get("message-size")
    label = f"message {number}" if isinstance(number, int) else "message"
    return f"{label}, {size} B" if isinstance(size, int) else label


def _is_cancelled(client: Span, server: Span) -> bool:
    facts = rpc_facts(server)
    told = facts is not None and (facts.cut_short or facts.status_code in _CANCELLED_CODES)
    return _code(client) in _CANCELLED_CODES and (told or server.end_time_unix_nano > client.end_time_unix_nano)


def _answer(span: Span) -> str:
    return f"{_code(span) or ('ERROR' if span.is_error else 'ended')} after {duration_text(span.duration_ns)}"


def _code(span: Span) -> str:
    facts = rpc_facts(span)
    return facts.status_code if facts else ""


def _log_steps(reading: TraceReading) -> Iterator[SequenceStep]:
    for records in reading.logs_by_span.values():
        for record in records:
            label = record.event_name or (record.body if isinstance(record.body, str) else "")
            name = record.service_name
            time = reading.log_time_unix_nano(record)
            yield SequenceStep(StepKind.LOG, name, name, time, label, record.span_id, record.severity_number >= 17)
