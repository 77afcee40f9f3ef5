"""Messages that can't be parsed, serialized or sent, methods that do not exist, servers that are not there."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc._cython import cygrpc
from opentelemetry.trace import SpanKind

from otel.instrument.testing import InMemoryTelemetry
from tests.inprocess.instrument.rig import (
    BOTH_TRACINGS,
    KINDS,
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
from tests.polling import eventually_async

pytestmark = BOTH_TRACINGS


class BrokenMessageError(ValueError):
    """What a (de)serializer of these tests raises."""


@pytest.fixture(autouse=True)
def _futures_end_with_their_test() -> Iterator[None]:
    """A call that cannot be sent leaves a future whose exception nobody takes: asyncio says so when it is collected."""
    yield
    gc.collect()


def break_down(_value: Any) -> Any:
    raise BrokenMessageError("broken")


async def nothing(_context: Any) -> None:
    pass


def events(telemetry: InMemoryTelemetry) -> list[tuple[str | None, str | None]]:
    return [(record.log_record.event_name, record.log_record.severity_text) for record in telemetry.log_records()]


UNKNOWN = {
    "code": "UNKNOWN",
    "error_type": "UNKNOWN",
    "status": "ERROR",
    "description": f"Unexpected {BrokenMessageError}: broken",
}
ONE_EXCEPTION = [("rpc.server.call.exception", "ERROR")]
# What grpc.aio gives a client whose next request could not be written because the call had just ended, whatever the
# server said: a race of its own.
WRITE_FAILED = {
    "code": "INTERNAL",
    "error_type": "INTERNAL",
    "status": "ERROR",
    "description": "Internal error from Core",
}


def possible(kind: Kind, expected: dict[str, str]) -> list[dict[str, str]]:
    return [expected, WRITE_FAILED] if sends_stream(kind) else [expected]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_request_that_does_not_parse_is_unknown_with_one_exception(
    rig: Rig, telemetry: InMemoryTelemetry, kind: Kind
) -> None:
    await rig.serve(method_handler(kind, behavior(kind, nothing), request_deserializer=break_down))

    await finish(start(rig.channel(), kind), kind)

    assert said(await rig.span(SpanKind.CLIENT)) in possible(kind, UNKNOWN)
    assert said(await rig.span(SpanKind.SERVER)) == UNKNOWN
    assert events(telemetry) == ONE_EXCEPTION


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_can_not_be_serialized_is_unknown_with_one_exception(
    rig: Rig, telemetry: InMemoryTelemetry, kind: Kind
) -> None:
    await rig.serve(method_handler(kind, behavior(kind, nothing), response_serializer=break_down))

    await finish(start(rig.channel(), kind), kind)

    assert said(await rig.span(SpanKind.CLIENT)) in possible(kind, UNKNOWN)
    server = await rig.span(SpanKind.SERVER)
    assert said(server) == UNKNOWN
    assert counts(server)[0] == 0
    assert events(telemetry) == ONE_EXCEPTION


async def test_a_client_serializer_that_fails_is_logged_while_the_call_succeeds(
    rig: Rig, telemetry: InMemoryTelemetry
) -> None:
    await rig.serve(method_handler("unary_unary", behavior("unary_unary", nothing)))

    call = rig.channel().unary_unary(PATH, request_serializer=break_down)(b"q")

    assert await call == b"r1"
    assert said(await rig.span(SpanKind.CLIENT)) == {"code": "OK"}
    assert events(telemetry) == [("rpc.client.call.exception", "WARN")]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_deserializer_that_fails_is_logged_while_the_call_succeeds(
    rig: Rig, telemetry: InMemoryTelemetry, kind: Kind
) -> None:
    await rig.serve(method_handler(kind, behavior(kind, nothing)))
    channel = rig.channel()
    multi_callable = getattr(channel, kind)(PATH, response_deserializer=break_down)

    async def requests() -> Any:
        yield b"q1"

    outcome: object = await finish(multi_callable(requests() if sends_stream(kind) else b"q1"), kind)

    failed_count = 2 if answers_stream(kind) else 1
    assert outcome == [None] * failed_count
    assert said(await rig.span(SpanKind.CLIENT)) == {"code": "OK"}
    assert events(telemetry) == [("rpc.client.call.exception", "WARN")] * failed_count


@pytest.mark.parametrize("kind", KINDS)
async def test_a_request_past_the_servers_limit_leaves_the_code_out_on_the_server(rig: Rig, kind: Kind) -> None:
    await rig.serve(method_handler(kind, behavior(kind, nothing)), options=[("grpc.max_receive_message_length", 100)])

    await finish(start(rig.channel(), kind, requests=(b"q" * 1000,), timeout=20), kind)

    client, server = await rig.span(SpanKind.CLIENT), await rig.span(SpanKind.SERVER)
    assert said(client)["code"] in {"RESOURCE_EXHAUSTED", *(["INTERNAL"] if sends_stream(kind) else [])}
    assert said(server) == {}
    assert server.attributes is not None
    # From inside, a stream's refused request is the very same as a client that cancels while its requests are read.
    mark = {"tracelab.rpc.cut_short": True} if sends_stream(kind) else {"tracelab.rpc.handler_reached": False}
    assert server.attributes.items() >= mark.items()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_past_the_clients_limit_differs_on_the_two_sides(rig: Rig, kind: Kind) -> None:
    await rig.serve(method_handler(kind, behavior(kind, nothing), response_serializer=lambda answer: answer * 1000))

    await finish(start(rig.channel(options=[("grpc.max_receive_message_length", 100)]), kind, timeout=20), kind)

    assert said(await rig.span(SpanKind.CLIENT))["code"] == "RESOURCE_EXHAUSTED"
    server_code = said(await rig.span(SpanKind.SERVER))["code"]
    assert server_code in ({"OK", "CANCELLED"} if answers_stream(kind) else {"OK"})


@pytest.mark.parametrize("kind", ["unary_stream", "stream_stream"])
async def test_a_write_into_a_call_that_its_client_has_ended_is_no_exception(
    rig: Rig, telemetry: InMemoryTelemetry, kind: Kind
) -> None:
    async def answers(_request_or_requests: Any, _context: Any) -> AsyncIterator[bytes]:
        yield b"r" * 1_000_000  # past the client's limit: it ends the call, and the next write fails or is cancelled
        yield b"r2"
        await asyncio.Event().wait()

    await rig.serve(method_handler(kind, answers))
    channel = rig.channel(options=[("grpc.max_receive_message_length", 100)])
    for _ in range(20):
        await finish(start(channel, kind, timeout=20), kind)
        assert said(await rig.span(SpanKind.SERVER)) == {"code": "CANCELLED"}
        assert events(telemetry) == []
        telemetry.clear()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_internal_error_of_grpc_in_a_call_that_nobody_ended_is_an_exception(
    rig: Rig, telemetry: InMemoryTelemetry, kind: Kind
) -> None:
    async def fails(_context: Any) -> None:
        raise cygrpc.InternalError("of a call that the servicer made")

    await rig.serve(method_handler(kind, behavior(kind, fails)))

    await finish(start(rig.channel(), kind, timeout=20), kind)

    server = await rig.span(SpanKind.SERVER)
    assert said(server)["code"] == "UNKNOWN"
    assert events(telemetry) == ONE_EXCEPTION
    (record,) = telemetry.log_records()
    assert server.context is not None
    assert record.log_record.span_id == server.context.span_id


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("late_s", [-0.001, 0.0, 0.02])
async def test_a_refusal_says_its_code_if_it_was_sent_and_how_the_call_ended_if_it_found_it_over(
    rig: Rig, telemetry: InMemoryTelemetry, kind: Kind, late_s: float
) -> None:
    raised: list[type[BaseException]] = []

    async def refuses(context: Any) -> None:
        moment_s = time.monotonic() + context.time_remaining() + late_s
        while time.monotonic() < moment_s:
            pass  # without the loop, which would be told of the cancel
        try:
            await context.abort(grpc.StatusCode.NOT_FOUND, "at the last moment")
        except BaseException as error:
            raised.append(type(error))
            raise

    await rig.serve(method_handler(kind, behavior(kind, refuses)))

    await finish(start(rig.channel(), kind, timeout=0.05), kind)

    server = await rig.span(SpanKind.SERVER)
    was_sent = raised == [grpc.aio.AbortError]
    assert said(server)["code"] == ("NOT_FOUND" if was_sent else "DEADLINE_EXCEEDED")
    # asyncio may log, when it likes, that nobody took the error out of a task of gRPC's own.
    assert [event for event, _ in events(telemetry) if event] == []


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unknown_method_has_a_server_span_without_a_made_up_name(rig: Rig, kind: Kind) -> None:
    await rig.serve(method_handler(kind, behavior(kind, nothing)))

    await finish(start(rig.channel(), kind, path=f"/{SERVICE}/Missing"), kind)

    expected = {
        "code": "UNIMPLEMENTED",
        "error_type": "UNIMPLEMENTED",
        "status": "ERROR",
        "description": "Method not found!",
    }
    server = await rig.span(SpanKind.SERVER)
    assert said(await rig.span(SpanKind.CLIENT)) in possible(kind, expected)
    assert said(server) == expected
    assert server.name == "grpc"
    assert server.attributes is not None
    assert server.attributes["rpc.method"] == "_OTHER"
    assert server.attributes["rpc.method_original"] == f"{SERVICE}/Missing"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refused_connection_is_unavailable(rig: Rig, kind: Kind) -> None:
    rig.address = "127.0.0.1:1"

    await finish(start(rig.channel(), kind, timeout=20), kind)

    assert said(await rig.span(SpanKind.CLIENT))["code"] == "UNAVAILABLE"


@pytest.mark.parametrize("kind", KINDS)
async def test_waiting_for_a_dead_server_ends_at_the_deadline(rig: Rig, kind: Kind) -> None:
    rig.address = "127.0.0.1:1"

    await finish(start(rig.channel(), kind, timeout=0.3, wait_for_ready=True), kind)

    assert said(await rig.span(SpanKind.CLIENT))["code"] == "DEADLINE_EXCEEDED"


async def test_a_call_past_the_concurrency_limit_leaves_the_code_out_on_the_server(rig: Rig) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def waits(_context: Any) -> None:
        entered.set()
        await leave.wait()

    await rig.serve(method_handler("unary_unary", behavior("unary_unary", waits)), maximum_concurrent_rpcs=1)
    channel = rig.channel()
    first = asyncio.ensure_future(finish(start(channel, "unary_unary"), "unary_unary"))
    await entered.wait()

    await finish(start(channel, "unary_unary", timeout=20), "unary_unary")

    assert said(await rig.span(SpanKind.CLIENT))["code"] == "RESOURCE_EXHAUSTED"
    assert said(await rig.span(SpanKind.SERVER)) == {}
    leave.set()
    assert await first == [b"r1"]


ODD_METADATA: dict[str, tuple[tuple[str, Any], ...]] = {
    "upper case": (("Key", "value"),),
    "space in the key": (("a key", "value"),),
    "value not ASCII": (("key", "é"),),
    "value no text": (("key", 3),),
    "binary key with text": (("key-bin", "text"),),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("metadata", ODD_METADATA.values(), ids=ODD_METADATA.keys())
async def test_metadata_that_can_not_be_sent_ends_the_span_with_the_error(
    rig: Rig, telemetry: InMemoryTelemetry, kind: Kind, metadata: Sequence[tuple[str, Any]]
) -> None:
    await rig.serve(method_handler(kind, behavior(kind, nothing)))
    call = start(rig.channel(), kind, metadata=metadata, timeout=20)

    with pytest.raises(Exception) as caught:  # noqa: PT011  TypeError or one of two of gRPC's own
        await asyncio.wait_for(call.read() if answers_stream(kind) else call, 5)

    span = await rig.span(SpanKind.CLIENT)
    words = said(span)
    assert words["status"] == "ERROR"
    if isinstance(caught.value, grpc.aio.AioRpcError):
        assert words["code"] == words["error_type"] == caught.value.code().name
    else:
        assert (words["error_type"], words.get("code")) == (type(caught.value).__name__, None)
    call.cancel()
    assert [point.count for point in telemetry.durations("rpc.client.call.duration")] == [1]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_on_a_closed_channel_is_a_usage_error_without_a_status(
    rig: Rig, telemetry: InMemoryTelemetry, kind: Kind
) -> None:
    rig.address = "127.0.0.1:1"
    channel = rig.channel()
    await channel.close()

    async def start_and_await() -> None:
        call = start(channel, kind)  # raises at once, as in gRPC itself; with interceptors the await does
        await (call.read() if answers_stream(kind) else call)

    with pytest.raises(grpc.aio.UsageError):
        await start_and_await()

    async def ended() -> bool:
        return telemetry.open_spans() == []

    await eventually_async(ended)
    assert said(await rig.span(SpanKind.CLIENT)) == {
        "error_type": "UsageError",
        "status": "ERROR",
        "description": "Channel is closed.",
    }
