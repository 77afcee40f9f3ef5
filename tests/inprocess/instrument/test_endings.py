"""Every ending that a servicer can cause, for all four kinds: what both spans and the log say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import code_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry.trace import SpanKind

from otel.instrument.testing import InMemoryTelemetry
from tests.inprocess.instrument.rig import (
    BOTH_TRACINGS,
    KINDS,
    METHOD,
    Kind,
    Rig,
    answers_stream,
    behavior,
    counts,
    finish,
    method_handler,
    said,
    sends_stream,
    start,
)

pytestmark = BOTH_TRACINGS

Context = grpc.aio.ServicerContext[Any, Any]


async def returns(context: Context) -> None:
    pass


async def aborts_not_found(context: Context) -> None:
    await context.abort(grpc.StatusCode.NOT_FOUND, "no such user")


async def aborts_internal(context: Context) -> None:
    await context.abort(grpc.StatusCode.INTERNAL, "broken")


async def aborts_rich_not_found(context: Context) -> None:
    await context.abort_with_status(
        rpc_status.to_status(status_pb2.Status(code=code_pb2.NOT_FOUND, message="no such user"))
    )


async def aborts_rich_internal(context: Context) -> None:
    await context.abort_with_status(rpc_status.to_status(status_pb2.Status(code=code_pb2.INTERNAL, message="broken")))


async def sets_code(context: Context) -> None:
    context.set_code(grpc.StatusCode.NOT_FOUND)
    context.set_details("no such user")


async def raises(context: Context) -> None:
    raise ValueError("oops")


async def sets_code_and_raises(context: Context) -> None:
    context.set_code(grpc.StatusCode.UNAVAILABLE)
    context.set_details("try later")
    raise ValueError("oops")


async def notices_the_end(context: Context) -> None:
    await asyncio.sleep(30)


async def swallows_the_end(context: Context) -> None:
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(30)
    await asyncio.sleep(0.05)


async def blocks_the_loop(context: Context) -> None:
    time.sleep(0.4)  # noqa: ASYNC251  blocking the loop is the ending under test


def error(code: str, description: str | None = None) -> dict[str, Any]:
    words = {"code": code, "error_type": code, "status": "ERROR", "description": description}
    return {key: value for key, value in words.items() if value is not None}


@dataclass(frozen=True)
class Ending:
    body: Callable[[Context], Awaitable[None]]
    client: dict[str, Any]
    server: dict[str, Any]
    exceptions: int = 0
    timeout_s: float = 20.0


ENDINGS = {
    "ok": Ending(returns, {"code": "OK"}, {"code": "OK"}),
    "abort not found": Ending(aborts_not_found, error("NOT_FOUND", "no such user"), {"code": "NOT_FOUND"}),
    "abort internal": Ending(aborts_internal, error("INTERNAL", "broken"), error("INTERNAL", "broken")),
    "rich not found": Ending(aborts_rich_not_found, error("NOT_FOUND", "no such user"), {"code": "NOT_FOUND"}),
    "rich internal": Ending(aborts_rich_internal, error("INTERNAL", "broken"), error("INTERNAL", "broken")),
    "set code": Ending(sets_code, error("NOT_FOUND", "no such user"), {"code": "NOT_FOUND"}),
    "unhandled exception": Ending(
        raises,
        error("UNKNOWN", "Unexpected <class 'ValueError'>: oops"),
        error("UNKNOWN", "Unexpected <class 'ValueError'>: oops"),
        exceptions=1,
    ),
    "set code, then exception": Ending(
        sets_code_and_raises,
        error("UNAVAILABLE", "Unexpected <class 'ValueError'>: oops"),
        error("UNAVAILABLE", "Unexpected <class 'ValueError'>: oops"),
        exceptions=1,
    ),
    "deadline noticed": Ending(notices_the_end, error("DEADLINE_EXCEEDED"), error("DEADLINE_EXCEEDED"), timeout_s=0.2),
    "deadline swallowed": Ending(
        swallows_the_end, error("DEADLINE_EXCEEDED"), error("DEADLINE_EXCEEDED"), timeout_s=0.2
    ),
    "deadline passed while the loop was blocked": Ending(
        blocks_the_loop, error("DEADLINE_EXCEEDED"), error("DEADLINE_EXCEEDED"), timeout_s=0.2
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ENDINGS)
async def test_both_spans_say_how_the_call_ended(rig: Rig, telemetry: InMemoryTelemetry, kind: Kind, name: str) -> None:
    ending = ENDINGS[name]
    await rig.serve(method_handler(kind, behavior(kind, ending.body)))

    outcome = await finish(start(rig.channel(), kind, timeout=ending.timeout_s), kind)

    client, server = await rig.span(SpanKind.CLIENT), await rig.span(SpanKind.SERVER)
    if "description" not in ending.client and isinstance(outcome, grpc.aio.AioRpcError):
        assert said(client) == {**ending.client, "description": outcome.details()}
    else:
        assert said(client) == ending.client
    assert said(server) == ending.server
    assert (client.name, server.name) == (METHOD, METHOD)
    assert server.parent is not None
    assert client.context is not None
    assert server.parent.span_id == client.context.span_id
    assert client.parent is None
    records = [record.log_record for record in telemetry.log_records()]
    assert [record.event_name for record in records] == ["rpc.server.call.exception"] * ending.exceptions
    assert all(server.context is not None and record.span_id == server.context.span_id for record in records)
    assert telemetry.open_spans() == []


@pytest.mark.parametrize("kind", KINDS)
async def test_messages_are_counted_on_both_sides(rig: Rig, kind: Kind) -> None:
    await rig.serve(method_handler(kind, behavior(kind, returns)))

    await finish(start(rig.channel(), kind), kind)

    sent, answered = 2 if sends_stream(kind) else 1, 2 if answers_stream(kind) else 1
    assert counts(await rig.span(SpanKind.CLIENT)) == (sent, answered)
    assert counts(await rig.span(SpanKind.SERVER)) == (answered, sent)


@pytest.mark.parametrize("kind", ["unary_stream", "stream_stream"])
async def test_an_abort_after_messages_says_how_many_were_sent(rig: Rig, kind: Kind) -> None:
    async def behavior_of_two(request: Any, context: Context) -> Any:
        yield b"r1"
        yield b"r2"
        await context.abort(grpc.StatusCode.DATA_LOSS, "the rest is gone")

    await rig.serve(method_handler(kind, behavior_of_two))

    await finish(start(rig.channel(), kind, requests=(b"q1",) if kind == "unary_stream" else (), timeout=20), kind)

    client, server = await rig.span(SpanKind.CLIENT), await rig.span(SpanKind.SERVER)
    assert said(client) == said(server) == error("DATA_LOSS", "the rest is gone")
    assert (counts(client)[1], counts(server)[0]) == (2, 2)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_swallowed_deadline_lasts_as_long_as_the_servicer_did(rig: Rig, kind: Kind) -> None:
    await rig.serve(method_handler(kind, behavior(kind, swallows_the_end)))

    await finish(start(rig.channel(), kind, timeout=0.2), kind)

    client, server = await rig.span(SpanKind.CLIENT), await rig.span(SpanKind.SERVER)
    assert server.end_time is not None
    assert client.end_time is not None
    assert server.end_time > client.end_time


@pytest.mark.parametrize("kind", ["unary_unary", "stream_unary", "unary_stream"])
async def test_an_answered_call_ends_when_its_answer_is_handed_to_grpc(rig: Rig, kind: Kind) -> None:
    next_turn_unix_nano: list[int] = []

    def note_next_turn() -> None:
        asyncio.get_running_loop().call_soon(lambda: next_turn_unix_nano.append(time.time_ns()))

    def serialized(response: bytes) -> bytes:
        note_next_turn()
        return response

    async def answers_in_a_stream(request: Any, context: Context) -> AsyncIterator[bytes]:
        yield b"r1"
        note_next_turn()

    if answers_stream(kind):
        handler = method_handler(kind, answers_in_a_stream)
    else:
        handler = method_handler(kind, behavior(kind, returns), response_serializer=serialized)
    await rig.serve(handler)

    await finish(start(rig.channel(), kind), kind)

    server = await rig.span(SpanKind.SERVER)
    assert server.end_time is not None
    assert server.end_time <= next_turn_unix_nano[0], "the span waited for the event loop after the answer was given"


@pytest.mark.parametrize("kind", KINDS)
async def test_an_aborted_call_ends_when_the_servicer_is_left(rig: Rig, kind: Kind) -> None:
    next_turn_unix_nano: list[int] = []

    async def aborts(context: Context) -> None:
        try:
            await context.abort(grpc.StatusCode.NOT_FOUND, "gone")
        finally:
            asyncio.get_running_loop().call_soon(lambda: next_turn_unix_nano.append(time.time_ns()))

    await rig.serve(method_handler(kind, behavior(kind, aborts)))

    await finish(start(rig.channel(), kind), kind)

    server = await rig.span(SpanKind.SERVER)
    assert server.end_time is not None
    assert server.end_time <= next_turn_unix_nano[0], "the span waited for the event loop after the abort"
