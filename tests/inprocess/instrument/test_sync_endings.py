"""The synchronous API: every ending that a servicer can cause, for all kinds and calling styles."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry.trace import SpanKind

from tests.inprocess.instrument.rig import (
    METHOD,
    PATH,
    Kind,
    answers_stream,
    counts,
    method_handler,
    said,
    sends_stream,
)
from tests.inprocess.instrument.sync_rig import ALL_TRACINGS, STYLES, Style, SyncRig, behavior, run
from tests.inprocess.instrument.test_endings import error

pytestmark = ALL_TRACINGS


def returns(context: Any) -> None:
    pass


def aborts_not_found(context: Any) -> None:
    context.abort(grpc.StatusCode.NOT_FOUND, "no such user")


def aborts_internal(context: Any) -> None:
    context.abort(grpc.StatusCode.INTERNAL, "broken")


def aborts_with_ok(context: Any) -> None:
    context.abort(grpc.StatusCode.OK, "fine")


def aborts_rich_not_found(context: Any) -> None:
    context.abort_with_status(rpc_status.to_status(status_pb2.Status(code=code_pb2.NOT_FOUND, message="no such user")))


def aborts_rich_internal(context: Any) -> None:
    context.abort_with_status(rpc_status.to_status(status_pb2.Status(code=code_pb2.INTERNAL, message="broken")))


def sets_code(context: Any) -> None:
    context.set_code(grpc.StatusCode.NOT_FOUND)
    context.set_details("no such user")


def raises(context: Any) -> None:
    raise ValueError("oops")


def raises_a_bare_exception(context: Any) -> None:
    raise Exception


def sets_code_and_raises(context: Any) -> None:
    context.set_code(grpc.StatusCode.UNAVAILABLE)
    context.set_details("try later")
    raise ValueError("oops")


def works_past_its_deadline(context: Any) -> None:
    while context.is_active():
        time.sleep(0.01)


@dataclass(frozen=True)
class Ending:
    """`client` and `server` without a description: it is what the caller's error says."""

    body: Callable[[Any], None]
    client: dict[str, Any]
    server: dict[str, Any]
    exceptions: int = 0
    timeout_s: float = 20.0
    says_details: bool = False


ENDINGS = {
    "ok": Ending(returns, {"code": "OK"}, {"code": "OK"}),
    "abort not found": Ending(aborts_not_found, error("NOT_FOUND", "no such user"), {"code": "NOT_FOUND"}),
    "abort internal": Ending(aborts_internal, error("INTERNAL", "broken"), error("INTERNAL", "broken")),
    "rich not found": Ending(aborts_rich_not_found, error("NOT_FOUND", "no such user"), {"code": "NOT_FOUND"}),
    "rich internal": Ending(aborts_rich_internal, error("INTERNAL", "broken"), error("INTERNAL", "broken")),
    "set code": Ending(sets_code, error("NOT_FOUND", "no such user"), {"code": "NOT_FOUND"}),
    "unhandled exception": Ending(raises, error("UNKNOWN"), error("UNKNOWN"), exceptions=1, says_details=True),
    "unhandled bare exception": Ending(
        raises_a_bare_exception, error("UNKNOWN"), error("UNKNOWN"), exceptions=1, says_details=True
    ),
    "set code, then exception": Ending(
        sets_code_and_raises, error("UNAVAILABLE", "try later"), error("UNAVAILABLE", "try later"), exceptions=1
    ),
    "deadline": Ending(
        works_past_its_deadline,
        error("DEADLINE_EXCEEDED", "Deadline Exceeded"),
        error("DEADLINE_EXCEEDED"),
        timeout_s=0.15,
    ),
}


