"""The three services in this process, each on a free port, with one telemetry in memory and stubs to call them by."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from generated import order_pb2, order_pb2_grpc, report_pb2_grpc, user_pb2, user_pb2_grpc
from otel.instrument import TelemetrySettings
from otel.instrument.settings import Instrumentation
from otel.instrument.testing import InMemoryTelemetry, in_memory_telemetry
from services import serving
from services.grpc_api.aio import AIO
from services.grpc_api.ports import Api
from services.grpc_api.stepping import finish
from services.order_service import order_service
from services.report_service import report_service
from services.serving import RunningServer, ServingOptions
from services.stores.memory import MemoryOrderStore, MemoryUserStore
from services.user_service import user_service

TIMEOUT_S = 20.0

Result = TypeVar("Result")


@dataclass
class Shop:
    api: Api
    telemetry: InMemoryTelemetry
    servers: dict[str, RunningServer]
    user_store: MemoryUserStore
    order_store: MemoryOrderStore
    users: user_pb2_grpc.UserServiceAsyncStub
    orders: order_pb2_grpc.OrderServiceAsyncStub
    reports: report_pb2_grpc.ReportServiceAsyncStub
    channels: dict[str, grpc.aio.Channel]
    closing: AsyncExitStack
    witness_files: dict[str, Path] = field(default_factory=dict)

    async def user(self, name: str = "Alice") -> str:
        """Create a user and return the id."""
        request = user_pb2.CreateUserRequest(name=name, email=f"{name}@example.org")
        return (await self.users.CreateUser(request, timeout=TIMEOUT_S)).user.user_id

    async def order(self, user_id: str, amount_minor_units: int = 100, note: str = "") -> order_pb2.Order:
        """Create an order and return it."""
        request = order_pb2.CreateOrderRequest(user_id=user_id, amount_minor_units=amount_minor_units, note=note)
        return (await self.orders.CreateOrder(request, timeout=TIMEOUT_S)).order

    async def stop(self, name: str) -> None:
        """Stop a service at once, and keep its port: to calls there some other test's server would answer."""
        server = self.servers[name]
        await done(self.api, stop_now(self.api, server.server))
        kept = self.closing.enter_context(socket.socket())
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the connections that it had are still there
        host, _, port = server.address.rpartition(":")
        kept.bind((host, int(port)))

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Return the log lines of these events, oldest first."""
        return [line for line in self.telemetry.lines() if line["event"] in names]


async def done(api: Api, work: Coroutine[Any, Any, Result]) -> Result:
    """Run what belongs to an API's server; where it blocks, in another thread, for the callers are on this loop."""
    return await (asyncio.to_thread(finish, work) if api.name == "sync" else work)


async def stop_now(api: Api, server: grpc.aio.Server) -> None:
    """Stop a server without grace."""
    await (await api.begin_stop(server, 0.0))


@asynccontextmanager
async def served(
    service: serving.Service, options: ServingOptions, telemetry: InMemoryTelemetry, api: Api
) -> AsyncIterator[RunningServer]:
    """Serve by either API."""
    running = serving.running(service, options, telemetry, api)
    server = await done(api, running.__aenter__())
    try:
        yield server
    finally:
        await done(api, running.__aexit__(None, None, None))


@asynccontextmanager
async def open_shop(
    options: ServingOptions | None = None,
    *,
    instrumentation: Instrumentation = "corrected",
    witness_folder: Path | None = None,
    api: Api = AIO,
) -> AsyncIterator[Shop]:
    options = options or ServingOptions(grace_s=0.0)
    settings = TelemetrySettings(service_name="shop", log_to_stdout=False, instrumentation=instrumentation)
    telemetry = in_memory_telemetry(settings)
    telemetry.take_over_logging()
    user_store, order_store = MemoryUserStore(), MemoryOrderStore()
    files = {name: witness_folder / f"{name}.jsonl" for name in ("user", "order", "report")} if witness_folder else {}

    def options_of(name: str) -> ServingOptions:
        return replace(options, witness_file=files.get(name))

    async with AsyncExitStack() as closing:
        closing.callback(telemetry.shutdown)

        def behind(address: str, by: Api = api) -> grpc.aio.Channel:
            channel = serving.open_channel(telemetry, address, options, by)
            closing.push_async_callback(channel.close)
            return channel

        async def start(service: serving.Service) -> RunningServer:
            return await closing.enter_async_context(served(service, options_of(service.name), telemetry, api))

        user = await start(user_service(user_store))
        order = await start(order_service(order_store, behind(user.address), telemetry.tracer, api))
        report = await start(report_service(behind(user.address), behind(order.address), api))
        servers = {"user": user, "order": order, "report": report}
        channels = {name: behind(server.address, AIO) for name, server in servers.items()}
        yield Shop(
            api,
            telemetry,
            servers,
            user_store,
            order_store,
            user_pb2_grpc.UserServiceStub(channels["user"]),
            order_pb2_grpc.OrderServiceStub(channels["order"]),
            report_pb2_grpc.ReportServiceStub(channels["report"]),
            channels,
            closing,
            files,
        )


@dataclass(frozen=True)
class Refusal:
    """How a call failed, all of it."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    metadata: dict[str, str]
    violations: dict[str, str]


@dataclass
class Refused:
    """Holds the refusal once the block has ended."""

    refusal: Refusal | None = None

    @property
    def seen(self) -> Refusal:
        assert self.refusal is not None
        return self.refusal


@contextmanager
def refused() -> Iterator[Refused]:
    """Expect a failed call with a whole google.rpc.Status."""
    holder = Refused()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield holder
    holder.refusal = refusal_of(caught.value)


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """Read a refusal; AssertionError unless it has exactly one ErrorInfo."""
    status = rpc_status.from_call(error)
    assert status is not None, f"{error.code()} without a google.rpc.Status: {error.details()}"
    infos: Sequence[Any] = [each for each in status.details if each.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    infos[0].Unpack(info)
    for each in status.details:
        each.Unpack(bad)
    violations = {each.field: each.description for each in bad.field_violations}
    return Refusal(error.code(), error.details() or "", info.reason, info.domain, dict(info.metadata), violations)
