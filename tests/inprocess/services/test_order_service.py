"""OrderService by its stub: single requests, StreamOrders and ImportOrders."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing

import grpc

from generated import order_pb2, user_pb2
from services.stores.ports import OrderDraft
from tests.inprocess.services.shop import TIMEOUT_S, Shop, refused
from tests.polling import eventually_async


async def test_a_created_order_is_pending_and_can_be_read(shop: Shop) -> None:
    user_id = await shop.user()
    order = await shop.order(user_id, 7500, "gift")
    read = await shop.orders.GetOrder(order_pb2.GetOrderRequest(order_id=order.order_id), timeout=TIMEOUT_S)
    assert read.order == order
    assert (order.user_id, order.amount_minor_units, order.status, order.note) == (
        user_id,
        7500,
        order_pb2.ORDER_STATUS_PENDING,
        "gift",
    )


async def test_an_order_of_an_unknown_user_fails_a_precondition(shop: Shop) -> None:
    with refused() as failure:
        await shop.order("u-404")
    assert (failure.seen.code, failure.seen.reason, failure.seen.domain, failure.seen.metadata) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "USER_NOT_FOUND",
        "order.tracelab",
        {"user_id": "u-404"},
    )
    assert [line["reason"] for line in shop.events("order.rejected")] == ["USER_NOT_FOUND"]


async def test_bad_fields_of_an_order_are_named(shop: Shop) -> None:
    request = order_pb2.CreateOrderRequest(amount_minor_units=0, note="x" * (1024 * 1024 + 1))
    with refused() as failure:
        await shop.orders.CreateOrder(request, timeout=TIMEOUT_S)
    assert failure.seen.violations == {
        "user_id": "must not be empty",
        "amount_minor_units": "must be 1 to 1000000000000, is 0",
        "note": "must be at most 1048576 bytes in UTF-8, is 1048577",
    }


async def test_the_one_character_that_no_database_holds_is_refused(shop: Shop) -> None:
    request = order_pb2.CreateOrderRequest(user_id=await shop.user(), amount_minor_units=1, note="a\0b")
    with refused() as failure:
        await shop.orders.CreateOrder(request, timeout=TIMEOUT_S)
    assert failure.seen.violations == {"note": "must not contain U+0000"}


async def test_a_repeated_create_gets_the_first_answer_even_when_its_user_is_gone(shop: Shop) -> None:
    user_id = await shop.user()
    request = order_pb2.CreateOrderRequest(user_id=user_id, amount_minor_units=1, request_id=str(uuid.uuid4()))
    first = await shop.orders.CreateOrder(request, timeout=TIMEOUT_S)
    await shop.users.DeleteUser(user_pb2.DeleteUserRequest(user_id=user_id), timeout=TIMEOUT_S)
    assert await shop.orders.CreateOrder(request, timeout=TIMEOUT_S) == first
    request.amount_minor_units = 2
    with refused() as failure:
        await shop.orders.CreateOrder(request, timeout=TIMEOUT_S)
    assert failure.seen.reason == "REQUEST_ID_REUSED"


async def test_lists_are_filtered_by_user_and_their_tokens_belong_to_the_filter(shop: Shop) -> None:
    alice, bob = await shop.user("Alice"), await shop.user("Bob")
    orders = [await shop.order(user_id) for user_id in (alice, bob, alice, bob, alice)]
    first = await shop.orders.ListOrders(order_pb2.ListOrdersRequest(user_ids=[alice], page_size=2), timeout=TIMEOUT_S)
    assert list(first.orders) == [orders[0], orders[2]]
    request = order_pb2.ListOrdersRequest(user_ids=[alice], page_token=first.next_page_token)
    assert list((await shop.orders.ListOrders(request, timeout=TIMEOUT_S)).orders) == [orders[4]]
    both = await shop.orders.ListOrders(order_pb2.ListOrdersRequest(user_ids=[bob, alice]), timeout=TIMEOUT_S)
    assert list(both.orders) == orders
    with refused() as failure:
        request = order_pb2.ListOrdersRequest(user_ids=[bob], page_token=first.next_page_token)
        await shop.orders.ListOrders(request, timeout=TIMEOUT_S)
    assert list(failure.seen.violations) == ["page_token"]


async def test_an_update_changes_status_or_note_and_refuses_what_is_no_status(shop: Shop) -> None:
    order = await shop.order(await shop.user(), note="as it was")
    request = order_pb2.UpdateOrderRequest(order_id=order.order_id, status=order_pb2.ORDER_STATUS_PAID)
    updated = (await shop.orders.UpdateOrder(request, timeout=TIMEOUT_S)).order
    assert (updated.status, updated.note) == (order_pb2.ORDER_STATUS_PAID, "as it was")
    request.status = order_pb2.ORDER_STATUS_UNSPECIFIED
    with refused() as failure:
        await shop.orders.UpdateOrder(request, timeout=TIMEOUT_S)
    assert failure.seen.violations == {"status": "must be one of PENDING, PAID, SHIPPED, CANCELLED, is 0"}
    with refused() as failure:
        await shop.orders.UpdateOrder(order_pb2.UpdateOrderRequest(order_id="o-404"), timeout=TIMEOUT_S)
    assert (failure.seen.code, failure.seen.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")


async def test_a_stream_holds_every_order_once_in_order_of_creation(shop: Shop) -> None:
    alice, bob = await shop.user("Alice"), await shop.user("Bob")
    created = [await shop.order(alice if number % 3 else bob) for number in range(250)]
    everything = shop.orders.StreamOrders(order_pb2.StreamOrdersRequest(), timeout=TIMEOUT_S)
    assert [response.order async for response in everything] == created
    filtered = shop.orders.StreamOrders(order_pb2.StreamOrdersRequest(user_ids=[bob]), timeout=TIMEOUT_S)
    assert [response.order async for response in filtered] == [each for each in created if each.user_id == bob]


async def test_a_stream_reads_the_store_only_as_fast_as_its_reader(shop: Shop) -> None:
    user_id = await shop.user()
    for _ in range(400):
        await shop.order_store.create(OrderDraft(user_id, 1, note="n" * 100_000))
    pages: list[int] = []
    page_of = shop.order_store.page

    async def counted_page(after_position: int, limit: int, user_ids: tuple[str, ...] = ()) -> object:
        pages.append(after_position)
        return await page_of(after_position, limit, user_ids)

    shop.order_store.page = counted_page  # type: ignore[assignment, method-assign]  # counts the reads
    call = shop.orders.StreamOrders(order_pb2.StreamOrdersRequest(), timeout=TIMEOUT_S)
    try:
        await call.read()
        await asyncio.sleep(0)
        written = await eventually_async(lambda: _settled(pages), until=lambda count: count > 0)
        assert written < 4, "the whole store was read for a reader that took one order"
    finally:
        call.cancel()


async def test_a_stream_ends_however_fast_orders_are_made(shop: Shop) -> None:
    user_id = await shop.user()
    created = [await shop.order(user_id) for _ in range(150)]
    page_of = shop.order_store.page

    async def page_and_two_more(after_position: int, limit: int, user_ids: tuple[str, ...] = ()) -> object:
        for _ in range(2 * limit):
            await shop.order_store.create(OrderDraft(user_id, 1))
        return await page_of(after_position, limit, user_ids)

    shop.order_store.page = page_and_two_more  # type: ignore[assignment, method-assign]  # a busy writer
    stream = shop.orders.StreamOrders(order_pb2.StreamOrdersRequest(), timeout=TIMEOUT_S)
    assert [response.order async for response in stream] == created


async def _settled(pages: list[int]) -> int:
    """Return how many pages were read once that number stands still; 0 while it moves."""
    before = len(pages)
    for _ in range(200):
        await asyncio.sleep(0)
    return before if len(pages) == before else 0


def rows(*items: order_pb2.ImportOrdersRequest) -> AsyncIterator[order_pb2.ImportOrdersRequest]:
    async def iterate() -> AsyncIterator[order_pb2.ImportOrdersRequest]:
        for item in items:
            yield item

    return iterate()


async def test_an_import_has_a_result_for_each_message_and_loses_none_of_the_good(shop: Shop) -> None:
    user_id = await shop.user()
    good = order_pb2.ImportOrdersRequest(user_id=user_id, amount_minor_units=5)
    bad = order_pb2.ImportOrdersRequest(user_id=user_id, amount_minor_units=-5)
    unknown = order_pb2.ImportOrdersRequest(user_id="u-404", amount_minor_units=5)
    response = await shop.orders.ImportOrders(rows(good, bad, unknown, good), timeout=TIMEOUT_S)
    assert (response.created_count, response.rejected_count) == (2, 2)
    assert [result.message_number for result in response.results] == [1, 2, 3, 4]
    assert [result.rejection.reason for result in response.results] == ["", "INVALID_FIELDS", "USER_NOT_FOUND", ""]
    assert response.results[1].rejection.message == "amount_minor_units must be 1 to 1000000000000, is -5"
    stored = await shop.orders.ListOrders(order_pb2.ListOrdersRequest(user_ids=[user_id]), timeout=TIMEOUT_S)
    assert list(stored.orders) == [response.results[0].order, response.results[3].order]


async def test_an_import_asks_for_each_user_once(shop: Shop) -> None:
    user_id = await shop.user()
    good = order_pb2.ImportOrdersRequest(user_id=user_id, amount_minor_units=5)
    await shop.orders.ImportOrders(rows(good, good, good), timeout=TIMEOUT_S)
    assert len(shop.events("user.read")) == 1


async def test_an_import_that_stops_on_the_first_error_reads_no_further(shop: Shop) -> None:
    user_id = await shop.user()
    sent = 0

    async def endless() -> AsyncIterator[order_pb2.ImportOrdersRequest]:
        nonlocal sent
        while True:
            sent += 1
            amount = -1 if sent == 3 else 1
            yield order_pb2.ImportOrdersRequest(
                user_id=user_id, amount_minor_units=amount, stop_on_first_error=sent == 1
            )
            await asyncio.sleep(0)

    async with aclosing(endless()) as requests:  # type: ignore[type-var]  # an async generator, typed by its use
        response = await shop.orders.ImportOrders(requests, timeout=TIMEOUT_S)
    assert [result.WhichOneof("outcome") for result in response.results] == ["order", "order", "rejection"]
    assert (response.created_count, response.rejected_count) == (2, 1)


async def test_an_empty_import_creates_nothing(shop: Shop) -> None:
    assert await shop.orders.ImportOrders(rows(), timeout=TIMEOUT_S) == order_pb2.ImportOrdersResponse()


async def test_a_user_service_that_is_down_costs_its_message_alone(shop: Shop) -> None:
    user_id = await shop.user()
    known = order_pb2.ImportOrdersRequest(user_id=user_id, amount_minor_units=5)
    request_id = str(uuid.uuid4())
    created = await shop.orders.CreateOrder(
        order_pb2.CreateOrderRequest(user_id=user_id, amount_minor_units=7, request_id=request_id), timeout=TIMEOUT_S
    )
    await shop.stop("user")
    repeat = order_pb2.ImportOrdersRequest(user_id=user_id, amount_minor_units=7, request_id=request_id)
    response = await shop.orders.ImportOrders(rows(known, repeat), timeout=TIMEOUT_S)
    assert response.results[0].rejection.reason == "USER_SERVICE_UNAVAILABLE"
    assert response.results[1].order == created.order
