"""The users and orders that variants are called on, made by the services themselves before anything is timed."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc.aio

from generated import order_pb2, order_pb2_grpc, user_pb2, user_pb2_grpc
from tracelab.compare.question.errors import UsageError
from tracelab.compare.question.variant_options import TOP_USERS, VariantOptions

UNSAMPLED = (("traceparent", "00-00000000000000000000000000000001-0000000000000001-00"),)
"""Metadata of calls that shall leave no trace."""
_AT_ONCE = 16
_SEED_S = 60.0
_IMPORT_BYTES = 2_000_000
"""What one import makes is answered in one message, which has to stay below gRPC's usual 4 MiB."""
_ORDER_BYTES = 200
_WORDS = "the order was packed with care and leaves the warehouse on the next working day "


@dataclass(frozen=True, slots=True)
class PopulationSize:
    """How many users, with how many orders each, with notes of what length."""

    users: int
    orders_per_user: int
    note_bytes: int
    payload: str

    @classmethod
    def of(cls, options: VariantOptions) -> PopulationSize:
        """The size that a variant is called on."""
        return cls(options.users, options.orders_per_user, options.message_size_bytes, options.payload)

    @property
    def note(self) -> str:
        """Text that compresses as text does, or that does not compress."""
        if self.payload == "text":
            return (_WORDS * (self.note_bytes // len(_WORDS) + 1))[: self.note_bytes]
        return random.Random(self.note_bytes).randbytes(self.note_bytes // 2 + 1).hex()[: self.note_bytes]


@dataclass(frozen=True, slots=True)
class Population:
    """Users and orders that exist in one set of services."""

    size: PopulationSize
    user_ids: tuple[str, ...]
    order_ids: tuple[str, ...]

    def request(self, options: VariantOptions, where: str) -> Any:
        """The request of a variant as JSON, with `$user`, `$users`, `$order` and `$note` put in."""
        text = options.request
        try:
            document = json.loads(text) if text else self._usual(options)
        except ValueError as error:
            raise UsageError(f"{where}: the request is no JSON: {error}") from error
        return _filled(document, self._values())

    def _values(self) -> Mapping[str, Any]:
        return {
            "$user": self.user_ids[0],
            "$users": list(self.user_ids),
            "$order": self.order_ids[0] if self.order_ids else "",
            "$note": self.size.note,
        }

    def _usual(self, options: VariantOptions) -> Any:
        if options.rpc == TOP_USERS:
            strategy = f"TOP_USERS_STRATEGY_{options.strategy.upper()}" if options.strategy else 0
            return {"userIds": "$users", "strategy": strategy}
        return _USUAL.get(options.rpc, {})


_USUAL: Mapping[str, Any] = {
    "UserService/CreateUser": {"name": "Compare", "email": "compare@example.org"},
    "UserService/GetUser": {"userId": "$user"},
    "UserService/UpdateUser": {"userId": "$user", "name": "Compare"},
    "UserService/DeleteUser": {"userId": "$user"},
    "UserService/BatchGetUsers": {"userIds": "$users"},
    "OrderService/CreateOrder": {"userId": "$user", "amountMinorUnits": "7500", "note": "$note"},
    "OrderService/GetOrder": {"orderId": "$order"},
    "OrderService/ListOrders": {"userIds": "$users"},
    "OrderService/UpdateOrder": {"orderId": "$order", "note": "$note"},
    "OrderService/StreamOrders": {"userIds": "$users"},
    "OrderService/ImportOrders": [{"userId": "$user", "amountMinorUnits": "7500", "note": "$note"}],
    "ReportService/GetUserReport": {"userId": "$user"},
}


def _filled(document: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(document, dict):
        return {key: _filled(value, values) for key, value in document.items()}
    if isinstance(document, list):
        return [_filled(value, values) for value in document]
    return values.get(document, document) if isinstance(document, str) else document


async def populate(addresses: Mapping[str, str], size: PopulationSize) -> Population:
    """Make users and orders of that size. Raises grpc.aio.AioRpcError where a service refuses."""
    async with grpc.aio.insecure_channel(addresses["user"]) as users:
        user_ids = await _make_users(user_pb2_grpc.UserServiceStub(users), size)
    order_ids: list[str] = []
    if size.orders_per_user:
        async with grpc.aio.insecure_channel(addresses["order"]) as orders:
            order_ids = await _make_orders(order_pb2_grpc.OrderServiceStub(orders), size, user_ids)
    return Population(size, tuple(user_ids), tuple(order_ids))


async def _make_users(stub: user_pb2_grpc.UserServiceAsyncStub, size: PopulationSize) -> list[str]:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def make(number: int) -> str:
        request = user_pb2.CreateUserRequest(name=f"User {number:04}", email=f"user-{number}@example.org")
        async with limit:
            return (await stub.CreateUser(request, metadata=UNSAMPLED, timeout=_SEED_S)).user.user_id

    return list(await asyncio.gather(*(make(number) for number in range(size.users))))


async def _make_orders(
    stub: order_pb2_grpc.OrderServiceAsyncStub, size: PopulationSize, user_ids: list[str]
) -> list[str]:
    note = size.note
    requests = [
        order_pb2.ImportOrdersRequest(user_id=user_id, amount_minor_units=100 * (number + 1), note=note)
        for number in range(size.orders_per_user)
        for user_id in user_ids
    ]
    at_once = max(1, _IMPORT_BYTES // (size.note_bytes + _ORDER_BYTES))
    order_ids: list[str] = []
    for first in range(0, len(requests), at_once):
        call = stub.ImportOrders(iter(requests[first : first + at_once]), metadata=UNSAMPLED, timeout=_SEED_S)
        answer = await call
        order_ids += [result.order.order_id for result in answer.results if result.HasField("order")]
    return order_ids
