"""Calls that somebody cuts short: the client, its channel, the server. And streams that are truly still open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from otel.instrument.testing import InMemoryTelemetry
from tests.inprocess.instrument.rig import (
    BOTH_TRACINGS,
    KINDS,
    PATH,
    Kind,
    Rig,
    answers_stream,
    behavior,
    counts,
    finish,
    method_handler,
    said,
    start,
)
from tests.polling import eventually_async

pytestmark = BOTH_TRACINGS

LOCALLY_CANCELLED = {
    "code": "CANCELLED",
    "error_type": "CANCELLED",
    "status": "ERROR",
    "description": "Locally cancelled by application!",
}
STREAMING = [kind for kind in KINDS if answers_stream(kind)]


class Gate:
    """A servicer body that waits for ever and tells when it began and what ended it."""

    def __init__(self, *, swallow: bool = False, then_s: float = 0.0) -> None:
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()
        self._swallow = swallow
        self._then_s = then_s

    async def __call__(self, _context: Any) -> None:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            if not self._swallow:
                raise
            await asyncio.sleep(self._then_s)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_call_reaches_the_server_and_both_sides_say_cancelled(rig: Rig, kind: Kind) -> None:
    gate = Gate()
    await rig.serve(method_handler(kind, behavior(kind, gate)))
    call = start(rig.channel(), kind)
    task = asyncio.ensure_future(finish(call, kind))
    await gate.entered.wait()

    call.cancel()

    assert isinstance(await task, asyncio.CancelledError)
    await asyncio.wait_for(gate.cancelled.wait(), 5)
    assert said(await rig.span(SpanKind.CLIENT)) == LOCALLY_CANCELLED
    assert said(await rig.span(SpanKind.SERVER)) == {"code": "CANCELLED"}


# How a servicer may read its requests, each to their end.
Reading = Callable[[AsyncIterator[bytes], Any, asyncio.Event], Awaitable[None]]


async def by_iterating(requests: AsyncIterator[bytes], _context: Any, began: asyncio.Event) -> None:
    async for _ in requests:
        began.set()


async def in_a_task_of_its_own(requests: AsyncIterator[bytes], context: Any, began: asyncio.Event) -> None:
    await asyncio.create_task(by_iterating(requests, context, began))


async def by_the_context(_requests: AsyncIterator[bytes], context: Any, began: asyncio.Event) -> None:
    while await context.read() is not grpc.aio.EOF:
        began.set()


def reading_servicer(kind: Kind, reading: Reading, began: asyncio.Event) -> Any:
    async def stream_unary(requests: AsyncIterator[bytes], context: Any) -> bytes:
        await reading(requests, context, began)
        return b"r1"

    async def stream_stream(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        await reading(requests, context, began)
        yield b"r1"

    return method_handler(kind, stream_unary if kind == "stream_unary" else stream_stream)


async def one_then_wait() -> AsyncIterator[bytes]:
    yield b"q1"
    await asyncio.Event().wait()


@pytest.mark.parametrize("reading", [by_iterating, in_a_task_of_its_own, by_the_context])
@pytest.mark.parametrize("kind", ["stream_unary", "stream_stream"])
async def test_a_call_cancelled_while_its_requests_are_read_has_no_code_on_the_server(
    rig: Rig, kind: Kind, reading: Reading
) -> None:
    began = asyncio.Event()
    await rig.serve(reading_servicer(kind, reading, began))
    channel = rig.channel()
    for _ in range(20):
        call = getattr(channel, kind)(PATH)(one_then_wait())
        await asyncio.wait_for(began.wait(), 10)
        call.cancel()
        server = await rig.span(SpanKind.SERVER)
        assert said(server) == {}
        assert server.attributes is not None
        assert server.attributes["tracelab.rpc.cut_short"] is True
        began.clear()
        rig.telemetry.clear()


@pytest.mark.parametrize("reading", [by_iterating, in_a_task_of_its_own, by_the_context])
@pytest.mark.parametrize("kind", ["stream_unary", "stream_stream"])
async def test_a_call_cancelled_after_its_requests_were_read_to_their_end_reads_cancelled(
    rig: Rig, kind: Kind, reading: Reading
) -> None:
    entered = asyncio.Event()

    async def then_wait(requests: AsyncIterator[bytes], context: Any, _began: asyncio.Event) -> None:
        await reading(requests, context, asyncio.Event())
        entered.set()
        await asyncio.Event().wait()

    await rig.serve(reading_servicer(kind, then_wait, entered))
    call = start(rig.channel(), kind)
    await asyncio.wait_for(entered.wait(), 10)

    call.cancel()

    assert said(await rig.span(SpanKind.SERVER)) == {"code": "CANCELLED"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_task_cancels_its_call(rig: Rig, kind: Kind) -> None:
    gate = Gate()
    await rig.serve(method_handler(kind, behavior(kind, gate)))
    task = asyncio.ensure_future(finish(start(rig.channel(), kind), kind))
    await gate.entered.wait()

    task.cancel()
    await asyncio.wait([task])

    await asyncio.wait_for(gate.cancelled.wait(), 5)
    assert said(await rig.span(SpanKind.CLIENT)) == LOCALLY_CANCELLED
    assert said(await rig.span(SpanKind.SERVER)) == {"code": "CANCELLED"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_closed_channel_cancels_its_calls(rig: Rig, kind: Kind) -> None:
    gate = Gate()
    await rig.serve(method_handler(kind, behavior(kind, gate)))
    channel = rig.channel()
    task = asyncio.ensure_future(finish(start(channel, kind), kind))
    await gate.entered.wait()

    await channel.close()
    await asyncio.wait([task])

    assert said(await rig.span(SpanKind.CLIENT)) == LOCALLY_CANCELLED
    assert said(await rig.span(SpanKind.SERVER)) == {"code": "CANCELLED"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancel_that_the_servicer_swallows_is_still_a_cancel(rig: Rig, kind: Kind) -> None:
    gate = Gate(swallow=True)
    await rig.serve(method_handler(kind, behavior(kind, gate)))
    call = start(rig.channel(), kind, timeout=20)
    task = asyncio.ensure_future(finish(call, kind))
    await gate.entered.wait()

    call.cancel()
    await asyncio.wait([task])

    assert said(await rig.span(SpanKind.SERVER)) == {"code": "CANCELLED"}


@pytest.mark.parametrize("kind", ["unary_unary", "stream_stream"])
async def test_a_swallowed_cancel_stays_one_when_the_deadline_passes_later(rig: Rig, kind: Kind) -> None:
    gate = Gate(swallow=True, then_s=1.0)
    await rig.serve(method_handler(kind, behavior(kind, gate)))
    call = start(rig.channel(), kind, timeout=0.9)
    task = asyncio.ensure_future(finish(call, kind))
    await gate.entered.wait()

    call.cancel()
    await asyncio.wait([task])

    assert said(await rig.span(SpanKind.SERVER)) == {"code": "CANCELLED"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stopping_server_says_unavailable_on_both_sides(
    rig: Rig, telemetry: InMemoryTelemetry, kind: Kind
) -> None:
    gate = Gate()
    await rig.serve(method_handler(kind, behavior(kind, gate)))
    task = asyncio.ensure_future(finish(start(rig.channel(), kind, timeout=20), kind))
    await gate.entered.wait()
    assert rig.server is not None

    telemetry.server_stopping(grace_s=0.1)
    await rig.server.stop(0.1)
    await asyncio.wait([task])

    expected = {"code": "UNAVAILABLE", "error_type": "UNAVAILABLE", "status": "ERROR"}
    assert said(await rig.span(SpanKind.SERVER)) == {**expected, "description": "Cancelling all calls"}
    assert said(await rig.span(SpanKind.CLIENT)).items() >= expected.items()


async def test_a_client_that_cancels_while_the_server_waits_for_its_calls_reads_cancelled(
    rig: Rig, telemetry: InMemoryTelemetry
) -> None:
    gate = Gate()
    await rig.serve(method_handler("unary_unary", behavior("unary_unary", gate)))
    call = start(rig.channel(), "unary_unary", timeout=20)
    task = asyncio.ensure_future(finish(call, "unary_unary"))
    await gate.entered.wait()

    telemetry.server_stopping(grace_s=30)
    call.cancel()
    await asyncio.wait([task])

    assert said(await rig.span(SpanKind.SERVER)) == {"code": "CANCELLED"}


@pytest.mark.parametrize("kind", STREAMING)
async def test_a_stream_cancelled_after_its_first_message_counts_that_message(rig: Rig, kind: Kind) -> None:
    async def one_then_nothing(request: Any, context: Any) -> AsyncIterator[bytes]:
        yield b"r1"
        await asyncio.Event().wait()

    await rig.serve(method_handler(kind, one_then_nothing))
    call = start(rig.channel(), kind)
    assert await call.read() == b"r1"

    call.cancel()

    client, server = await rig.span(SpanKind.CLIENT), await rig.span(SpanKind.SERVER)
    assert (said(client), said(server)) == (LOCALLY_CANCELLED, {"code": "CANCELLED"})
    assert (counts(client)[1], counts(server)[0]) == (1, 1)


@pytest.mark.parametrize("kind", STREAMING)
async def test_a_cancelled_generator_cleans_up_inside_its_span(rig: Rig, kind: Kind) -> None:
    cleaned_up_in: list[tuple[bool, Any]] = []

    async def endless(request: Any, context: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"r" * 100_000  # soon it waits in the write, for a reader that never comes
        finally:
            span = trace.get_current_span()
            cleaned_up_in.append((span.is_recording(), span.get_span_context()))

    await rig.serve(method_handler(kind, endless))
    call = start(rig.channel(), kind, timeout=20)
    assert await call.read()

    call.cancel()

    server = await rig.span(SpanKind.SERVER)
    assert cleaned_up_in == [(True, server.context)]


@pytest.mark.parametrize("kind", STREAMING)
async def test_an_abandoned_stream_stays_open_until_its_deadline(
    rig: Rig, telemetry: InMemoryTelemetry, kind: Kind
) -> None:
    async def endless(request: Any, context: Any) -> AsyncIterator[bytes]:
        while True:
            yield b"r"
            await asyncio.sleep(0.01)

    await rig.serve(method_handler(kind, endless))
    call = start(rig.channel(), kind, timeout=0.6)
    async for _ in call:
        break

    assert {span.kind for span in telemetry.open_spans()} == {SpanKind.CLIENT, SpanKind.SERVER}
    for side in (SpanKind.CLIENT, SpanKind.SERVER):
        assert said(await rig.span(side)).items() >= {"code": "DEADLINE_EXCEEDED", "status": "ERROR"}.items()
    assert telemetry.open_spans() == []


async def test_a_finished_stream_that_nobody_reads_is_open_only_at_its_client(
    rig: Rig, telemetry: InMemoryTelemetry
) -> None:
    async def nothing(_context: Any) -> None:
        pass

    await rig.serve(method_handler("unary_stream", behavior("unary_stream", nothing)))
    call = start(rig.channel(), "unary_stream", timeout=20)

    assert said(await rig.span(SpanKind.SERVER)) == {"code": "OK"}
    assert [span.kind for span in telemetry.open_spans()] == [SpanKind.CLIENT]
    assert [response async for response in call] == [b"r1", b"r2"]
    assert said(await rig.span(SpanKind.CLIENT)) == {"code": "OK"}


async def test_a_timeout_inside_the_servicer_is_no_cancel(rig: Rig) -> None:
    async def gives_up_waiting(_context: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.Event().wait()

    await rig.serve(method_handler("unary_unary", behavior("unary_unary", gives_up_waiting)))

    assert await finish(start(rig.channel(), "unary_unary", timeout=20), "unary_unary") == [b"r1"]
    assert said(await rig.span(SpanKind.SERVER)) == {"code": "OK"}


async def test_no_task_is_left_when_calls_have_ended(rig: Rig, telemetry: InMemoryTelemetry) -> None:
    async def nothing(_context: Any) -> None:
        pass

    await rig.serve(method_handler("stream_stream", behavior("stream_stream", nothing)))
    await finish(start(rig.channel(), "stream_stream"), "stream_stream")
    await rig.span(SpanKind.SERVER)

    async def serving_tasks() -> list[str]:
        return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("HandleExceptions")]

    assert await eventually_async(serving_tasks, until=lambda tasks: not tasks) == []
