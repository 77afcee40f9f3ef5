"""The four ways to add up users' orders: one answer by different RPC flows.

Who the users are is asked in the same way by each (BatchGetUsers for ids that are given, pages of ListUsers for all),
so that strategies differ in their calls to OrderService alone. Orders of users who do not exist are left out by each.
Every call gets what is left of the caller's deadline; a stream is cancelled in `finally`, however its reading ends.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from generated import order_pb2, order_pb2_grpc, report_pb2, user_pb2, user_pb2_grpc
from services.deadlines import Deadline
from services.errors import passing_on
from services.grpc_api.aio import AIO
from services.grpc_api.ports import Api
from services.paging import MAX_PAGE_SIZE

MAX_CONCURRENT_CALLS = 8


@dataclass(slots=True)
class Total:
    """What some orders come to; grows as they are read."""

    order_count: int = 0
    total_minor_units: int = 0

    def add(self, order: order_pb2.Order) -> None:
        """Count one order."""
        self.order_count += 1
        self.total_minor_units += order.amount_minor_units


@dataclass(frozen=True, slots=True)
class Selection:
    """The users to rank; `are_all` where they are all that exist."""

    user_ids: tuple[str, ...]
    are_all: bool


@dataclass(frozen=True, slots=True)
class Backends:
    """The services behind, and the deadline of the call that asks them."""

    users: user_pb2_grpc.UserServiceAsyncStub
    orders: order_pb2_grpc.OrderServiceAsyncStub
    deadline: Deadline = field(kw_only=True)
    api: Api = field(default=AIO, kw_only=True)

    async def user(self, user_id: str) -> user_pb2.User:
        """Return one user."""
        with passing_on("UserService"):
            request = user_pb2.GetUserRequest(user_id=user_id)
            return (await self.users.GetUser(request, timeout=self.deadline.timeout_s())).user

    async def user_names(self, user_ids: Sequence[str]) -> dict[str, str]:
        """Return names by id, of these users (one BatchGetUsers) or, without ids, of all (pages of ListUsers)."""
        if not user_ids:
            return {user.user_id: user.name async for user in self._all_users()}
        with passing_on("UserService"):
            request = user_pb2.BatchGetUsersRequest(user_ids=user_ids)
            response = await self.users.BatchGetUsers(request, timeout=self.deadline.timeout_s())
        return {user.user_id: user.name for user in response.users}

    async def _all_users(self) -> AsyncGenerator[user_pb2.User, None]:
        request = user_pb2.ListUsersRequest(page_size=MAX_PAGE_SIZE)
        while True:
            with passing_on("UserService"):
                response = await self.users.ListUsers(request, timeout=self.deadline.timeout_s())
            for user in response.users:
                yield user
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    async def listed_orders(self, user_ids: Sequence[str]) -> AsyncGenerator[order_pb2.Order, None]:
        """Yield these users' orders by ListOrders, as many pages as it takes."""
        request = order_pb2.ListOrdersRequest(user_ids=user_ids, page_size=MAX_PAGE_SIZE)
        while True:
            with passing_on("OrderService"):
                response = await self.orders.ListOrders(request, timeout=self.deadline.timeout_s())
            for order in response.orders:
                yield order
            if not response.next_page_token:
                return
            request.page_token = response.next_page_token

    async def streamed_orders(self, user_ids: Sequence[str]) -> AsyncGenerator[order_pb2.Order, None]:
        """Yield these users' orders, or without ids all, by one StreamOrders."""
        request = order_pb2.StreamOrdersRequest(user_ids=user_ids)
        with passing_on("OrderService"):
            call = self.orders.StreamOrders(request, timeout=self.deadline.timeout_s())
            try:
                async for response in call:
                    yield response.order
            finally:
                call.cancel()

    async def total_of(self, user_id: str) -> Total:
        """Add up one user's orders by ListOrders."""
        total = Total()
        async with aclosing(self.listed_orders([user_id])) as orders:
            async for order in orders:
                total.add(order)
        return total


Totals = Mapping[str, Total]
Strategy = Callable[[Backends, Selection], Awaitable[Totals]]


async def sequential(backends: Backends, selection: Selection) -> Totals:
    """Ask for one user's orders after the other's: the N+1."""
    return {user_id: await backends.total_of(user_id) for user_id in selection.user_ids}


async def concurrent(backends: Backends, selection: Selection) -> Totals:
    """Ask for each user's orders, MAX_CONCURRENT_CALLS at once; after the first failure no other begins."""
    asking = [partial(backends.total_of, user_id) for user_id in selection.user_ids]
    return dict(zip(selection.user_ids, await backends.api.gather(asking, MAX_CONCURRENT_CALLS), strict=True))


async def batch(backends: Backends, selection: Selection) -> Totals:
    """Ask for all users' orders in one ListOrders; more where there are more users or orders than one may hold."""
    totals = {user_id: Total() for user_id in selection.user_ids}
    for start in range(0, len(selection.user_ids), MAX_PAGE_SIZE):
        await _add_up(totals, backends.listed_orders(selection.user_ids[start : start + MAX_PAGE_SIZE]))
    return totals


async def streaming(backends: Backends, selection: Selection) -> Totals:
    """Add up one StreamOrders as it arrives; where all users are asked for, the stream is not filtered."""
    totals = {user_id: Total() for user_id in selection.user_ids}
    await _add_up(totals, backends.streamed_orders(() if selection.are_all else selection.user_ids))
    return totals


async def _add_up(totals: Mapping[str, Total], orders: AsyncGenerator[order_pb2.Order, None]) -> None:
    async with aclosing(orders):
        async for order in orders:
            if order.user_id in totals:
                totals[order.user_id].add(order)


STRATEGIES: Mapping[report_pb2.TopUsersStrategy.ValueType, Strategy] = {
    report_pb2.TOP_USERS_STRATEGY_UNSPECIFIED: batch,
    report_pb2.TOP_USERS_STRATEGY_SEQUENTIAL: sequential,
    report_pb2.TOP_USERS_STRATEGY_CONCURRENT: concurrent,
    report_pb2.TOP_USERS_STRATEGY_BATCH: batch,
    report_pb2.TOP_USERS_STRATEGY_STREAMING: streaming,
}


def ranked(reports: Iterable[report_pb2.UserReport], limit: int) -> list[report_pb2.UserReport]:
    """Return the first `limit` by number of orders, then total, then name; the id decides between namesakes."""
    return sorted(reports, key=lambda each: (-each.order_count, -each.total_minor_units, each.user_name, each.user_id))[
        :limit
    ]
