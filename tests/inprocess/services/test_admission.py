"""Which calls begin: none whose deadline has passed, and no more at once than the service takes."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import grpc
import pytest

from generated import order_pb2, order_pb2_grpc
from services import serving
from services.admission import Admission
from services.errors import DomainError
from services.grpc_api.aio import AIO
from services.grpc_api.ports import Api
from services.serving import ServingOptions
from tests.inprocess.services.acting import KINDS, acting_service, call
from tests.inprocess.services.shop import TIMEOUT_S, Shop, refusal_of, served
from tests.polling import eventually_async


class Rooms:
    """Handlers that wait until they are released, and how many are in."""

    def __init__(self, api: Api) -> None:
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()
        self.released = api.event()

    async def enter(self, _context: object) -> None:
        self._count("begun")
        await self.released.wait()
        self._count("ended")

    def _count(self, name: str) -> None:
        with self._lock:
            self.calls[name] += 1

    async def begun_count(self) -> int:
        return self.calls["begun"]


async def code_of(stub: order_pb2_grpc.OrderServiceAsyncStub, kind: str) -> str:
    try:
        await call(stub, kind)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def test_calls_past_the_bound_are_refused_at_once_and_those_in_hand_are_answered(shop: Shop) -> None:
    rooms = Rooms(shop.api)
    options = ServingOptions(max_concurrent_calls=5, grace_s=0.0)
    async with (
        served(acting_service(rooms.enter), options, shop.telemetry, shop.api) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = order_pb2_grpc.OrderServiceStub(channel)
        in_hand = [asyncio.ensure_future(code_of(stub, "GetOrder")) for _ in range(5)]
        await eventually_async(rooms.begun_count, until=lambda count: count == 5)
        assert Counter(await asyncio.gather(*(code_of(stub, "GetOrder") for _ in range(45)))) == {
            "RESOURCE_EXHAUSTED": 45
        }
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(stub, "ImportOrders")
        rooms.released.set()
        assert await asyncio.gather(*in_hand) == ["OK"] * 5
        assert await code_of(stub, "GetOrder") == "OK"
    refusal = refusal_of(caught.value)
    assert (refusal.reason, refusal.metadata) == ("OVERLOADED", {"max_concurrent_calls": "5"})
    assert ("grpc-retry-pushback-ms", "100") in list(caught.value.trailing_metadata())
    assert rooms.calls == {"begun": 6, "ended": 6}
    refused_lines = [line for line in shop.events("rpc.finished") if line.get("reason") == "OVERLOADED"]
    assert len(refused_lines) == 46


async def test_a_client_with_the_retry_policy_comes_again_and_is_answered(shop: Shop) -> None:
    rooms = Rooms(shop.api)
    options = ServingOptions(max_concurrent_calls=1, grace_s=0.0)
    async with (
        served(acting_service(rooms.enter), options, shop.telemetry, shop.api) as server,
        serving.open_channel(shop.telemetry, server.address, options) as channel,
    ):
        stub = order_pb2_grpc.OrderServiceStub(channel)
        first = asyncio.ensure_future(code_of(stub, "GetOrder"))
        await eventually_async(rooms.begun_count, until=lambda count: count == 1)
        second = asyncio.ensure_future(code_of(stub, "GetOrder"))

        async def refused_count() -> int:
            return len([line for line in shop.events("rpc.finished") if line.get("reason") == "OVERLOADED"])

        await eventually_async(refused_count)
        rooms.released.set()
        assert [await first, await second] == ["OK", "OK"]


async def test_streams_that_the_service_sends_take_no_place(shop: Shop) -> None:
    rooms = Rooms(shop.api)
    options = ServingOptions(max_concurrent_calls=1, grace_s=0.0)
    async with (
        served(acting_service(rooms.enter), options, shop.telemetry, shop.api) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = order_pb2_grpc.OrderServiceStub(channel)
        kinds = ["StreamOrders", "StreamOrders", "TrackOrders", "GetOrder"]
        calls = [asyncio.ensure_future(code_of(stub, kind)) for kind in kinds]
        await eventually_async(rooms.begun_count, until=lambda count: count == len(kinds))
        rooms.released.set()
        assert await asyncio.gather(*calls) == ["OK"] * len(kinds)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_call_gives_its_place_back(shop: Shop, kind: str) -> None:
    rooms = Rooms(shop.api)
    options = ServingOptions(max_concurrent_calls=1, grace_s=0.0)
    async with (
        served(acting_service(rooms.enter), options, shop.telemetry, shop.api) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = order_pb2_grpc.OrderServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError):
            await call(stub, kind, timeout_s=0.1)
        rooms.released.set()

        async def code() -> str:
            return await code_of(stub, kind)

        await eventually_async(code, until=lambda seen: seen == "OK")


def test_a_call_whose_deadline_has_passed_is_not_let_in() -> None:
    admission = Admission(1)
    for left_s in (0.0, -1.0):
        with pytest.raises(DomainError) as caught:
            admission.begin(left_s)
        assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED")
    assert admission.in_hand_count == 0
    admission.begin(None)


@pytest.fixture
def other_thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.mark.parametrize("api", [AIO], ids=["aio"])  # a pool has a thread for whoever comes
async def test_calls_that_waited_past_their_deadline_while_the_service_was_busy_never_begin(
    shop: Shop, other_thread: ThreadPoolExecutor
) -> None:
    begun: list[str] = []
    is_busy, gave_up = threading.Event(), threading.Event()

    async def act(context: grpc.aio.ServicerContext[object, object]) -> None:
        name = dict(context.invocation_metadata() or ())["name"]
        begun.append(str(name))
        if name == "busy":
            is_busy.set()
            gave_up.wait(TIMEOUT_S)  # holds the event loop, as much work does

    def give_up_twenty_times(address: str) -> list[str]:
        with grpc.insecure_channel(address) as channel:
            stub = order_pb2_grpc.OrderServiceStub(channel)
            is_busy.wait(TIMEOUT_S)
            calls = [
                stub.GetOrder.future(order_pb2.GetOrderRequest(), timeout=0.3, metadata=(("name", "late"),))
                for _ in range(20)
            ]
            codes = [str(each.code().name) for each in calls]
            gave_up.set()
            stub.GetOrder(order_pb2.GetOrderRequest(), timeout=TIMEOUT_S, metadata=(("name", "last"),))
            return codes

    async with (
        served(acting_service(act), ServingOptions(grace_s=0.2), shop.telemetry, shop.api) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = order_pb2_grpc.OrderServiceStub(channel)
        late: Future[list[str]] = other_thread.submit(give_up_twenty_times, server.address)
        await stub.GetOrder(order_pb2.GetOrderRequest(), timeout=TIMEOUT_S, metadata=[("name", "busy")])
        assert await asyncio.wrap_future(late) == ["DEADLINE_EXCEEDED"] * 20
    assert begun == ["busy", "last"]
