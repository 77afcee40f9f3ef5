"""Says of each cell whether the spans tell what the witnesses saw.

A cell is one side of one scenario under one instrumentation. `happened` comes from the scenario and from the two
witnesses, `claimed` from the spans and log records that were read back. Pure: values in, values out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from otel.analysis.model import LogRecord, Span, SpanKind
from otel.analysis.rpc import status_code_name
from tracelab.truth.core_counts import CoreCounts
from tracelab.truth.endings import SERVER_FAULTS, Act, Api, Ending, Scenario, Server, SpanExpected
from tracelab.truth.expectations import claim, code_faults, exception_event_faults
from tracelab.truth.witness import CallRecord, ServicerEvent

Verdict: TypeAlias = Literal["true", "wrong", "unknown", "hang"]
Side: TypeAlias = Literal["client", "server"]

CORRECTED = "corrected"
SENT_COUNT = "tracelab.rpc.sent_message_count"
RECEIVED_COUNT = "tracelab.rpc.received_message_count"
CANCELS = frozenset({Act.CANCEL_AT_ONCE, Act.CANCEL_AFTER_MESSAGE, Act.CANCEL_WHILE_READ, Act.CLOSE_CHANNEL, Act.DROP})
EXCEPTION_EVENT = "rpc.server.call.exception"
# Spans are ended in callbacks of the event loop, which may run just after the caller looked at its clock.
CLOCK_SLACK_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one scenario: the caller's record, the servicer's events, and what telemetry says.

    `left_open` has the kinds of this trace's spans that had not ended when their processes did, such as `CLIENT`;
    `core` what gRPC's core counted when the same call was made once more, None where it was not asked.
    """

    scenario: Scenario
    record: CallRecord
    events: tuple[ServicerEvent, ...]
    spans: tuple[Span, ...]
    logs: tuple[LogRecord, ...]
    left_open: frozenset[str] = frozenset()
    core: CoreCounts | None = None

    def of_kind(self, kind: SpanKind) -> list[Span]:
        """The spans of one kind, by start."""
        return sorted((span for span in self.spans if span.kind is kind), key=lambda span: span.start_time_unix_nano)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of the matrix, all strings, as `lab truth --json` gives it.

    `api` is the client's; `core` what gRPC's core counted on this side, "" where it was not asked.
    """

    instrumentation: str
    api: str
    kind: str
    ending: str
    side: Side
    verdict: Verdict
    happened: str
    claimed: str
    core: str = ""


def judge(instrumentation: str, evidence: Evidence) -> Iterator[Cell]:
    """Both sides of a scenario."""
    client_faults, server_faults = _client_faults(evidence), _server_faults(evidence)
    if instrumentation == CORRECTED:
        client_faults += _convention_faults(evidence, SpanKind.CLIENT)
        server_faults += _convention_faults(evidence, SpanKind.SERVER)
    yield _cell(instrumentation, evidence, "client", client_faults)
    yield _cell(instrumentation, evidence, "server", server_faults)


def _cell(instrumentation: str, evidence: Evidence, side: Side, faults: Sequence[str]) -> Cell:
    scenario = evidence.scenario
    verdict: Verdict = "wrong" if faults else "true"
    if evidence.record.hung:
        verdict = "hang"
    elif side == "server" and scenario.ending.server_span is SpanExpected.UNKNOWABLE and not faults:
        verdict = "unknown"
    claimed = _claim(evidence, side)
    if faults:
        claimed = f"{claimed} ({'; '.join(faults)})"
    return Cell(
        instrumentation,
        scenario.api.value,
        scenario.kind.value,
        scenario.ending.name,
        side,
        verdict,
        _happened(evidence, side),
        claimed,
        _core(evidence, side),
    )


def _core(evidence: Evidence, side: Side) -> str:
    if evidence.core is None:
        return ""
    return evidence.core.client if side == "client" else evidence.core.server


def _happened(evidence: Evidence, side: Side) -> str:
    ending = evidence.scenario.ending
    if side == "client":
        if evidence.record.hung:
            return f"the call hung; without the library it ends {_client_end(ending)}"
        seen = evidence.record.code or evidence.record.raised
        return seen if seen == _client_end(ending) else f"{seen}; without the library {_client_end(ending)}"
    if ending.server_span is SpanExpected.NONE:
        return "no server could say anything"
    if ending.server_span is SpanExpected.UNKNOWABLE:
        return _unknowable(evidence)
    attempts = f", attempt {ending.server_spans} of {ending.server_spans}" if ending.server_spans > 1 else ""
    return f"{ending.true_server_code}{attempts}"


def _unknowable(evidence: Evidence) -> str:
    reason = "refused before the servicer, for a reason that Python cannot see"
    if evidence.scenario.ending.reaches_servicer:
        reason = "cut short while it waited for a request: cancelled or refused, which Python cannot tell apart"
    return reason if evidence.core is None else f"{reason}; {evidence.core.proof}"


def _client_end(ending: Ending) -> str:
    return ending.client_code or ending.client_error


def _claim(evidence: Evidence, side: Side) -> str:
    return claim(evidence.of_kind(SpanKind.CLIENT if side == "client" else SpanKind.SERVER))


def _client_faults(evidence: Evidence) -> list[str]:
    ending, record = evidence.scenario.ending, evidence.record
    faults = []
    if (record.code or record.raised) != _client_end(ending) and not record.hung:
        faults.append(f"the library changed the call: it ends {_client_end(ending)} without it")
    faults += _open_faults(evidence, SpanKind.CLIENT)
    spans = evidence.of_kind(SpanKind.CLIENT)
    if len(spans) != 1:
        return [*faults, f"{len(spans)} client spans, not 1"]
    (span,) = spans
    faults += code_faults(span, ending.client_code, failed=ending.client_code != "OK")
    faults += _name_faults(span, evidence.scenario)
    faults += exception_event_faults(span)
    if span.parent_span_id != record.parent_span_id:
        faults.append("parent is not the span around the call")
    if span.start_time_unix_nano < record.started_unix_nano - CLOCK_SLACK_NS:
        faults.append("starts before the call")
    if span.end_time_unix_nano > record.ended_unix_nano + CLOCK_SLACK_NS:
        faults.append("ends after the call")
    if record.open_before_deadline is False:
        faults.append("the abandoned stream was not open")
    return faults + _client_count_faults(span, evidence)


def _server_faults(evidence: Evidence) -> list[str]:
    ending = evidence.scenario.ending
    spans = evidence.of_kind(SpanKind.SERVER)
    faults = _witness_faults(evidence) + _open_faults(evidence, SpanKind.SERVER)
    if ending.server_span is SpanExpected.NONE:
        return [*faults, "a span, although the server could not send one"] if spans else faults
    if len(spans) != ending.server_spans:
        return [*faults, f"{len(spans)} server spans, not {ending.server_spans}"]
    last = spans[-1]
    for attempt in spans[:-1]:
        faults += code_faults(attempt, "UNAVAILABLE", failed=True)
    code = "" if ending.server_span is SpanExpected.UNKNOWABLE else ending.true_server_code
    faults += code_faults(last, code, failed=code in SERVER_FAULTS)
    for span in spans:
        faults += exception_event_faults(span)
        faults += _name_faults(span, evidence.scenario)
    faults += _parent_faults(spans, evidence.of_kind(SpanKind.CLIENT))
    faults += _server_count_faults(last, evidence)
    faults += _exception_record_faults(evidence, ending.exceptions)
    faults += _time_faults(evidence, spans)
    return faults


def _name_faults(span: Span, scenario: Scenario) -> list[str]:
    unknown = span.kind is SpanKind.SERVER and not scenario.ending.behaviour
    wanted = "grpc" if unknown else scenario.method
    return [] if span.name.removeprefix("/") == wanted else [f"is named {span.name}, not {wanted}"]


def _convention_faults(evidence: Evidence, kind: SpanKind) -> list[str]:
    """What the current conventions ask for besides; the stock library follows older ones, and is not asked."""
    return [fault for span in evidence.of_kind(kind) for fault in _attribute_faults(span, evidence)]


def _attribute_faults(span: Span, evidence: Evidence) -> list[str]:
    code = status_code_name(span.attributes)
    # A call that never got a status names what its caller was raised.
    error_type = (code or evidence.record.raised) if span.is_error else None
    wanted: dict[str, object] = {"error.type": error_type, "rpc.system.name": "grpc"}
    if span.kind is SpanKind.CLIENT:
        host, _, port = evidence.record.target.rpartition(":")
        wanted |= {"server.address": host, "server.port": int(port)}
    elif evidence.events and evidence.scenario.ending.server is not Server.BUSY:
        # Only a servicer that was reached has a context, which alone knows the peer, and no more once the call is over.
        wanted["network.peer.address"] = "127.0.0.1"
    return [
        f"{key} is {span.attributes.get(key)!r}, not {value!r}"
        for key, value in wanted.items()
        if span.attributes.get(key) != value
    ]


def _parent_faults(servers: Sequence[Span], clients: Sequence[Span]) -> list[str]:
    # Without a client span there is nothing to hold the parent against; that it is missing is the client side's fault.
    wanted = {client.span_id for client in clients}
    strays = sum(span.parent_span_id not in wanted for span in servers) if wanted else 0
    return [f"{strays} server spans are not children of the client's"] if strays else []


def _open_faults(evidence: Evidence, kind: SpanKind) -> list[str]:
    return ["a span was still open when the run ended"] if kind.name in evidence.left_open else []


def _client_count_faults(span: Span, evidence: Evidence) -> list[str]:
    """Hold what the client counts against what its caller took, and against what left it and arrived.

    Of a call that failed on the way nobody but its servicer knows how many of the requests offered were sent.
    """
    record = evidence.record
    got = _seen(evidence, "got message")
    at_least = record.sent_message_count if record.code == "OK" else got
    return [
        *_count_faults(span, SENT_COUNT, at_least, record.sent_message_count),
        *_count_faults(span, RECEIVED_COUNT, record.received_message_count, record.received_message_count),
    ]


def _server_count_faults(span: Span, evidence: Evidence) -> list[str]:
    """Hold what the server counts against what its servicer wrote down and what the caller received."""
    kind = evidence.scenario.kind
    got = _seen(evidence, "got message" if kind.sends_stream else "entered")
    offered = _seen(evidence, "sent message" if kind.receives_stream else "returned")
    return [
        *_count_faults(span, RECEIVED_COUNT, got, got),
        *_count_faults(span, SENT_COUNT, evidence.record.received_message_count, offered),
    ]


def _seen(evidence: Evidence, event_name: str) -> int:
    """How often the servicer wrote this down in the last attempt of the call."""
    last_rpc_id = evidence.events[-1].rpc_id if evidence.events else ""
    return sum(event.event == event_name and event.rpc_id == last_rpc_id for event in evidence.events)


def _count_faults(span: Span, key: str, at_least: int, at_most: int) -> list[str]:
    said = span.attributes.get(key)
    if said is None or (isinstance(said, int) and at_least <= said <= at_most):
        return []
    wanted = str(at_least) if at_least == at_most else f"{at_least} to {at_most}"
    return [f"{key.rpartition('.')[2]} is {said!r}, not {wanted}"]


def _exception_record_faults(evidence: Evidence, wanted: int) -> list[str]:
    count = sum(record.event_name == EXCEPTION_EVENT for record in evidence.logs)
    return [] if count == wanted else [f"{count} exception records, not {wanted}"]


def _witness_faults(evidence: Evidence) -> list[str]:
    ending = evidence.scenario.ending
    entered = sum(event.event == "entered" for event in evidence.events)
    if ending.server is Server.ABSENT or not ending.reaches_servicer:
        return [] if not entered else ["the servicer was reached"]
    if entered != ending.server_spans:
        return [f"the servicer was entered {entered} times, not {ending.server_spans}"]
    # A coroutine is cancelled where it waits; a thread finds out when it looks.
    if ending.act in CANCELS and not any(event.event in {"raised", "caught"} for event in evidence.events):
        return ["the cancel never reached the servicer"]
    return []


def _may_outlive(scenario: Scenario) -> bool:
    """Say whether the servicer is a thread whose server stops: its span ends with the call, as its process may."""
    return scenario.api is Api.SYNC and scenario.ending.server is Server.STOPPED


def _time_faults(evidence: Evidence, spans: Sequence[Span]) -> list[str]:
    entered = [event.time_unix_nano for event in evidence.events if event.event == "entered"]
    last = max((event.time_unix_nano for event in evidence.events), default=0)
    if entered and spans[0].start_time_unix_nano > entered[0] + CLOCK_SLACK_NS:
        return ["starts after the servicer was entered"]
    if last and spans[-1].end_time_unix_nano < last - CLOCK_SLACK_NS and not _may_outlive(evidence.scenario):
        return ["ends before the servicer did"]
    return []
