"""What calls meet at a server that stops: a refusal that says so, the answer that they earned, and never CANCELLED."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from generated import order_pb2, order_pb2_grpc
from otel.instrument import semconv
from services.admission import Admission
from services.core_streams import open_stream_count
from services.drain import QUIET_S, WaitBound
from services.error_interceptor import ErrorInterceptor
from services.grpc_api.aio import AioApi
from services.grpc_api.ports import Api
from services.health import EndingHealthServicer
from services.stop_gate import StopGate
from tests.inprocess.services.acting import KINDS, Act, acting_service, call
from tests.inprocess.services.shop import TIMEOUT_S, Shop, done, refusal_of, stop_now
from tests.polling import eventually, eventually_async

CALLER_COUNT = 50
AT_ONCE = WaitBound(0.0, 0.0)


@dataclass
class GatedServer:
    """A server whose stop the test takes step by step."""

    api: Api
    gate: StopGate
    server: grpc.aio.Server
    channel: grpc.aio.Channel
    calls: Counter[str]
    port: int

    def taken_count(self) -> int:
        """How many calls core has, by its own books."""
        return open_stream_count(self.port)

    @property
    def stub(self) -> order_pb2_grpc.OrderServiceAsyncStub:
        return order_pb2_grpc.OrderServiceStub(self.channel)

    async def stop(self) -> None:
        await self.done(self.gate.stop(lambda: self.api.begin_stop(self.server, TIMEOUT_S), lambda: None))

    async def done(self, work: Coroutine[Any, Any, None]) -> None:
        await done(self.api, work)


@asynccontextmanager
async def gated(shop: Shop, act: Act) -> AsyncIterator[GatedServer]:
    calls: Counter[str] = Counter()
    counting = threading.Lock()

    async def counted(context: object) -> None:
        with counting:
            calls["begun"] += 1
        await act(context)  # type: ignore[arg-type]  # passed through as it came
        with counting:
            calls["ended"] += 1

    gate = StopGate(Admission(CALLER_COUNT), shop.api)
    interceptors = [ErrorInterceptor("order.tracelab", shop.api), gate]
    server = shop.api.server(shop.telemetry, interceptors, [], CALLER_COUNT)
    acting_service(counted).add_to(server)
    health_pb2_grpc.add_HealthServicer_to_server(EndingHealthServicer(shop.api), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = shop.telemetry.insecure_channel(f"127.0.0.1:{port}")
    try:
        yield GatedServer(shop.api, gate, server, channel, calls, port)
    finally:
        await channel.close()
        await done(shop.api, stop_now(shop.api, server))


async def answer_at_once(_context: object) -> None:
    pass


async def waiting(gate: StopGate) -> bool:
    return gate.held_count == 1


async def served(shop: Shop) -> list[ReadableSpan]:
    return [span for span in shop.telemetry.spans() if span.kind is SpanKind.SERVER]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_that_comes_while_the_server_closes_never_begins_and_is_told_so(shop: Shop, kind: str) -> None:
    async with gated(shop, answer_at_once) as running:
        await running.done(running.gate.close(AT_ONCE))
        held = asyncio.ensure_future(call(running.stub, kind))
        await eventually_async(lambda: waiting(running.gate))
        await running.stop()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await held
    refusal = refusal_of(caught.value)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
    assert running.calls == {}
    assert running.gate.refused_count == 1
    (line,) = shop.events("rpc.finished")
    assert (line["status_code"], line["reason"]) == ("UNAVAILABLE", "SERVER_STOPPING")
    (span,) = await eventually_async(lambda: served(shop))
    assert span.name == f"tracelab.order.v1.OrderService/{kind}"
    assert span.attributes is not None
    assert span.attributes[semconv.RPC_RESPONSE_STATUS_CODE] == "UNAVAILABLE"
    assert span.status.description == refusal.message


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_that_ends_while_the_server_closes_is_answered_once_the_stop_has_begun(
    shop: Shop, kind: str
) -> None:
    entered, released = threading.Event(), shop.api.event()

    async def act(_context: object) -> None:
        entered.set()
        await released.wait()

    async with gated(shop, act) as running:
        answered = asyncio.ensure_future(call(running.stub, kind))
        await asyncio.to_thread(entered.wait, TIMEOUT_S)
        await running.done(running.gate.close(AT_ONCE))
        released.set()
        await eventually_async(lambda: waiting(running.gate))
        assert running.calls == {"begun": 1, "ended": 1}
        assert not answered.done()
        await running.stop()
        await answered


async def test_a_refused_call_does_not_miss_its_deadline_at_the_gate(shop: Shop) -> None:
    async with gated(shop, answer_at_once) as running:
        await running.done(running.gate.close(AT_ONCE))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(running.stub, "GetOrder", timeout_s=1.0)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_health_is_answered_while_the_server_closes(shop: Shop) -> None:
    async with gated(shop, answer_at_once) as running:
        await running.done(running.gate.close(AT_ONCE))
        stub = health_pb2_grpc.HealthStub(running.channel)
        response = await stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    assert response.status == health_pb2.HealthCheckResponse.SERVING


async def test_callers_who_never_pause_are_all_told_and_none_is_cancelled(shop: Shop) -> None:
    codes: Counter[str] = Counter()
    stopped = asyncio.Event()

    async def keep_calling(running: GatedServer) -> None:
        while not stopped.is_set():
            try:
                await running.stub.GetOrder(order_pb2.GetOrderRequest(), timeout=TIMEOUT_S)
                codes["OK"] += 1
            except grpc.aio.AioRpcError as error:
                codes[error.code().name] += 1

    async def every_caller_was_answered() -> bool:
        return codes["OK"] > CALLER_COUNT

    async with gated(shop, answer_at_once) as running, asyncio.TaskGroup() as callers:
        for _ in range(CALLER_COUNT):
            callers.create_task(keep_calling(running))
        await eventually_async(every_caller_was_answered)
        await running.done(running.gate.lame_duck(AT_ONCE))
        await running.done(running.gate.close(WaitBound(TIMEOUT_S, TIMEOUT_S)))
        await running.stop()
        stopped.set()
    assert set(codes) == {"OK", "UNAVAILABLE"}
    assert codes["OK"] == running.calls["ended"]
    assert codes["UNAVAILABLE"] >= CALLER_COUNT


@contextmanager
def calling_threads(port: int, codes: Counter[str]) -> Iterator[threading.Event]:
    """Callers who never pause and need no event loop, until the event that is given is set."""
    is_over = threading.Event()

    def keep_calling(channel: grpc.Channel) -> None:
        get_order: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
            "/tracelab.order.v1.OrderService/GetOrder"
        )
        while not is_over.is_set():
            try:
                get_order(b"", timeout=TIMEOUT_S)
                codes["OK"] += 1
            except grpc.RpcError as error:
                codes[error.code().name] += 1

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        threads = [threading.Thread(target=keep_calling, args=(channel,)) for _ in range(CALLER_COUNT)]
        for thread in threads:
            thread.start()
        try:
            yield is_over
        finally:
            is_over.set()
            for thread in threads:
                thread.join()


async def test_a_loop_that_was_held_up_before_the_stop_takes_that_for_no_quiet(aio_shop: Shop) -> None:
    codes: Counter[str] = Counter()

    def every_caller_waits_and_long_enough(since_s: float, running: GatedServer) -> bool:
        return running.taken_count() >= CALLER_COUNT and time.monotonic() - since_s > 2 * QUIET_S

    async def some_were_answered() -> bool:
        return codes["OK"] > CALLER_COUNT

    async with gated(aio_shop, answer_at_once) as running:
        with calling_threads(running.port, codes) as is_over:
            await eventually_async(some_were_answered)
            begun_s = time.monotonic()
            eventually(lambda: every_caller_waits_and_long_enough(begun_s, running))  # the loop stands still meanwhile
            await running.gate.lame_duck(WaitBound(TIMEOUT_S, TIMEOUT_S))
            await running.gate.close(WaitBound(TIMEOUT_S, TIMEOUT_S), running.taken_count)
            is_over.set()
            await running.stop()
    assert set(codes) == {"OK", "UNAVAILABLE"}
    assert codes["UNAVAILABLE"] == CALLER_COUNT


class TickingApi(AioApi):
    """Counts the ticks of a wait."""

    def __init__(self) -> None:
        self.tick_count = 0

    async def sleep(self, delay_s: float) -> None:
        self.tick_count += 1
        await super().sleep(delay_s)


async def test_quiet_before_the_close_is_none_of_its_own() -> None:
    api = TickingApi()
    gate = StopGate(Admission(1), api)
    eventually(gate.quiet_for_s, until=lambda quiet_s: quiet_s > QUIET_S)
    await gate.lame_duck(WaitBound(TIMEOUT_S, TIMEOUT_S))
    assert api.tick_count == 0
    await gate.close(WaitBound(TIMEOUT_S, TIMEOUT_S))
    assert api.tick_count > 0


async def test_a_server_does_not_close_while_core_has_a_call_that_has_not_come_in(shop: Shop) -> None:
    unseen = [True]
    looks: Counter[bool] = Counter()

    def taken_count() -> int:
        looks[unseen[0]] += 1
        return running.gate.known_count + unseen[0]

    async def it_was_looked_at_twice() -> bool:
        return looks[True] > 1

    async with gated(shop, answer_at_once) as running:
        closing = asyncio.ensure_future(running.done(running.gate.close(WaitBound(0.0, TIMEOUT_S), taken_count)))
        await eventually_async(it_was_looked_at_twice)
        assert not closing.done()
        unseen[0] = False
        await closing
    assert looks[False] == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_core_and_the_gate_agree_on_a_call_from_its_beginning_to_its_end(shop: Shop, kind: str) -> None:
    entered, released = threading.Event(), shop.api.event()

    async def act(_context: object) -> None:
        entered.set()
        await released.wait()

    async with gated(shop, act) as running:

        async def counts() -> tuple[int, int]:
            return running.taken_count(), running.gate.known_count

        answered = asyncio.ensure_future(call(running.stub, kind))
        await asyncio.to_thread(entered.wait, TIMEOUT_S)
        assert await counts() == (1, 1)
        released.set()
        await answered
        await eventually_async(counts, until=lambda both: both == (0, 0))


async def test_a_watch_of_health_is_a_call_that_came_in(shop: Shop) -> None:
    async with gated(shop, answer_at_once) as running:

        async def counts() -> tuple[int, int]:
            return running.taken_count(), running.gate.known_count

        watch = health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        await watch.read()
        assert await counts() == (1, 1)
        watch.cancel()
        await eventually_async(counts, until=lambda both: both[0] == 0)


async def test_a_refused_call_is_no_call_that_came_in_any_more(shop: Shop) -> None:
    async with gated(shop, answer_at_once) as running:
        await running.done(running.gate.close(AT_ONCE))
        with pytest.raises(grpc.aio.AioRpcError):
            await call(running.stub, "GetOrder", timeout_s=0.2)
        assert running.gate.known_count == 0
