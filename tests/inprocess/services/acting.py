"""A servicer that does the same thing in a method of each kind of RPC, and calls of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from generated import order_pb2, order_pb2_grpc
from services.behaviors import Context
from services.serving import Service
from tests.inprocess.services.shop import TIMEOUT_S

Act = Callable[[Context], Awaitable[None]]
KINDS = ("GetOrder", "StreamOrders", "ImportOrders", "TrackOrders")


class ActingServicer(order_pb2_grpc.OrderServiceServicer):
    """Does the same thing in a method of each kind."""

    def __init__(self, act: Act) -> None:
        self._act = act

    async def GetOrder(self, request: Any, context: Context) -> order_pb2.GetOrderResponse:
        await self._act(context)
        return order_pb2.GetOrderResponse()

    async def StreamOrders(self, request: Any, context: Context) -> AsyncIterator[order_pb2.StreamOrdersResponse]:
        yield order_pb2.StreamOrdersResponse()
        await self._act(context)

    async def ImportOrders(self, request_iterator: Any, context: Context) -> order_pb2.ImportOrdersResponse:
        async for _ in request_iterator:
            pass
        await self._act(context)
        return order_pb2.ImportOrdersResponse()

    async def TrackOrders(
        self, request_iterator: Any, context: Context
    ) -> AsyncIterator[order_pb2.TrackOrdersResponse]:
        async for _ in request_iterator:
            yield order_pb2.TrackOrdersResponse()
        await self._act(context)

    async def CreateOrder(self, request: Any, context: Context) -> Any:
        raise NotImplementedError

    async def ListOrders(self, request: Any, context: Context) -> Any:
        raise NotImplementedError

    async def UpdateOrder(self, request: Any, context: Context) -> Any:
        raise NotImplementedError


async def call(stub: order_pb2_grpc.OrderServiceAsyncStub, kind: str, timeout_s: float = TIMEOUT_S) -> None:
    """Make a call of the kind and read it to its end."""

    async def requests(message: Any) -> AsyncIterator[Any]:
        yield message

    match kind:
        case "GetOrder":
            await stub.GetOrder(order_pb2.GetOrderRequest(), timeout=timeout_s)
        case "ImportOrders":
            await stub.ImportOrders(requests(order_pb2.ImportOrdersRequest()), timeout=timeout_s)
        case "StreamOrders":
            async for _ in stub.StreamOrders(order_pb2.StreamOrdersRequest(), timeout=timeout_s):
                pass
        case _:
            async for _ in stub.TrackOrders(requests(order_pb2.TrackOrdersRequest()), timeout=timeout_s):
                pass


def acting_service(act: Act) -> Service:
    """Return OrderService that does `act`."""
    return Service("order", (), partial(order_pb2_grpc.add_OrderServiceServicer_to_server, ActingServicer(act)))
