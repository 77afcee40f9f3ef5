"""Context is neither lost nor leaked: random trees of concurrent calls, baggage, sampling, a server inside a span."""

from __future__ import annotations

import asyncio
import gc
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

from otel.instrument import TelemetrySettings
from otel.instrument.aio.client_call import ClientCall
from otel.instrument.aio.server_call import ServerCall
from otel.instrument.testing import InMemoryTelemetry, in_memory_telemetry
from tests.inprocess.instrument.rig import KINDS, PATH, Kind, Rig, behavior, finish, method_handler, start
from tests.polling import eventually_async

Tree = dict[str, Any]


def random_tree(choice: random.Random, depth: int) -> Tree:
    width = choice.randint(0, 3) if depth else 0
    return {
        "children": [random_tree(choice, depth - 1) for _ in range(width)],
        "concurrent": choice.random() < 0.7,
    }


def shape(tree: Tree) -> Any:
    return sorted((shape(child) for child in tree["children"]), key=repr)


@pytest.mark.parametrize("seed", range(8))
async def test_spans_of_concurrent_calls_form_exactly_the_tree_that_was_called(
    rig: Rig, telemetry: InMemoryTelemetry, seed: int
) -> None:
    channel: Any

    async def calls_children(request: bytes, _context: Any) -> bytes:
        tree: Tree = json.loads(request)
        await asyncio.sleep(0)
        if tree["concurrent"]:
            await asyncio.gather(*(call(child) for child in tree["children"]))
        else:
            for child in tree["children"]:
                await asyncio.ensure_future(call(child))
        return request

    async def call(tree: Tree) -> None:
        await channel.unary_unary(PATH)(json.dumps(tree).encode(), timeout=20)

    await rig.serve(method_handler("unary_unary", calls_children))
    channel = rig.channel()
    trees = [random_tree(random.Random(100 * seed + number), depth=3) for number in range(4)]

    await asyncio.gather(*(call(tree) for tree in trees))

    async def nothing_is_open() -> bool:
        return telemetry.open_spans() == []

    await eventually_async(nothing_is_open)
    children: dict[int | None, list[Any]] = {}
    for span in telemetry.spans():
        children.setdefault(span.parent.span_id if span.parent else None, []).append(span)

    def called_shape(client: Any) -> Any:
        assert client.kind is SpanKind.CLIENT
        (server,) = children[client.context.span_id]
        assert server.kind is SpanKind.SERVER
        return sorted((called_shape(child) for child in children.get(server.context.span_id, [])), key=repr)

    roots = children[None]
    assert sorted(map(called_shape, roots), key=repr) == sorted(map(shape, trees), key=repr)
    assert len({span.context.trace_id for span in roots}) == len(trees)


async def test_allowed_baggage_becomes_an_attribute_of_spans_and_logs_and_the_rest_does_not(
    rig: Rig, telemetry: InMemoryTelemetry
) -> None:
    async def logs(_context: Any) -> None:
        structlog.get_logger().info("user.created")

    await rig.serve(method_handler("unary_unary", behavior("unary_unary", logs)))
    token = context.attach(baggage.set_baggage("email", "alice@x", baggage.set_baggage("session.id", "s" * 300)))

    await finish(start(rig.channel(), "unary_unary", timeout=20), "unary_unary")

    context.detach(token)
    for side in (SpanKind.CLIENT, SpanKind.SERVER):
        attributes = (await rig.span(side)).attributes or {}
        assert attributes["session.id"] == "s" * 256
        assert "email" not in attributes
    (record,) = telemetry.log_records()
    assert (record.log_record.attributes or {})["session.id"] == "s" * 256
    assert "alice" not in repr((telemetry.spans(), telemetry.lines(), record.to_json()))


async def test_repeated_baggage_is_joined_not_replaced(rig: Rig) -> None:
    seen: list[Any] = []

    async def notes(_context: Any) -> None:
        seen.append(dict(baggage.get_all()))

    await rig.serve(method_handler("unary_unary", behavior("unary_unary", notes)))
    async with grpc.aio.insecure_channel(rig.address) as bare:
        metadata = (("baggage", "a=1"), ("baggage", "b=2"))
        await finish(start(bare, "unary_unary", metadata=metadata, timeout=20), "unary_unary")

    assert seen == [{"a": "1", "b": "2"}]