@STYLES
@pytest.mark.parametrize("name", ENDINGS)
def test_both_spans_of_a_synchronous_call_say_how_it_ended(
    sync_rig: SyncRig, kind: Kind, style: Style, name: str
) -> None:
    ending = ENDINGS[name]
    sync_rig.serve(method_handler(kind, behavior(kind, ending.body)))

    outcome = run(sync_rig.channel(), kind, style, timeout=ending.timeout_s)

    client, server = sync_rig.span(SpanKind.CLIENT), sync_rig.span(SpanKind.SERVER)
    described = {"description": outcome.details()} if ending.says_details else {}  # type: ignore[union-attr]
    assert said(client) == {**ending.client, **described}
    assert said(server) == {**ending.server, **described}
    assert isinstance(outcome, grpc.RpcError) is (ending.client["code"] != "OK")
    assert (client.name, server.name) == (METHOD, METHOD)
    assert client.context is not None
    assert server.parent is not None
    assert (server.parent.span_id, client.parent) == (client.context.span_id, None)
    records = [record.log_record for record in sync_rig.telemetry.log_records()]
    assert [record.event_name for record in records] == ["rpc.server.call.exception"] * ending.exceptions
    assert all(server.context is not None and record.span_id == server.context.span_id for record in records)
    assert sync_rig.telemetry.open_spans() == []


@STYLES
def test_an_abort_with_ok_is_unknown_as_grpc_makes_it(sync_rig: SyncRig, kind: Kind, style: Style) -> None:
    sync_rig.serve(method_handler(kind, behavior(kind, aborts_with_ok)))

    run(sync_rig.channel(), kind, style, timeout=20)

    assert said(sync_rig.span(SpanKind.SERVER)) == error("UNKNOWN")
    assert said(sync_rig.span(SpanKind.CLIENT)) == error("UNKNOWN")


@STYLES
def test_messages_of_a_synchronous_call_are_counted_on_both_sides(sync_rig: SyncRig, kind: Kind, style: Style) -> None:
    sync_rig.serve(method_handler(kind, behavior(kind, returns)))

    run(sync_rig.channel(), kind, style)

    sent, answered = 2 if sends_stream(kind) else 1, 2 if answers_stream(kind) else 1
    assert counts(sync_rig.span(SpanKind.CLIENT)) == (sent, answered)
    assert counts(sync_rig.span(SpanKind.SERVER)) == (answered, sent)


@pytest.mark.parametrize("kind", ["unary_stream", "stream_stream"])
@pytest.mark.parametrize("how", ["abort", "raise"])
def test_an_ending_in_mid_stream_says_how_many_messages_were_sent(sync_rig: SyncRig, kind: Kind, how: str) -> None:
    def answers_two(request: Any, context: Any) -> Iterator[bytes]:
        yield b"r1"
        yield b"r2"
        if how == "raise":
            raise ValueError("oops")
        context.abort(grpc.StatusCode.DATA_LOSS, "the rest is gone")

    sync_rig.serve(method_handler(kind, answers_two))
    received: list[bytes] = []
    call = getattr(sync_rig.channel(), kind)(PATH)(b"q" if kind == "unary_stream" else iter(()))
    with pytest.raises(grpc.RpcError) as caught:
        received.extend(call)

    client, server = sync_rig.span(SpanKind.CLIENT), sync_rig.span(SpanKind.SERVER)
    code, details = (
        ("UNKNOWN", "Exception iterating responses: oops") if how == "raise" else ("DATA_LOSS", "the rest is gone")
    )
    assert said(client) == said(server) == error(code, details)
    assert caught.value.code().name == code
    assert (len(received), counts(client)[1], counts(server)[0]) == (2, 2, 2)


@STYLES
def test_an_answered_synchronous_call_ends_when_its_answer_is_handed_to_grpc(
    sync_rig: SyncRig, kind: Kind, style: Style
) -> None:
    sync_rig.serve(method_handler(kind, behavior(kind, returns)))

    run(sync_rig.channel(), kind, style)

    client, server = sync_rig.span(SpanKind.CLIENT), sync_rig.span(SpanKind.SERVER)
    assert client.start_time is not None
    assert client.end_time is not None
    assert server.start_time is not None
    assert server.end_time is not None
    assert client.start_time <= server.start_time <= server.end_time <= client.end_time
