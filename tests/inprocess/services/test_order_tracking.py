"""TrackOrders by its stub: subscriptions, several watchers, a slow one, links to the change, the end of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from generated import order_pb2, order_pb2_grpc
from services.grpc_api.ports import Api
from services.order_service import order_service
from services.order_tracking import DEFAULT_QUEUE_SIZE, PUSH_SPAN_NAME
from services.serving import ServingOptions
from tests.inprocess.services.shop import TIMEOUT_S, Shop, open_shop, refusal_of, refused, served
from tests.polling import eventually_async

PAID = order_pb2.ORDER_STATUS_PAID
SHIPPED = order_pb2.ORDER_STATUS_SHIPPED


class Watch:
    """One open TrackOrders call: sends what is asked, reads one event at a time."""

    def __init__(self, orders: order_pb2_grpc.OrderServiceAsyncStub) -> None:
        self._requests: asyncio.Queue[order_pb2.TrackOrdersRequest | None] = asyncio.Queue()
        self.call = orders.TrackOrders(self._iterate(), timeout=TIMEOUT_S)
        self._responses = self.call.__aiter__()

    async def _iterate(self) -> AsyncIterator[order_pb2.TrackOrdersRequest]:
        while (request := await self._requests.get()) is not None:
            yield request

    def send(self, request: order_pb2.TrackOrdersRequest) -> None:
        self._requests.put_nowait(request)

    def finish(self) -> None:
        self._requests.put_nowait(None)

    async def next(self) -> order_pb2.TrackOrdersResponse:
        return await self._responses.__anext__()

    async def subscribe(self, **selection: Any) -> tuple[int, int]:
        self.send(order_pb2.TrackOrdersRequest(subscribe=order_pb2.OrderSelection(**selection)))
        return await self._acknowledged()

    async def unsubscribe(self, **selection: Any) -> tuple[int, int]:
        self.send(order_pb2.TrackOrdersRequest(unsubscribe=order_pb2.OrderSelection(**selection)))
        return await self._acknowledged()

    async def _acknowledged(self) -> tuple[int, int]:
        acknowledged = (await self.next()).acknowledged
        return acknowledged.order_count, acknowledged.user_count

    async def change(self) -> tuple[str, str, str]:
        """Return the next change as order id, status before, status after."""
        changed = (await self.next()).changed
        name = order_pb2.OrderStatus.Name
        return (
            changed.order.order_id,
            name(changed.previous_status).removeprefix("ORDER_STATUS_"),
            name(changed.order.status).removeprefix("ORDER_STATUS_"),
        )


@asynccontextmanager
async def watching(shop: Shop) -> AsyncIterator[Watch]:
    watch = Watch(shop.orders)
    try:
        yield watch
    finally:
        watch.call.cancel()


async def set_status(shop: Shop, order_id: str, status: order_pb2.OrderStatus.ValueType) -> None:
    request = order_pb2.UpdateOrderRequest(order_id=order_id, status=status)
    await shop.orders.UpdateOrder(request, timeout=TIMEOUT_S)


async def test_a_watcher_hears_of_its_orders_and_users_until_it_unsubscribes(shop: Shop) -> None:
    alice, bob = await shop.user("Alice"), await shop.user("Bob")
    order = await shop.order(bob)
    async with watching(shop) as watch:
        assert await watch.subscribe(order_ids=[order.order_id]) == (1, 0)
        assert await watch.subscribe(user_id=alice) == (1, 1)
        await set_status(shop, order.order_id, PAID)
        assert await watch.change() == (order.order_id, "PENDING", "PAID")
        new = await shop.order(alice)
        assert await watch.change() == (new.order_id, "UNSPECIFIED", "PENDING")
        await shop.order(bob)
        assert await watch.unsubscribe(order_ids=[order.order_id]) == (0, 1)
        await set_status(shop, order.order_id, SHIPPED)
        await set_status(shop, new.order_id, PAID)
        assert await watch.change() == (new.order_id, "PENDING", "PAID")


async def test_an_order_watched_in_two_ways_is_pushed_once(shop: Shop) -> None:
    alice = await shop.user()
    order = await shop.order(alice)
    async with watching(shop) as watch:
        await watch.subscribe(order_ids=[order.order_id], user_id=alice)
        await set_status(shop, order.order_id, PAID)
        await set_status(shop, order.order_id, SHIPPED)
        assert [await watch.change(), await watch.change()] == [
            (order.order_id, "PENDING", "PAID"),
            (order.order_id, "PAID", "SHIPPED"),
        ]


async def test_every_watcher_gets_every_change(shop: Shop) -> None:
    alice = await shop.user()
    async with watching(shop) as one, watching(shop) as two, watching(shop) as three:
        for watch in (one, two, three):
            await watch.subscribe(user_id=alice)
        order = await shop.order(alice)
        for watch in (one, two, three):
            assert await watch.change() == (order.order_id, "UNSPECIFIED", "PENDING")


async def test_the_stream_ends_when_the_client_ends_it_and_all_is_sent(shop: Shop) -> None:
    alice = await shop.user()
    async with watching(shop) as watch:
        await watch.subscribe(user_id=alice)
        order = await shop.order(alice)
        watch.finish()
        assert await watch.change() == (order.order_id, "UNSPECIFIED", "PENDING")
        with pytest.raises(StopAsyncIteration):
            await watch.next()
        assert await watch.call.code() is grpc.StatusCode.OK


async def test_a_watcher_that_goes_away_is_forgotten(shop: Shop) -> None:
    alice = await shop.user()
    async with watching(shop) as watch:
        await watch.subscribe(user_id=alice)
    ended = await eventually_async(lambda: _events(shop, "tracking.ended"))
    assert [line["watcher_count"] for line in ended] == [0]
    await shop.order(alice)
    finished = [line for line in shop.events("rpc.finished") if str(line["rpc_method"]).endswith("TrackOrders")]
    assert [line["status_code"] for line in finished] == ["CANCELLED"]


async def _events(shop: Shop, *names: str) -> list[dict[str, Any]]:
    return shop.events(*names)


@pytest.mark.parametrize(
    ("request_", "violations"),
    [
        (order_pb2.TrackOrdersRequest(), {"action": "must be subscribe or unsubscribe, is not set"}),
        (
            order_pb2.TrackOrdersRequest(subscribe=order_pb2.OrderSelection()),
            {"subscribe": "must name order_ids or a user_id, has neither"},
        ),
        (
            order_pb2.TrackOrdersRequest(unsubscribe=order_pb2.OrderSelection(order_ids=["o-1", ""])),
            {"unsubscribe.order_ids[1]": "must not be empty"},
        ),
    ],
    ids=["no action", "empty selection", "empty order id"],
)
async def test_a_bad_request_ends_the_stream(
    shop: Shop, request_: order_pb2.TrackOrdersRequest, violations: dict[str, str]
) -> None:
    async with watching(shop) as watch:
        watch.send(request_)
        with refused() as failure:
            await watch.next()
        assert failure.seen.violations == violations


async def test_a_slow_watcher_loses_the_oldest_changes_and_is_told_how_many(shop: Shop) -> None:
    alice = await shop.user()
    order = await shop.order(alice, note="n" * 500_000)
    update_count = DEFAULT_QUEUE_SIZE + 80
    async with watching(shop) as slow, watching(shop) as quick:
        await slow.subscribe(user_id=alice)
        await quick.subscribe(user_id=alice)
        for number in range(update_count):
            await set_status(shop, order.order_id, PAID if number % 2 else SHIPPED)
            assert (await quick.next()).changed.missed_count == 0
        received, missed = 0, 0
        while received + missed < update_count:
            missed += (await slow.next()).changed.missed_count
            received += 1
        assert missed > 0
        assert received + missed == update_count
        assert received >= DEFAULT_QUEUE_SIZE


async def test_a_push_is_a_child_of_its_stream_and_links_to_the_change(shop: Shop) -> None:
    alice = await shop.user()
    async with watching(shop) as watch:
        await watch.subscribe(user_id=alice)
        await shop.order(alice)
        await watch.change()
        watch.finish()
        with pytest.raises(StopAsyncIteration):
            await watch.next()

    async def server_span(name: str) -> ReadableSpan | None:
        found = [s for s in shop.telemetry.spans() if s.kind is SpanKind.SERVER and s.name.endswith(name)]
        return found[0] if found else None

    stream = await eventually_async(lambda: server_span("TrackOrders"))
    create = await eventually_async(lambda: server_span("CreateOrder"))
    (push,) = [span for span in shop.telemetry.spans() if span.name == PUSH_SPAN_NAME]
    assert stream is not None
    assert create is not None
    assert push.kind is SpanKind.INTERNAL
    assert push.parent is not None
    assert (push.parent.span_id, push.context.trace_id) == (stream.context.span_id, stream.context.trace_id)
    (link,) = push.links
    assert link.context == create.context
    assert link.context.trace_id != push.context.trace_id
    (line,) = shop.events("order.pushed")
    assert line["span_id"] == trace.format_span_id(push.context.span_id)


async def test_a_stopping_server_ends_its_streams_at_once(shop: Shop) -> None:
    service = order_service(shop.order_store, shop.channels["user"], shop.telemetry.tracer, shop.api)
    async with served(service, ServingOptions(grace_s=60.0), shop.telemetry, shop.api) as server:
        channel = grpc.aio.insecure_channel(server.address)
        watch = Watch(order_pb2_grpc.OrderServiceStub(channel))
        await watch.subscribe(user_id="u-1")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch.next()
    await channel.close()
    assert refusal_of(caught.value).reason == "SERVER_STOPPING"


@pytest.mark.parametrize("instrumentation", ["stock", "off"])
async def test_tracking_also_works_without_our_tracing(api: Api, instrumentation: Any) -> None:
    async with open_shop(instrumentation=instrumentation, api=api) as shop:
        alice = await shop.user()
        async with watching(shop) as watch:
            await watch.subscribe(user_id=alice)
            order = await shop.order(alice)
            assert await watch.change() == (order.order_id, "UNSPECIFIED", "PENDING")
        ended = await eventually_async(lambda: _events(shop, "tracking.ended"))
        assert [line["watcher_count"] for line in ended] == [0]
