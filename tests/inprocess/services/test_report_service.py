"""ReportService by its stub: the report, the ranking, and that every strategy finds the same answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from contextlib import aclosing

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from generated import report_pb2
from services.deadlines import DEFAULT_TIMEOUT_S, Deadline
from services.report_strategies import Backends
from services.stores.ports import OrderDraft, UserDraft
from tests.inprocess.services.shop import TIMEOUT_S, Shop, open_shop, refused
from tests.polling import eventually_async

STRATEGIES = (
    report_pb2.TOP_USERS_STRATEGY_UNSPECIFIED,
    report_pb2.TOP_USERS_STRATEGY_SEQUENTIAL,
    report_pb2.TOP_USERS_STRATEGY_CONCURRENT,
    report_pb2.TOP_USERS_STRATEGY_BATCH,
    report_pb2.TOP_USERS_STRATEGY_STREAMING,
)

# gRPC sends a timeout with two or three digits, rounded up.
ROUNDING_S = 0.5


async def top(shop: Shop, strategy: int, **fields: object) -> list[tuple[str, int, int]]:
    request = report_pb2.TopUsersRequest(strategy=strategy, **fields)  # type: ignore[arg-type]  # test's shorthand
    response = await shop.reports.TopUsers(request, timeout=TIMEOUT_S)
    return [(each.user_name, each.order_count, each.total_minor_units) for each in response.users]


def calls(shop: Shop) -> Counter[str]:
    """Count finished calls of the services behind by short method name."""
    return Counter(str(line["rpc_method"]).rpartition(".")[2] for line in shop.events("rpc.finished"))


async def test_a_report_adds_up_one_user_s_orders(shop: Shop) -> None:
    alice, bob = await shop.user("Alice"), await shop.user("Bob")
    for user_id, amount in ((alice, 4000), (alice, 3500), (bob, 8000)):
        await shop.order(user_id, amount)
    response = await shop.reports.GetUserReport(report_pb2.GetUserReportRequest(user_id=alice), timeout=TIMEOUT_S)
    assert response.report == report_pb2.UserReport(
        user_id=alice, user_name="Alice", order_count=2, total_minor_units=7500
    )


async def test_a_report_reads_every_page_of_orders(shop: Shop) -> None:
    alice = await shop.user("Alice")
    for _ in range(1_001):
        await shop.order_store.create(OrderDraft(alice, 1))
    response = await shop.reports.GetUserReport(report_pb2.GetUserReportRequest(user_id=alice), timeout=TIMEOUT_S)
    assert response.report.order_count == 1_001
    assert calls(shop)["OrderService/ListOrders"] == 2


async def test_a_refusal_of_the_service_behind_is_passed_on_in_this_domain(shop: Shop) -> None:
    with refused() as failure:
        await shop.reports.GetUserReport(report_pb2.GetUserReportRequest(user_id="u-404"), timeout=TIMEOUT_S)
    assert (failure.seen.code, failure.seen.reason, failure.seen.domain, failure.seen.metadata) == (
        grpc.StatusCode.NOT_FOUND,
        "USER_NOT_FOUND",
        "report.tracelab",
        {"user_id": "u-404"},
    )


@pytest.mark.parametrize("strategy", STRATEGIES[1:], ids=["sequential", "concurrent", "batch", "streaming"])
async def test_a_failing_service_behind_fails_every_strategy_by_its_code(
    shop: Shop, strategy: report_pb2.TopUsersStrategy.ValueType
) -> None:
    await asyncio.gather(*(shop.user(f"user{number}") for number in range(12)))
    await shop.stop("order")
    with refused() as failure:
        await shop.reports.TopUsers(report_pb2.TopUsersRequest(strategy=strategy), timeout=TIMEOUT_S)
    assert (failure.seen.code, failure.seen.reason, failure.seen.message) == (
        grpc.StatusCode.UNAVAILABLE,
        "ORDER_SERVICE_UNAVAILABLE",
        "OrderService failed with UNAVAILABLE",
    )


async def test_each_strategy_makes_the_calls_that_give_it_its_name(shop: Shop) -> None:
    users = [await shop.user(f"user{number}") for number in range(5)]
    for user_id in users:
        await shop.order(user_id)
    wanted = {
        report_pb2.TOP_USERS_STRATEGY_SEQUENTIAL: {"UserService/BatchGetUsers": 1, "OrderService/ListOrders": 5},
        report_pb2.TOP_USERS_STRATEGY_CONCURRENT: {"UserService/BatchGetUsers": 1, "OrderService/ListOrders": 5},
        report_pb2.TOP_USERS_STRATEGY_BATCH: {"UserService/BatchGetUsers": 1, "OrderService/ListOrders": 1},
        report_pb2.TOP_USERS_STRATEGY_STREAMING: {"UserService/BatchGetUsers": 1, "OrderService/StreamOrders": 1},
    }
    for strategy, expected in wanted.items():
        before = calls(shop)
        await top(shop, strategy, user_ids=users)
        assert dict(calls(shop) - before) == {**expected, "ReportService/TopUsers": 1}


async def test_concurrent_never_has_more_than_eight_calls_at_once(shop: Shop) -> None:
    for number in range(30):
        await shop.user(f"user{number}")
    running, most = 0, 0
    lock = threading.Lock()
    page_of = shop.order_store.page

    async def slow_page(*arguments: object) -> object:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        await shop.api.sleep(0.01)
        with lock:
            running -= 1
        return await page_of(*arguments)  # type: ignore[arg-type]  # passes on whatever it got

    shop.order_store.page = slow_page  # type: ignore[assignment, method-assign]  # counts the calls at once
    assert len(await top(shop, report_pb2.TOP_USERS_STRATEGY_CONCURRENT, limit=100)) == 30
    assert 1 < most <= 8


async def test_a_ranking_names_the_limit_and_refuses_bad_input(shop: Shop) -> None:
    for number in range(12):
        await shop.user(f"user{number:02}")
    assert len(await top(shop, 0)) == 10
    assert [name for name, _, _ in await top(shop, 0, limit=2)] == ["user00", "user01"]
    with refused() as failure:
        await top(shop, 9, limit=-1)
    assert failure.seen.violations == {
        "limit": "must not be negative, is -1",
        "strategy": "must be 0 to 4, is 9",
    }
    with refused() as failure:
        await top(shop, 0, user_ids=["u-404"])
    assert failure.seen.reason == "USER_NOT_FOUND"


orders_of_users = st.lists(st.lists(st.integers(1, 3), max_size=4), max_size=6)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(
    orders=orders_of_users,
    deleted=st.sets(st.integers(0, 5)),
    asked=st.none() | st.lists(st.integers(0, 5), min_size=1, max_size=8),
    limit=st.integers(0, 4),
)
def test_every_strategy_gives_the_same_answer(
    orders: list[list[int]], deleted: set[int], asked: list[int] | None, limit: int
) -> None:
    asyncio.run(_strategies_agree(orders, deleted, asked, limit))


async def _strategies_agree(orders: list[list[int]], deleted: set[int], asked: list[int] | None, limit: int) -> None:
    async with open_shop() as shop:
        ids = []
        for number, amounts in enumerate(orders):
            created = await shop.user_store.create(UserDraft(f"name{number % 2}", "a@b"))
            ids.append(created.record.user_id)
            for amount in amounts:
                await shop.order_store.create(OrderDraft(ids[-1], amount))
        for number in deleted & set(range(len(ids))):
            await shop.user_store.delete(ids[number])
        alive = [user_id for number, user_id in enumerate(ids) if number not in deleted]
        user_ids = [] if asked is None else [alive[each % len(alive)] for each in asked if alive]
        answers = []
        for strategy in STRATEGIES:
            request = report_pb2.TopUsersRequest(strategy=strategy, user_ids=user_ids, limit=limit)
            answers.append(await shop.reports.TopUsers(request, timeout=TIMEOUT_S))
        assert all(answer == answers[0] for answer in answers)
        expected = sorted(
            (
                (-len(orders[number]), -sum(orders[number]), f"name{number % 2}", ids[number])
                for number in range(len(ids))
                if ids[number] in (set(user_ids) or set(alive))
            ),
        )[: limit or 10]
        assert [
            (-each.order_count, -each.total_minor_units, each.user_name, each.user_id) for each in answers[0].users
        ] == expected


async def test_what_is_left_of_a_deadline_is_passed_on_and_never_more(shop: Shop) -> None:
    alice = await shop.user("Alice")
    await shop.reports.GetUserReport(report_pb2.GetUserReportRequest(user_id=alice), timeout=9.0)
    left_s = await time_left(shop)
    assert left_s["GetUserReport"] <= 9.0 + ROUNDING_S
    assert 0 < left_s["GetUser"] <= left_s["GetUserReport"] + ROUNDING_S
    assert 0 < left_s["ListOrders"] <= left_s["GetUser"] + ROUNDING_S


async def test_a_caller_without_a_deadline_still_gives_the_services_behind_one(shop: Shop) -> None:
    alice = await shop.user("Alice")
    await shop.reports.GetUserReport(report_pb2.GetUserReportRequest(user_id=alice))
    left_s = await time_left(shop)
    assert sorted(left_s) == ["GetUser", "ListOrders"]
    assert all(0 < each <= DEFAULT_TIMEOUT_S + ROUNDING_S for each in left_s.values())


async def time_left(shop: Shop) -> dict[str, float]:
    """Return what each server span of one report had left, once all three have ended."""

    async def server_spans() -> list[ReadableSpan]:
        names = ("GetUserReport", "GetUser", "ListOrders")
        return [
            span
            for span in shop.telemetry.spans()
            if span.kind is SpanKind.SERVER and span.name.rpartition("/")[2] in names
        ]

    spans = await eventually_async(server_spans, until=lambda found: len(found) == 3)
    key = "tracelab.rpc.time_remaining_s"
    return {
        span.name.rpartition("/")[2]: float(str(span.attributes[key]))
        for span in spans
        if span.attributes and key in span.attributes
    }


async def test_a_stream_that_is_read_no_further_is_cancelled_not_abandoned(shop: Shop) -> None:
    alice = await shop.user("Alice")
    for _ in range(400):
        await shop.order_store.create(OrderDraft(alice, 1, note="n" * 100_000))
    backends = Backends(shop.users, shop.orders, deadline=Deadline(time.monotonic() + TIMEOUT_S))
    async with aclosing(backends.streamed_orders([])) as orders:
        assert (await anext(orders)).user_id == alice
    finished = await eventually_async(lambda: _codes_of(shop, "OrderService/StreamOrders"))
    assert finished == ["CANCELLED"]


async def test_a_deadline_that_passes_ends_the_call_and_those_behind(shop: Shop) -> None:
    alice = await shop.user("Alice")
    never = shop.api.event()

    async def stuck(*_arguments: object) -> object:
        await never.wait()
        return None

    shop.order_store.page = stuck  # type: ignore[assignment, method-assign]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await shop.reports.GetUserReport(report_pb2.GetUserReportRequest(user_id=alice), timeout=0.3)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    finished = await eventually_async(lambda: _codes_of(shop, "OrderService/ListOrders"))
    assert finished == ["DEADLINE_EXCEEDED"]


async def test_once_a_caller_has_left_no_further_call_is_made_for_it(shop: Shop) -> None:
    for number in range(5):
        await shop.user(f"user{number}")
    page_of, asked, released = shop.order_store.page, threading.Event(), shop.api.event()

    async def slow_page(*arguments: object) -> object:
        asked.set()
        await released.wait()
        return await page_of(*arguments)  # type: ignore[arg-type]  # passes on whatever it got

    shop.order_store.page = slow_page  # type: ignore[assignment, method-assign]  # holds the first call
    request = report_pb2.TopUsersRequest(strategy=report_pb2.TOP_USERS_STRATEGY_SEQUENTIAL)
    ranking = shop.reports.TopUsers(request, timeout=TIMEOUT_S)
    await asyncio.to_thread(asked.wait, TIMEOUT_S)
    ranking.cancel()
    with refused():  # on the same connection: once it is answered, the cancel has arrived
        await shop.reports.GetUserReport(report_pb2.GetUserReportRequest(), timeout=TIMEOUT_S)
    released.set()
    assert await eventually_async(lambda: _codes_of(shop, "ReportService/TopUsers")) == ["CANCELLED"]
    assert len(await eventually_async(lambda: _codes_of(shop, "OrderService/ListOrders"))) == 1


async def _codes_of(shop: Shop, method: str) -> list[str]:
    return [line["status_code"] for line in shop.events("rpc.finished") if str(line["rpc_method"]).endswith(method)]
