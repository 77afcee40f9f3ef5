"""OrderService: owns the orders, with all four kinds of RPC; asks UserService whether a user exists.

Run it with `python -m services.order_service`; `--help` names its options, USER_ADDRESS says where UserService is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial

if __name__ == "__main__":
    from otel.tls.core_lines import choose_verbosity

    choose_verbosity(os.environ, sys.argv)  # read when grpc is imported

import grpc
import structlog
from opentelemetry.trace import Tracer

from generated import order_pb2, order_pb2_grpc, user_pb2, user_pb2_grpc
from services import paging, serving
from services.behaviors import Context
from services.deadlines import Deadline
from services.errors import (
    DomainError,
    FailedPreconditionError,
    UpstreamError,
    order_not_found,
    passing_on,
    request_id_reused,
)
from services.grpc_api.aio import AIO
from services.grpc_api.ports import Api
from services.order_import import import_orders
from services.order_messages import order_draft, order_message
from services.order_tracking import OrderChange, OrderTracker
from services.stores.opening import VARIABLE as STORE_VARIABLE
from services.stores.opening import open_order_store
from services.stores.ports import OrderChanges, OrderDraft, OrderRecord, OrderStatus, OrderStore, RequestIdReusedError
from services.validation import Violations

log = structlog.get_logger()

DEFAULT_PORT = 50052
DEFAULT_USER_ADDRESS = "127.0.0.1:50051"
STREAM_PAGE_SIZE = 100  # orders that StreamOrders holds at once


class OrderServicer(order_pb2_grpc.OrderServiceServicer):
    """Answers order.proto's calls from a store, a stub of UserService and a tracker of changes."""

    def __init__(self, store: OrderStore, users: user_pb2_grpc.UserServiceAsyncStub, tracker: OrderTracker) -> None:
        self._store = store
        self._users = users
        self._tracker = tracker

    async def CreateOrder(
        self, request: order_pb2.CreateOrderRequest, context: Context
    ) -> order_pb2.CreateOrderResponse:
        """Fulfil the contract's CreateOrder."""
        try:
            record = await self._create(order_draft(request), request.request_id, Deadline.of(context), set())
        except DomainError as error:
            log.info("order.rejected", reason=error.reason)
            raise
        return order_pb2.CreateOrderResponse(order=order_message(record))

    async def _create(self, draft: OrderDraft, request_id: str, deadline: Deadline, existing: set[str]) -> OrderRecord:
        """Create an order, or return what its request id made; `existing` are users known to exist, and learns."""
        try:
            known = await self._store.created_by(draft, request_id)
            if known is not None:
                return known
            if draft.user_id not in existing:
                await self._require_user(draft.user_id, deadline)
                existing.add(draft.user_id)
            created = await self._store.create(draft, request_id)
        except RequestIdReusedError as error:
            raise request_id_reused(error.request_id) from error
        if created.is_new:
            log.info("order.created", order_id=created.record.order_id, user_id=draft.user_id)
            self._tracker.publish(OrderChange.here(created.record, None))
        return created.record

    async def _require_user(self, user_id: str, deadline: Deadline) -> None:
        try:
            with passing_on("UserService"):
                await self._users.GetUser(user_pb2.GetUserRequest(user_id=user_id), timeout=deadline.timeout_s())
        except UpstreamError as error:
            if error.code is not grpc.StatusCode.NOT_FOUND:
                raise
            raise FailedPreconditionError("USER_NOT_FOUND", error.message, error.metadata) from error

    async def GetOrder(self, request: order_pb2.GetOrderRequest, context: Context) -> order_pb2.GetOrderResponse:
        """Fulfil the contract's GetOrder."""
        violations = Violations()
        violations.required("order_id", request.order_id)
        violations.raise_if_any()
        record = await self._store.get(request.order_id)
        if record is None:
            raise order_not_found(request.order_id)
        log.info("order.read", order_id=record.order_id)
        return order_pb2.GetOrderResponse(order=order_message(record))

    async def ListOrders(self, request: order_pb2.ListOrdersRequest, context: Context) -> order_pb2.ListOrdersResponse:
        """Fulfil the contract's ListOrders."""
        violations = Violations()
        query = "\n".join(["ListOrders", *sorted(set(request.user_ids))])
        violations.ids("user_ids", request.user_ids)
        limit = paging.page_limit(violations, request.page_size)
        position = paging.page_position(violations, request.page_token, query)
        violations.raise_if_any()
        page = await self._store.page(position, limit, request.user_ids)
        log.info("order.listed", order_count=len(page.records), user_count=len(request.user_ids))
        return order_pb2.ListOrdersResponse(
            orders=map(order_message, page.records),
            next_page_token=paging.next_page_token(page.next_position, query),
        )

    async def UpdateOrder(
        self, request: order_pb2.UpdateOrderRequest, context: Context
    ) -> order_pb2.UpdateOrderResponse:
        """Fulfil the contract's UpdateOrder."""
        update = await self._store.update(request.order_id, _changes(request))
        if update is None:
            raise order_not_found(request.order_id)
        log.info("order.updated", order_id=request.order_id, status=update.after.status.name)
        self._tracker.publish(OrderChange.here(update.after, update.before.status))
        return order_pb2.UpdateOrderResponse(order=order_message(update.after))

    async def StreamOrders(
        self, request: order_pb2.StreamOrdersRequest, context: Context
    ) -> AsyncGenerator[order_pb2.StreamOrdersResponse, None]:
        """Fulfil the contract's StreamOrders: those that exist when it begins, one page of the store at a time.

        gRPC asks for the next order when the reader took the one before (flow control), and only then is it made.
        """
        violations = Violations()
        violations.ids("user_ids", request.user_ids)
        violations.raise_if_any()
        position: int | None = 0
        last_position = await self._store.last_position()
        count = 0
        while position is not None:
            page = await self._store.page(position, STREAM_PAGE_SIZE, request.user_ids)
            position = page.next_position
            for record in page.records:
                if record.position > last_position:
                    position = None
                    break
                yield order_pb2.StreamOrdersResponse(order=order_message(record))
                count += 1
        log.info("order.streamed", order_count=count, user_count=len(request.user_ids))

    async def ImportOrders(
        self, request_iterator: AsyncIterator[order_pb2.ImportOrdersRequest], context: Context
    ) -> order_pb2.ImportOrdersResponse:
        """Fulfil the contract's ImportOrders; each user is asked for once."""
        create = partial(self._create, deadline=Deadline.of(context), existing=set())
        return await import_orders(request_iterator, create)

    async def TrackOrders(
        self, request_iterator: AsyncIterator[order_pb2.TrackOrdersRequest], context: Context
    ) -> AsyncGenerator[order_pb2.TrackOrdersResponse, None]:
        """Fulfil the contract's TrackOrders."""
        async with aclosing(self._tracker.track(request_iterator)) as responses:
            async for response in responses:
                yield response


