"""Faults by request, as a caller sees them, and what the witness writes down about the same calls."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry import baggage
from opentelemetry.context import attach, detach

from generated import order_pb2, report_pb2, user_pb2
from otel.instrument.settings import Instrumentation
from services.grpc_api.ports import Api
from services.serving import ServingOptions
from tests.inprocess.services.shop import TIMEOUT_S, Shop, open_shop, refusal_of, refused
from tests.polling import eventually_async

ALLOWING = ServingOptions(grace_s=0.0, allow_faults=True)


NEEDS_ACTION = "UserService/GetUser: needs an action, one of delay=80ms, status=UNAVAILABLE, abort_after=3"
NO_SETTING = "UserService/GetUser: 'explode' is not one of delay, status, abort_after, times, when"


@pytest.fixture
async def faulty(api: Api, tmp_path: Path) -> AsyncIterator[Shop]:
    async with open_shop(ALLOWING, witness_folder=tmp_path, api=api) as opened:
        yield opened


def witnessed(shop: Shop, service: str, method: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in shop.witness_files[service].read_text().splitlines()]
    return [line for line in lines if line["method"].endswith(f"/{method}")]


class faults:  # noqa: N801 - reads as a word in `with faults(...)`
    """Puts faults into the baggage of the calls in the block, which tracing sends along."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __enter__(self) -> None:
        self._token = attach(baggage.set_baggage("fault", self._text))

    def __exit__(self, *_: object) -> None:
        detach(self._token)


async def get_user(shop: Shop, user_id: str) -> user_pb2.GetUserResponse:
    return await shop.users.GetUser(user_pb2.GetUserRequest(user_id=user_id), timeout=TIMEOUT_S)


async def test_a_status_fault_ends_the_call_before_its_handler(faulty: Shop) -> None:
    user_id = await faulty.user()
    with faults("UserService/GetUser:status=PERMISSION_DENIED"), refused() as failure:
        await get_user(faulty, user_id)
    assert (failure.seen.code, failure.seen.reason, failure.seen.message, failure.seen.metadata) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "FAULT_INJECTED",
        "fault injected into UserService/GetUser",
        {"method": "UserService/GetUser"},
    )
    assert faulty.events("user.read") == []
    (line,) = faulty.events("fault.injected")
    assert (line["rpc_method"], line["injected_status_code"]) == ("UserService/GetUser", "PERMISSION_DENIED")


async def test_a_delay_holds_the_call_for_at_least_its_time(faulty: Shop) -> None:
    user_id = await faulty.user()
    start_s = time.monotonic()
    with faults("UserService/GetUser:delay=80ms"):
        await get_user(faulty, user_id)
    assert time.monotonic() - start_s >= 0.08
    with faults("UserService/ListUsers:delay=60s"):
        await get_user(faulty, user_id)


async def test_a_limited_fault_is_outlived_by_retries_and_the_witness_saw_each_attempt(faulty: Shop) -> None:
    user_id = await faulty.user()
    with faults("UserService/GetUser:status=UNAVAILABLE:times=2"):
        assert (await get_user(faulty, user_id)).user.user_id == user_id
    lines = witnessed(faulty, "user", "GetUser")
    entered = [line for line in lines if line["event"] == "entered"]
    assert [line["grpc-previous-rpc-attempts"] for line in entered] == [None, "1", "2"]
    assert len({line["traceparent"] for line in entered}) == 1
    assert [line["error"] for line in lines if line["event"] == "caught"] == ["InjectedFaultError"] * 2
    assert len([line for line in lines if line["event"] == "returned"]) == 1


async def test_three_attempts_are_all_and_another_trace_counts_anew(faulty: Shop) -> None:
    user_id = await faulty.user()
    with faults("UserService/GetUser:status=UNAVAILABLE:times=3"):
        for _ in range(2):
            with refused() as failure:
                await get_user(faulty, user_id)
            assert failure.seen.code is grpc.StatusCode.UNAVAILABLE
    assert len([line for line in witnessed(faulty, "user", "GetUser") if line["event"] == "entered"]) == 6


async def test_a_lost_answer_of_a_create_is_repeated_without_a_second_user(faulty: Shop) -> None:
    request = user_pb2.CreateUserRequest(name="Alice", email="a@b", request_id="0b9a6d0e-5a8c-4a57-9d1c-0d8f0f7a2b11")
    with faults("UserService/CreateUser:abort_after=1:times=1"):
        created = await faulty.users.CreateUser(request, timeout=TIMEOUT_S)
    listed = await faulty.users.ListUsers(user_pb2.ListUsersRequest(), timeout=TIMEOUT_S)
    assert list(listed.users) == [created.user]
    assert [line["is_repeat"] for line in faulty.events("user.created")] == [False, True]


async def test_a_condition_chooses_the_request(faulty: Shop) -> None:
    alice, bob = await faulty.user("Alice"), await faulty.user("Bob")
    with faults(f"OrderService/ListOrders:status=ABORTED:when=user_ids={bob}"):
        await faulty.orders.ListOrders(order_pb2.ListOrdersRequest(user_ids=[alice]), timeout=TIMEOUT_S)
        with refused() as failure:
            await faulty.orders.ListOrders(order_pb2.ListOrdersRequest(user_ids=[alice, bob]), timeout=TIMEOUT_S)
    assert failure.seen.code is grpc.StatusCode.ABORTED