async def test_baggage_past_the_limit_is_refused_without_being_quoted(rig: Rig, telemetry: InMemoryTelemetry) -> None:
    async def nothing(_context: Any) -> None:
        pass

    await rig.serve(method_handler("unary_unary", behavior("unary_unary", nothing)))
    async with grpc.aio.insecure_channel(rig.address) as bare:
        metadata = (("baggage", "secret=" + "x" * 5000),)
        await finish(start(bare, "unary_unary", metadata=metadata, timeout=20), "unary_unary")

    await rig.span(SpanKind.SERVER)
    assert [line["level"] for line in telemetry.lines()] == ["warning"]
    assert "xxx" not in repr(telemetry.lines())


async def test_a_server_started_inside_a_span_does_not_hand_it_to_its_calls(
    rig: Rig, telemetry: InMemoryTelemetry
) -> None:
    async def nothing(_context: Any) -> None:
        pass

    with telemetry.tracer.start_as_current_span("start-up"):
        await rig.serve(method_handler("unary_unary", behavior("unary_unary", nothing)))
    async with grpc.aio.insecure_channel(rig.address) as bare:
        await finish(start(bare, "unary_unary", timeout=20), "unary_unary")

    assert (await rig.span(SpanKind.SERVER)).parent is None


async def test_a_call_does_not_leave_its_span_current_for_its_caller(rig: Rig) -> None:
    async def nothing(_context: Any) -> None:
        pass

    await rig.serve(method_handler("unary_stream", behavior("unary_stream", nothing)))

    async for _ in start(rig.channel(), "unary_stream", timeout=20):
        assert trace.get_current_span() is trace.INVALID_SPAN


async def test_an_unsampled_call_is_not_exported_but_its_logs_carry_the_trace_and_the_flag() -> None:
    telemetry = in_memory_telemetry(TelemetrySettings(service_name="test", log_to_stdout=False), sampler=ALWAYS_OFF)
    telemetry.take_over_logging()
    rig = Rig(telemetry)

    async def logs(_context: Any) -> None:
        structlog.get_logger().info("user.created")

    await rig.serve(method_handler("unary_unary", behavior("unary_unary", logs)))
    assert await finish(start(rig.channel(), "unary_unary", timeout=20), "unary_unary") == [b"r1"]
    await rig.close()

    (line,) = telemetry.lines()
    assert telemetry.spans() == []
    assert len(str(line["trace_id"])) == 32
    assert int(str(line["trace_flags"]), 16) & 1 == 0
    telemetry.shutdown()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unsampled_call_that_fails_is_logged_once_and_one_that_aborts_is_not(kind: Kind) -> None:
    telemetry = in_memory_telemetry(TelemetrySettings(service_name="test", log_to_stdout=False), sampler=ALWAYS_OFF)
    telemetry.take_over_logging()
    rig = Rig(telemetry)
    aborts = True

    async def fails(context: Any) -> None:
        if aborts:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such user")
        raise ValueError("oops")

    await rig.serve(method_handler(kind, behavior(kind, fails)))
    channel = rig.channel()
    await finish(start(channel, kind, timeout=20), kind)
    assert telemetry.lines() == []
    aborts = False
    await finish(start(channel, kind, timeout=20), kind)
    await finish(start(channel, kind, path="/none.Such/Method", timeout=20), kind)
    await rig.close()

    lines = [line for line in telemetry.lines() if line["event"] == "rpc.server.call.exception"]
    assert [line["exception.message"] for line in lines] == ["oops"]
    assert len(str(lines[0]["trace_id"])) == 32
    telemetry.shutdown()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_that_has_ended_does_not_wait_for_the_garbage_collector(rig: Rig, kind: Kind) -> None:
    async def nothing(_context: Any) -> None:
        return

    def calls_held() -> int:
        return sum(isinstance(held, (ServerCall, ClientCall)) for held in gc.get_objects())

    await rig.serve(method_handler(kind, behavior(kind, nothing)))
    channel = rig.channel()
    gc.collect()
    before = calls_held()
    gc.disable()
    try:
        for _ in range(5):
            await finish(start(channel, kind, timeout=20), kind)
        held = await eventually_async(as_coroutine(calls_held), until=lambda count: count <= before)
    finally:
        gc.enable()

    assert held <= before


def as_coroutine(ask: Callable[[], int]) -> Callable[[], Awaitable[int]]:
    async def asked() -> int:
        return ask()

    return asked