def _changes(request: order_pb2.UpdateOrderRequest) -> OrderChanges:
    violations = Violations()
    violations.required("order_id", request.order_id)
    if request.HasField("note"):
        violations.note("note", request.note)
    if request.HasField("status") and int(request.status) not in set(OrderStatus):
        allowed = ", ".join(status.name for status in OrderStatus)
        violations.add("status", f"must be one of {allowed}, is {request.status}")
    violations.raise_if_any()
    return OrderChanges(
        status=OrderStatus(request.status) if request.HasField("status") else None,
        note=request.note if request.HasField("note") else None,
    )


def order_service(store: OrderStore, users: grpc.aio.Channel, tracer: Tracer, api: Api = AIO) -> serving.Service:
    """Return OrderService over a store and a channel to UserService, ready to serve."""
    tracker = OrderTracker(tracer, api=api)
    servicer = OrderServicer(store, user_pb2_grpc.UserServiceStub(users), tracker)
    return serving.Service(
        name="order",
        service_names=(order_pb2.DESCRIPTOR.services_by_name["OrderService"].full_name,),
        add_to=partial(order_pb2_grpc.add_OrderServiceServicer_to_server, servicer),
        on_stopping=tracker.stop,
    )


async def _serve(
    options: serving.ServingOptions, telemetry: serving.Telemetry, environ: Mapping[str, str], api: Api
) -> None:
    users = serving.open_channel(telemetry, environ.get("USER_ADDRESS") or DEFAULT_USER_ADDRESS, options, api)
    try:
        async with open_order_store(environ.get(STORE_VARIABLE, ""), telemetry.tracer, api.name) as store:
            await serving.serve(order_service(store, users, telemetry.tracer, api), options, telemetry, api)
    finally:
        await users.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run OrderService until it is told to stop; return the exit code."""
    return serving.run("order", DEFAULT_PORT, _serve, arguments, os.environ)


if __name__ == "__main__":
    sys.exit(main())