async def test_a_stream_is_aborted_after_its_messages(faulty: Shop) -> None:
    alice = await faulty.user()
    orders = [await faulty.order(alice) for _ in range(5)]
    received = []
    with faults("OrderService/StreamOrders:abort_after=3:status=DATA_LOSS"), refused() as failure:
        async for response in faulty.orders.StreamOrders(order_pb2.StreamOrdersRequest(), timeout=TIMEOUT_S):
            received.append(response.order)  # noqa: PERF401 - what came before the failure counts
    assert received == orders[:3]
    assert failure.seen.code is grpc.StatusCode.DATA_LOSS
    lines = witnessed(faulty, "order", "StreamOrders")
    assert [(line["event"], line["message_number"], line["error"]) for line in lines] == [
        ("entered", None, None),
        ("got", 1, None),
        ("sent", 1, None),
        ("sent", 2, None),
        ("sent", 3, None),
        ("caught", None, "InjectedFaultError"),
    ]
    assert len({line["rpc_id"] for line in lines}) == 1


async def test_an_import_is_aborted_after_its_messages(faulty: Shop) -> None:
    alice = await faulty.user()

    async def rows() -> AsyncIterator[order_pb2.ImportOrdersRequest]:
        for _ in range(5):
            yield order_pb2.ImportOrdersRequest(user_id=alice, amount_minor_units=1)

    with faults("OrderService/ImportOrders:abort_after=2"), pytest.raises(grpc.aio.AioRpcError) as caught:
        await faulty.orders.ImportOrders(rows(), timeout=TIMEOUT_S)
    assert refusal_of(caught.value).code is grpc.StatusCode.UNAVAILABLE
    assert len(faulty.events("order.created")) == 2


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("UserService/GetUsr:delay=1ms", "'UserService/GetUsr' is no method; did you mean UserService/GetUser"),
        (
            "UserService/GetUser",
            NEEDS_ACTION,
        ),
        (
            "UserService/GetUser:explode=1",
            NO_SETTING,
        ),
    ],
    ids=["method", "no action", "action"],
)
async def test_an_unknown_fault_is_refused(faulty: Shop, text: str, description: str) -> None:
    with faults(text), refused() as failure:
        await get_user(faulty, "u-1")
    assert failure.seen.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.seen.violations == {"baggage.fault": description}


async def test_a_service_started_without_faults_ignores_them(shop: Shop) -> None:
    user_id = await shop.user()
    with faults("UserService/GetUser:status=UNAVAILABLE"):
        await get_user(shop, user_id)


@pytest.mark.parametrize("instrumentation", ["corrected", "stock", "off"])
async def test_faults_reach_the_services_behind_with_every_instrumentation(
    api: Api, instrumentation: Instrumentation
) -> None:
    async with open_shop(ALLOWING, instrumentation=instrumentation, api=api) as shop:
        alice = await shop.user()
        metadata = (("baggage", "fault=OrderService/ListOrders:status=DATA_LOSS"),)
        request = report_pb2.GetUserReportRequest(user_id=alice)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await shop.reports.GetUserReport(request, timeout=TIMEOUT_S, metadata=metadata)
        assert refusal_of(caught.value).reason == "ORDER_SERVICE_DATA_LOSS"


async def test_the_witness_tells_a_whole_unary_call(faulty: Shop) -> None:
    user_id = await faulty.user()
    await get_user(faulty, user_id)
    lines = witnessed(faulty, "user", "GetUser")
    assert [(line["event"], line["message_number"], line["error"]) for line in lines] == [
        ("entered", None, None),
        ("got", 1, None),
        ("sent", 1, None),
        ("returned", None, None),
    ]
    assert lines[0]["peer"].startswith("ipv4:127.0.0.1:")
    times = [line["time_monotonic_ns"] for line in lines]
    assert times == sorted(times)
    assert all(abs(line["time_unix_nano"] - time.time_ns()) < 60e9 for line in lines)


async def test_the_witness_names_what_a_handler_raised_not_what_became_of_it(faulty: Shop) -> None:
    with refused():
        await get_user(faulty, "u-404")
    assert witnessed(faulty, "user", "GetUser")[-1]["error"] == "NotFoundError"


async def test_the_witness_sees_a_client_that_goes_away(faulty: Shop) -> None:
    """It waits in a delay: a servicer that reads its requests may see an ordinary end of them instead of a cancel."""
    user_id = await faulty.user()
    with faults("UserService/GetUser:delay=30s"):
        call = faulty.users.GetUser(user_pb2.GetUserRequest(user_id=user_id), timeout=TIMEOUT_S)
        await eventually_async(lambda: seen(faulty, "entered"))
        call.cancel()
    await eventually_async(lambda: seen(faulty, "caught"))
    lines = witnessed(faulty, "user", "GetUser")
    assert [(line["event"], line["error"]) for line in lines] == [
        ("entered", None),
        ("got", None),
        ("caught", "CancelledError"),
    ]


async def seen(shop: Shop, event: str) -> bool:
    return any(line["event"] == event for line in witnessed(shop, "user", "GetUser"))
