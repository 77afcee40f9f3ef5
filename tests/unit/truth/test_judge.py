"""The judge of the matrix: right spans pass, and each way of being wrong is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from otel.analysis.model import LogRecord, Span, SpanEvent, SpanKind, StatusCode
from tracelab.truth.catalogue import endings_of
from tracelab.truth.endings import Api, Kind, Scenario
from tracelab.truth.judge import EXCEPTION_EVENT, Cell, Evidence, judge
from tracelab.truth.witness import CallRecord, ServicerEvent

TRACE, PARENT, CLIENT, SERVER = "a" * 32, "1" * 16, "2" * 16, "3" * 16
TARGET = "127.0.0.1:50061"
SECOND_NS = 1_000_000_000


def scenario(name: str, kind: Kind = Kind.UNARY_UNARY) -> Scenario:
    return Scenario(kind, next(ending for ending in endings_of(Api.AIO) if ending.name == name))


def span(span_id: str, parent_id: str, kind: SpanKind, code: str, *, is_error: bool) -> Span:
    return Span(
        TRACE,
        span_id,
        parent_id,
        "tracelab.truth.v1.TruthService/UnaryUnary",
        kind,
        SECOND_NS,
        2 * SECOND_NS,
        {
            "rpc.response.status_code": code,
            "rpc.system.name": "grpc",
            **({"error.type": code} if is_error else {}),
            **({"server.address": "127.0.0.1", "server.port": 50061} if kind is SpanKind.CLIENT else {}),
            **({"network.peer.address": "127.0.0.1"} if kind is SpanKind.SERVER else {}),
        },
        status_code=StatusCode.ERROR if is_error else StatusCode.UNSET,
    )


def evidence(name: str, code: str, *, server_fails: bool, exceptions: int = 0) -> Evidence:
    record = CallRecord(
        name, TARGET, TRACE, PARENT, code, "", "", 1, int(code == "OK"), SECOND_NS, 2 * SECOND_NS, hung=False
    )
    entered = ServicerEvent(name, "entered", "r1", "UnaryUnary", 0, "", 0, SECOND_NS)
    spans = (
        span(CLIENT, PARENT, SpanKind.CLIENT, code, is_error=code != "OK"),
        span(SERVER, CLIENT, SpanKind.SERVER, code, is_error=server_fails),
    )
    logs = tuple(LogRecord(SECOND_NS, event_name=EXCEPTION_EVENT) for _ in range(exceptions))
    return Evidence(scenario(name), record, (entered,), spans, logs)


RIGHT = evidence("unhandled exception", "UNKNOWN", server_fails=True, exceptions=1)


def cells(given: Evidence) -> dict[str, Cell]:
    return {cell.side: cell for cell in judge("corrected", given)}


def with_server(given: Evidence, **changes: object) -> Evidence:
    client, server = given.spans
    return replace(given, spans=(client, replace(server, **changes)))  # type: ignore[arg-type]  # one field of a span


def test_spans_that_say_what_happened_are_true() -> None:
    assert {cell.verdict for cell in cells(RIGHT).values()} == {"true"}
    domain = evidence("domain error", "NOT_FOUND", server_fails=False)
    assert {cell.verdict for cell in cells(domain).values()} == {"true"}


@pytest.mark.parametrize(
    ("given", "side", "fault"),
    [
        pytest.param(with_server(RIGHT, attributes={"rpc.response.status_code": "OK"}), "server", "says OK", id="code"),
        pytest.param(with_server(RIGHT, status_code=StatusCode.UNSET), "server", "UNSET, not ERROR", id="status"),
        pytest.param(replace(RIGHT, spans=RIGHT.spans[:1]), "server", "0 server spans", id="no server span"),
        pytest.param(replace(RIGHT, spans=RIGHT.spans[1:]), "client", "0 client spans", id="no client span"),
        pytest.param(
            replace(RIGHT, left_open=frozenset({"CLIENT"})), "client", "still open", id="client span left open"
        ),
        pytest.param(
            replace(RIGHT, left_open=frozenset({"SERVER"})), "server", "still open", id="server span left open"
        ),
        pytest.param(replace(RIGHT, logs=()), "server", "0 exception records, not 1", id="no exception record"),
        pytest.param(replace(RIGHT, logs=RIGHT.logs * 2), "server", "2 exception records", id="two records"),
        pytest.param(
            with_server(RIGHT, events=(SpanEvent("exception", SECOND_NS),)), "server", "1 exception events", id="event"
        ),
        pytest.param(replace(RIGHT, events=()), "server", "entered 0 times", id="never reached"),
        pytest.param(
            replace(RIGHT, record=replace(RIGHT.record, parent_span_id="9" * 16)), "client", "parent", id="parent"
        ),
        pytest.param(
            replace(RIGHT, record=replace(RIGHT.record, code="OK")), "client", "changed the call", id="changed call"
        ),
        pytest.param(with_server(RIGHT, name="Elsewhere"), "server", "is named Elsewhere", id="name"),
        pytest.param(with_server(RIGHT, parent_span_id="9" * 16), "server", "not children", id="server's parent"),
        pytest.param(
            replace(RIGHT, record=replace(RIGHT.record, target="127.0.0.1:1")), "client", "server.port", id="target"
        ),
        pytest.param(
            with_server(RIGHT, start_time_unix_nano=5 * SECOND_NS), "server", "after the servicer", id="starts late"
        ),
    ],
)
def test_each_way_of_being_wrong_is_said(given: Evidence, side: str, fault: str) -> None:
    cell = cells(given)[side]
    assert cell.verdict == "wrong"
    assert fault in cell.claimed


def with_count(given: Evidence, kind: SpanKind, key: str, count: int) -> Evidence:
    return replace(
        given,
        spans=tuple(
            replace(span, attributes={**span.attributes, f"tracelab.rpc.{key}": count}) if span.kind is kind else span
            for span in given.spans
        ),
    )


STREAM = replace(RIGHT, scenario=scenario("unhandled exception", Kind.STREAM_STREAM))
ONE_GOT = ServicerEvent("unhandled exception", "got message", "r1", "StreamStream", 1, "", 0, SECOND_NS)


@pytest.mark.parametrize(
    ("given", "kind", "key", "true_counts"),
    [
        pytest.param(RIGHT, SpanKind.CLIENT, "sent_message_count", {0, 1}, id="requests that may have left"),
        pytest.param(RIGHT, SpanKind.CLIENT, "received_message_count", {0}, id="answers taken"),
        pytest.param(RIGHT, SpanKind.SERVER, "received_message_count", {1}, id="the one request"),
        pytest.param(RIGHT, SpanKind.SERVER, "sent_message_count", {0}, id="no answer"),
        pytest.param(STREAM, SpanKind.SERVER, "received_message_count", {0}, id="no request of a stream"),
        pytest.param(
            replace(STREAM, events=(*STREAM.events, ONE_GOT)),
            SpanKind.SERVER,
            "received_message_count",
            {1},
            id="requests of a stream",
        ),
        pytest.param(
            replace(STREAM, events=(*STREAM.events, replace(ONE_GOT, event="sent message"))),
            SpanKind.SERVER,
            "sent_message_count",
            {0, 1},
            id="an answer that was offered and not received",
        ),
        pytest.param(
            evidence("ok", "OK", server_fails=False),
            SpanKind.CLIENT,
            "sent_message_count",
            {1},
            id="requests of a success",
        ),
    ],
)
def test_counts_are_held_against_what_both_ends_wrote_down(
    given: Evidence, kind: SpanKind, key: str, true_counts: set[int]
) -> None:
    side = kind.name.lower()
    said = {count: key in cells(with_count(given, kind, key, count))[side].claimed for count in range(3)}
    assert {count for count, is_fault in said.items() if not is_fault} == true_counts


def test_a_side_that_cannot_know_and_says_nothing_is_unknown_not_wrong() -> None:
    refused = evidence("request too large", "RESOURCE_EXHAUSTED", server_fails=False)
    without_code = {"rpc.system.name": "grpc", "network.peer.address": "127.0.0.1"}
    silent = replace(with_server(refused, attributes=without_code), events=())
    assert cells(silent)["server"].verdict == "unknown"
    guessing = replace(refused, events=())
    assert cells(guessing)["server"].verdict == "wrong"


def test_a_call_without_a_status_names_what_its_caller_was_raised() -> None:
    right = evidence("metadata that cannot be sent", "", server_fails=False)
    client, _ = right.spans
    attributes = {**client.attributes, "error.type": "ExecuteBatchError"}
    given = replace(
        right,
        record=replace(right.record, raised="ExecuteBatchError"),
        spans=(replace(client, attributes=attributes),),
        events=(),
    )
    assert {cell.verdict for cell in cells(given).values()} == {"true"}
    silent = replace(given, record=replace(given.record, raised="TypeError"))
    assert cells(silent)["client"].verdict == "wrong"


def test_a_call_that_hung_is_a_hang_whatever_its_spans_say() -> None:
    hung = replace(RIGHT, record=replace(RIGHT.record, hung=True, code=""))
    assert {cell.verdict for cell in cells(hung).values()} == {"hang"}
