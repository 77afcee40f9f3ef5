"""Serving: health, ports, channel options, and how a server stops."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry import baggage
from opentelemetry.context import Context, attach, detach

from generated import user_pb2, user_pb2_grpc
from services.binding import BindError
from services.grpc_api.ports import Api
from services.serving import ServingOptions
from services.stores.memory import MemoryUserStore
from services.user_service import UserServicer, user_service
from tests.inprocess.services.shop import TIMEOUT_S, Shop, served
from tests.polling import eventually_async

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("service", ["", "tracelab.user.v1.UserService"])
async def test_a_serving_service_says_so(shop: Shop, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(shop.channels["user"])
    response = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S)
    assert response.status == SERVING


async def test_a_port_in_use_is_refused_with_its_number(shop: Shop) -> None:
    port = int(shop.servers["user"].address.rpartition(":")[2])
    with pytest.raises(BindError) as caught:
        async with served(user_service(MemoryUserStore()), ServingOptions(port=port), shop.telemetry, shop.api):
            pass
    assert str(caught.value) == f"port {port} is in use"
    assert "--port" in caught.value.hint


@pytest.mark.parametrize("host", ["192.0.2.1", "a..b"])
async def test_a_host_that_is_not_ours_is_refused(shop: Shop, host: str) -> None:
    options = ServingOptions(host=host)
    with pytest.raises(BindError) as caught:
        async with served(user_service(MemoryUserStore()), options, shop.telemetry, shop.api):
            pass
    assert str(caught.value) == f"--host: {host!r} is no address of this machine"


async def test_channel_options_reach_the_server(shop: Shop) -> None:
    options = ServingOptions(channel_options=(("grpc.max_receive_message_length", 1_000),))
    request = user_pb2.GetUserRequest(user_id="u" * 2_000)
    async with (
        served(user_service(MemoryUserStore()), options, shop.telemetry, shop.api) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await user_pb2_grpc.UserServiceStub(channel).GetUser(request, timeout=TIMEOUT_S)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


class SlowStore(MemoryUserStore):
    """Lets `get` wait until it is released."""

    def __init__(self, api: Api) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.released = api.event()

    async def get(self, user_id: str) -> Any:
        self.entered.set()
        await self.released.wait()
        return await super().get(user_id)


async def test_a_call_in_flight_finishes_while_watches_hear_that_the_server_stops(shop: Shop) -> None:
    store = SlowStore(shop.api)
    stopping = asyncio.Event()
    statuses: list[int] = []

    async def watch_health(channel: grpc.aio.Channel) -> None:
        call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        async for response in call:
            statuses.append(response.status)  # noqa: PERF401 - read while it grows

    async def serve() -> None:
        async with served(user_service(store), ServingOptions(grace_s=60.0), shop.telemetry, shop.api) as server:
            address.set_result(server.address)
            await stopping.wait()

    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve())
    async with grpc.aio.insecure_channel(await address) as channel:
        stub = user_pb2_grpc.UserServiceStub(channel)
        created = await stub.CreateUser(user_pb2.CreateUserRequest(name="Alice", email="a@b"), timeout=TIMEOUT_S)
        watch = asyncio.create_task(watch_health(channel))
        request = user_pb2.GetUserRequest(user_id=created.user.user_id)
        in_flight = asyncio.ensure_future(stub.GetUser(request, timeout=TIMEOUT_S))
        await asyncio.to_thread(store.entered.wait, TIMEOUT_S)
        await eventually_async(lambda: _copy(statuses), until=lambda seen: seen == [SERVING])
        stopping.set()
        await watch
        assert statuses == [SERVING, NOT_SERVING]
        assert not server.done()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListUsers(user_pb2.ListUsersRequest(), timeout=TIMEOUT_S)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        store.released.set()
        assert (await in_flight).user == created.user
        await server


async def _copy(statuses: list[int]) -> list[int]:
    return list(statuses)


async def test_a_call_that_outlives_the_grace_is_cut_off_as_unavailable(shop: Shop) -> None:
    store = SlowStore(shop.api)
    async with served(user_service(store), ServingOptions(grace_s=0.1), shop.telemetry, shop.api) as server:
        channel = grpc.aio.insecure_channel(server.address)
        stub = user_pb2_grpc.UserServiceStub(channel)
        in_flight = asyncio.ensure_future(stub.GetUser(user_pb2.GetUserRequest(user_id="u-1"), timeout=TIMEOUT_S))
        await asyncio.to_thread(store.entered.wait, TIMEOUT_S)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await in_flight
    await channel.close()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    (line,) = shop.events("rpc.finished")
    assert line["status_code"] == "UNAVAILABLE"


async def test_the_port_is_free_again_once_the_server_stopped(shop: Shop) -> None:
    async with served(user_service(MemoryUserStore()), ServingOptions(), shop.telemetry, shop.api) as server:
        port = int(server.address.rpartition(":")[2])
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))


LEGAL_BAGGAGE = {f"k{number:02d}": "v" * 200 for number in range(40)}


async def test_legal_baggage_is_never_too_much_for_a_service(shop: Shop) -> None:
    header = ",".join(f"{key}={value}" for key, value in LEGAL_BAGGAGE.items())[:8_192]
    async with grpc.aio.insecure_channel(shop.servers["user"].address) as channel:
        stub = user_pb2_grpc.UserServiceStub(channel)
        for _ in range(200):  # gRPC's own limit refuses 5 of 100
            await stub.ListUsers(user_pb2.ListUsersRequest(), timeout=TIMEOUT_S, metadata=(("baggage", header),))


async def test_what_tracing_passes_on_of_baggage_is_never_too_much_for_any_server(shop: Shop) -> None:
    server = grpc.aio.server()
    user_pb2_grpc.add_UserServiceServicer_to_server(UserServicer(MemoryUserStore()), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    context = Context()
    for key, value in LEGAL_BAGGAGE.items():
        context = baggage.set_baggage(key, value, context)
    token = attach(context)
    try:
        async with shop.telemetry.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = user_pb2_grpc.UserServiceStub(channel)
            for _ in range(200):
                await stub.ListUsers(user_pb2.ListUsersRequest(), timeout=TIMEOUT_S)
    finally:
        detach(token)
        await server.stop(None)
