"""Ways of serving and calling that the untouched library breaks or changes, and calls that are retried."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from otel.instrument import TelemetrySettings, aio_client_interceptors
from otel.instrument.testing import InMemoryTelemetry
from tests.inprocess.instrument.rig import (
    KINDS,
    METHOD,
    PATH,
    SERVICE,
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


async def nothing(_context: Any) -> None:
    pass


async def test_a_client_may_write_the_requests_of_a_stream_unary_call(rig: Rig) -> None:
    await rig.serve(method_handler("stream_unary", behavior("stream_unary", nothing)))
    call = rig.channel().stream_unary(PATH)(timeout=20)

    for request in (b"q1", b"q2", b"q3"):
        await call.write(request)
    await call.done_writing()

    assert await call == b"r1"
    client = await rig.span(SpanKind.CLIENT)
    assert (said(client), counts(client)) == ({"code": "OK"}, (3, 1))


async def test_a_client_may_write_and_read_a_stream_stream_call(rig: Rig) -> None:
    await rig.serve(method_handler("stream_stream", behavior("stream_stream", nothing)))
    call = rig.channel().stream_stream(PATH)(timeout=20)

    await call.write(b"q1")
    await call.done_writing()

    assert [await call.read(), await call.read(), await call.read()] == [b"r1", b"r2", grpc.aio.EOF]
    client = await rig.span(SpanKind.CLIENT)
    assert (said(client), counts(client)) == ({"code": "OK"}, (1, 2))


@pytest.mark.parametrize("kind", ["unary_stream", "stream_stream"])
async def test_a_servicer_may_write_its_answers(rig: Rig, kind: Kind) -> None:
    async def writes(request: Any, context: Any) -> None:
        await context.write(b"r1")
        await context.write(b"r2")

    await rig.serve(method_handler(kind, writes))

    assert await finish(start(rig.channel(), kind, timeout=20), kind) == [b"r1", b"r2"]
    server = await rig.span(SpanKind.SERVER)
    assert (said(server), counts(server)[0]) == ({"code": "OK"}, 2)


def unread(kind: Kind) -> tuple[bytes, ...]:
    """Return requests for a servicer that reads none: a write at the moment of the end is a race inside grpc.aio."""
    return () if sends_stream(kind) else (b"q1",)


def plain(kind: Kind, body: Any) -> Any:
    def unary(request: Any, context: Any) -> bytes:
        body(context)
        return b"r1"

    def stream(request: Any, context: Any) -> Iterator[bytes]:
        body(context)
        yield b"r1"

    return stream if answers_stream(kind) else unary


@pytest.mark.parametrize("kind", KINDS)
async def test_a_plain_servicer_runs_in_its_thread_inside_the_span(rig: Rig, kind: Kind) -> None:
    seen: list[Any] = []

    def notes(context: Any) -> None:
        seen.append((threading.current_thread() is threading.main_thread(), trace.get_current_span()))

    await rig.serve(method_handler(kind, plain(kind, notes)))

    assert await finish(start(rig.channel(), kind, requests=unread(kind), timeout=20), kind) == [b"r1"]
    server = await rig.span(SpanKind.SERVER)
    assert said(server) == {"code": "OK"}
    assert [(on_main, span.get_span_context()) for on_main, span in seen] == [(False, server.context)]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_plain_servicer_that_raises_is_unknown_with_one_exception(
    rig: Rig, telemetry: InMemoryTelemetry, kind: Kind
) -> None:
    def raises(context: Any) -> None:
        raise ValueError("oops")

    await rig.serve(method_handler(kind, plain(kind, raises)))

    outcome = await finish(start(rig.channel(), kind, requests=unread(kind), timeout=20), kind)

    assert isinstance(outcome, grpc.aio.AioRpcError)
    server = await rig.span(SpanKind.SERVER)
    assert said(server)["code"] == outcome.code().name == "UNKNOWN"
    records = [record.log_record for record in telemetry.log_records()]
    assert [record.event_name for record in records] == ["rpc.server.call.exception"]
    assert server.context is not None
    assert records[0].span_id == server.context.span_id


@pytest.mark.parametrize("kind", KINDS)
async def test_a_plain_servicer_that_aborts_or_sets_a_code_says_that_code(rig: Rig, kind: Kind) -> None:
    def aborts(context: Any) -> None:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such user")

    await rig.serve(method_handler(kind, plain(kind, aborts)))

    outcome = await finish(start(rig.channel(), kind, requests=unread(kind), timeout=20), kind)

    assert isinstance(outcome, grpc.aio.AioRpcError)
    assert said(await rig.span(SpanKind.SERVER)).get("code") == outcome.code().name == "NOT_FOUND"


@pytest.mark.parametrize("kind", ["stream_unary", "stream_stream"])
async def test_a_plain_servicer_cut_short_while_it_may_read_has_no_code(rig: Rig, kind: Kind) -> None:
    entered, leave = threading.Event(), threading.Event()

    def unary(_request: Any, _context: Any) -> bytes:
        entered.set()
        leave.wait(20)
        return b"r1"

    def stream(request: Any, context: Any) -> Iterator[bytes]:
        unary(request, context)
        yield from ()  # of a call that is over grpc.aio may wait for ever until somebody takes an answer

    await rig.serve(method_handler(kind, stream if answers_stream(kind) else unary))
    call = start(rig.channel(), kind, requests=unread(kind), timeout=20)
    await asyncio.to_thread(entered.wait, 10)

    call.cancel()

    assert said(await rig.span(SpanKind.SERVER)) == {}  # the RPC's task ends at once, its thread goes on
    leave.set()


@pytest.mark.parametrize("kind", ["stream_unary", "stream_stream"])
async def test_a_servicer_may_answer_before_the_requests_have_ended(rig: Rig, kind: Kind) -> None:
    async def first_unary(requests: AsyncIterator[bytes], context: Any) -> bytes:
        return await anext(requests.__aiter__())

    async def first_stream(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        yield await anext(requests.__aiter__())

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"q"
            await asyncio.sleep(0.01)

    await rig.serve(method_handler(kind, first_stream if answers_stream(kind) else first_unary))

    assert await finish(getattr(rig.channel(), kind)(PATH)(endless(), timeout=20), kind) == [b"q"]
    assert said(await rig.span(SpanKind.SERVER)) == {"code": "OK"}


RETRIES = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": SERVICE}],
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.01s",
                    "maxBackoff": "0.02s",
                    "backoffMultiplier": 1,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)


@pytest.mark.parametrize(("failures", "code"), [(2, "OK"), (3, "UNAVAILABLE")], ids=["then OK", "exhausted"])
async def test_a_retried_call_is_one_client_span_over_its_attempts(rig: Rig, failures: int, code: str) -> None:
    attempts: list[int] = []

    async def fails_first(context: Any) -> None:
        attempts.append(1)
        if len(attempts) <= failures:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")

    await rig.serve(method_handler("unary_unary", behavior("unary_unary", fails_first)))

    channel = rig.channel(options=[("grpc.service_config", RETRIES)])
    await finish(start(channel, "unary_unary", timeout=20), "unary_unary")

    client = await rig.span(SpanKind.CLIENT)
    servers = await rig.spans(SpanKind.SERVER, 3)
    assert said(client)["code"] == code
    assert [said(span)["code"] for span in servers] == ["UNAVAILABLE", "UNAVAILABLE", code]
    assert [(span.attributes or {}).get("grpc.previous_rpc_attempts") for span in servers] == [None, 1, 2]
    assert client.context is not None
    assert {span.parent.span_id for span in servers if span.parent is not None} == {client.context.span_id}


class Awaiting(grpc.aio.UnaryUnaryClientInterceptor):
    """An interceptor of an application that awaits the call and gives its response, as some do."""

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        call = await continuation(client_call_details, request)
        return await call


@pytest.mark.parametrize("ending", ["OK", "NOT_FOUND"])
async def test_an_inner_interceptor_that_awaits_the_call_changes_nothing(rig: Rig, ending: str) -> None:
    async def ends(context: Any) -> None:
        if ending != "OK":
            await context.abort(grpc.StatusCode[ending], "no such user")

    await rig.serve(method_handler("unary_unary", behavior("unary_unary", ends)))

    await finish(start(rig.channel(interceptors=[Awaiting()]), "unary_unary", timeout=20), "unary_unary")

    assert said(await rig.span(SpanKind.CLIENT))["code"] == ending


class TestMessageEvents:
    @pytest.fixture
    def settings(self) -> TelemetrySettings:
        return TelemetrySettings(service_name="test", log_to_stdout=False, message_events=1)

    async def test_a_stream_has_at_most_n_message_events_in_each_direction(self, rig: Rig) -> None:
        await rig.serve(method_handler("stream_stream", behavior("stream_stream", nothing)))

        await finish(start(rig.channel(), "stream_stream"), "stream_stream")

        for side in (SpanKind.CLIENT, SpanKind.SERVER):
            events = [(event.name, dict(event.attributes or {})) for event in (await rig.span(side)).events]
            assert sorted(events, key=lambda event: event[0]) == [
                ("Inbound message", {"sequence-number": 0, "message-size": 2}),
                ("Outbound message", {"sequence-number": 0, "message-size": 2}),
            ]

    async def test_a_unary_message_makes_no_event(self, rig: Rig) -> None:
        await rig.serve(method_handler("unary_unary", behavior("unary_unary", nothing)))

        await finish(start(rig.channel(), "unary_unary"), "unary_unary")

        assert [len((await rig.span(side)).events) for side in (SpanKind.CLIENT, SpanKind.SERVER)] == [0, 0]


async def test_addresses_timeout_and_remaining_time_are_on_the_span_that_knows_them(rig: Rig) -> None:
    await rig.serve(method_handler("unary_unary", behavior("unary_unary", nothing)))

    await finish(start(rig.channel(), "unary_unary", timeout=20), "unary_unary")

    client = (await rig.span(SpanKind.CLIENT)).attributes or {}
    server = (await rig.span(SpanKind.SERVER)).attributes or {}
    host, port = rig.address.split(":")
    assert (client["server.address"], client["server.port"]) == (host, int(port))
    assert client["tracelab.rpc.timeout_s"] == 20.0
    assert client["rpc.system.name"] == server["rpc.system.name"] == "grpc"
    assert client["rpc.method"] == server["rpc.method"] == METHOD
    assert "server.address" not in server
    assert server["network.peer.address"] == "127.0.0.1"
    assert isinstance(server["network.peer.port"], int)
    remaining_s = server["tracelab.rpc.time_remaining_s"]
    assert isinstance(remaining_s, float)
    assert 0 < remaining_s <= 20.1


async def test_a_log_record_in_a_servicer_or_a_request_iterator_carries_the_span_it_was_written_in(
    rig: Rig, telemetry: InMemoryTelemetry
) -> None:
    log = structlog.get_logger()

    async def logs(context: Any) -> None:
        log.info("order.read")

    async def requests() -> AsyncIterator[bytes]:
        log.info("request.made")
        yield b"q"

    await rig.serve(method_handler("stream_unary", behavior("stream_unary", logs)))

    await rig.channel().stream_unary(PATH)(requests(), timeout=20)

    client, server = await rig.span(SpanKind.CLIENT), await rig.span(SpanKind.SERVER)
    written = {line["event"]: line["span_id"] for line in telemetry.lines()}
    assert client.context is not None
    assert server.context is not None
    assert written == {
        "request.made": f"{client.context.span_id:016x}",
        "order.read": f"{server.context.span_id:016x}",
    }


async def test_an_untraced_service_leaves_no_span(rig: Rig, telemetry: InMemoryTelemetry) -> None:
    await rig.serve(method_handler("unary_unary", behavior("unary_unary", nothing)))

    await finish(start(rig.channel(), "unary_unary", path="/grpc.health.v1.Health/Check", timeout=20), "unary_unary")

    assert telemetry.spans() == []


@pytest.mark.parametrize("kind", KINDS)
async def test_the_response_hook_gets_the_response(rig: Rig, telemetry: InMemoryTelemetry, kind: Kind) -> None:
    await rig.serve(method_handler(kind, behavior(kind, nothing)))
    seen: list[tuple[bool, bytes]] = []

    def hook(span: trace.Span, response: bytes) -> None:
        seen.append((span.is_recording(), response))

    made = aio_client_interceptors(telemetry.providers.tracer_provider, response_hook=hook)
    async with grpc.aio.insecure_channel(rig.address, interceptors=made) as channel:
        await finish(start(channel, kind, timeout=20), kind)

    assert seen == [(True, response) for response in ([b"r1", b"r2"] if answers_stream(kind) else [b"r1"])]
    assert said(await rig.span(SpanKind.CLIENT)) == {"code": "OK"}


@pytest.mark.parametrize("kind", ["unary_unary", "unary_stream"])
async def test_a_plain_servicer_that_works_past_its_deadline_says_the_deadline(
    rig: Rig, telemetry: InMemoryTelemetry, kind: Kind
) -> None:
    leave, left = threading.Event(), threading.Event()

    def refuses_late(context: Any) -> None:
        leave.wait(20)
        try:
            context.abort(grpc.StatusCode.NOT_FOUND, "too late")
        finally:
            left.set()

    await rig.serve(method_handler(kind, plain(kind, refuses_late)))

    await finish(start(rig.channel(), kind, requests=unread(kind), timeout=0.1), kind)

    assert said(await rig.span(SpanKind.SERVER))["code"] == "DEADLINE_EXCEEDED"
    leave.set()
    await asyncio.to_thread(left.wait, 10)
    await rig.close()
    gc.collect()  # asyncio logs here, and not in a later test, that nobody took the error out of a task of gRPC's own
    assert [event for record in telemetry.log_records() if (event := record.log_record.event_name)] == []
