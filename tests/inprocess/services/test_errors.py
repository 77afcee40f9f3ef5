"""How calls end: domain errors, surprises and cancels, for all four kinds of RPC, on the wire and in the log."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from generated import order_pb2, order_pb2_grpc
from otel.instrument.settings import Instrumentation
from services.behaviors import Context
from services.errors import NotFoundError
from services.grpc_api.ports import Api
from services.serving import ServingOptions
from tests.inprocess.services.acting import KINDS, Act, acting_service, call
from tests.inprocess.services.shop import TIMEOUT_S, Shop, open_shop, refusal_of, served
from tests.polling import eventually_async


async def ending(shop: Shop, act: Act, kind: str, timeout_s: float = TIMEOUT_S) -> grpc.aio.AioRpcError:
    """Serve `act` in this shop and return how a call of the kind failed."""
    async with served(acting_service(act), ServingOptions(grace_s=0.0), shop.telemetry, shop.api) as server:
        channel = shop.telemetry.insecure_channel(server.address)
        try:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(order_pb2_grpc.OrderServiceStub(channel), kind, timeout_s)
            await eventually_async(lambda: finished(shop, kind))
        finally:
            await channel.close()
    return caught.value


async def finished(shop: Shop, kind: str) -> list[dict[str, Any]]:
    return [line for line in shop.events("rpc.finished") if str(line["rpc_method"]).endswith(kind)]


async def raise_domain_error(_context: Context) -> None:
    raise NotFoundError("ORDER_NOT_FOUND", "order 'o-1' does not exist", {"order_id": "o-1"})


async def raise_surprise(_context: Context) -> None:
    raise ValueError("secret of Zebedee")


async def abort(context: Context) -> None:
    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")


def never_return(shop: Shop) -> Act:
    async def wait(_context: Context) -> None:
        await shop.api.event().wait()

    return wait


@pytest.mark.parametrize("kind", KINDS)
async def test_a_domain_error_becomes_its_status(shop: Shop, kind: str) -> None:
    refusal = refusal_of(await ending(shop, raise_domain_error, kind))
    assert (refusal.code, refusal.message, refusal.reason, refusal.domain, refusal.metadata) == (
        grpc.StatusCode.NOT_FOUND,
        "order 'o-1' does not exist",
        "ORDER_NOT_FOUND",
        "order.tracelab",
        {"order_id": "o-1"},
    )
    (line,) = await finished(shop, kind)
    assert (line["level"], line["status_code"], line["reason"]) == ("info", "NOT_FOUND", "ORDER_NOT_FOUND")
    assert isinstance(line["duration_ms"], float)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_surprise_leaks_nothing_and_is_logged_once_with_its_stack(shop: Shop, kind: str) -> None:
    error = await ending(shop, raise_surprise, kind)
    refusal = refusal_of(error)
    (line,) = shop.events("rpc.server.call.exception")
    assert refusal.code is grpc.StatusCode.INTERNAL
    assert refusal.message == f"internal error; trace {line['trace_id']} has the details"
    assert (refusal.reason, refusal.metadata) == ("INTERNAL", {"trace_id": line["trace_id"]})
    assert (line["level"], line["exception.type"], line["exception.message"]) == (
        "error",
        "ValueError",
        "secret of Zebedee",
    )
    assert "raise_surprise" in str(line["exception.stacktrace"])
    assert len([each for each in shop.telemetry.lines() if "Zebedee" in json.dumps(each)]) == 1
    (ended,) = await finished(shop, kind)
    assert (ended["status_code"], ended["span_id"]) == ("INTERNAL", line["span_id"])


@pytest.mark.parametrize("kind", KINDS)
async def test_an_abort_passes_untouched(shop: Shop, kind: str) -> None:
    error = await ending(shop, abort, kind)
    assert (error.code(), error.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")
    (line,) = await finished(shop, kind)
    assert line["status_code"] == "RESOURCE_EXHAUSTED"
    assert shop.events("rpc.server.call.exception") == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_deadline_is_no_error_line(shop: Shop, kind: str) -> None:
    error = await ending(shop, never_return(shop), kind, timeout_s=0.2)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    (line,) = await finished(shop, kind)
    assert (line["level"], line["status_code"]) == ("info", "DEADLINE_EXCEEDED")
    assert [each for each in shop.telemetry.lines() if each["level"] in {"error", "critical"}] == []


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_servicer_refuses_once_its_call_is_over_is_not_how_the_call_ended(shop: Shop, kind: str) -> None:
    async def refuse_too_late(context: Context) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await shop.api.event().wait()
        await raise_domain_error(context)

    error = await ending(shop, refuse_too_late, kind, timeout_s=0.2)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    (line,) = await finished(shop, kind)
    assert (line["status_code"], "reason" in line) == ("DEADLINE_EXCEEDED", False)
    assert [each for each in shop.telemetry.lines() if each["level"] in {"error", "critical"}] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("instrumentation", ["stock", "off"])
async def test_errors_are_mapped_without_our_tracing_too(api: Api, kind: str, instrumentation: Instrumentation) -> None:
    async with open_shop(instrumentation=instrumentation, api=api) as shop:
        refusal = refusal_of(await ending(shop, raise_domain_error, kind))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")


async def test_without_a_trace_the_answer_points_to_the_log(api: Api) -> None:
    async with open_shop(instrumentation="off", api=api) as shop:
        refusal = refusal_of(await ending(shop, raise_surprise, "GetOrder"))
        assert refusal.message == "internal error; the service's log has the details"
        assert len(shop.events("rpc.server.call.exception")) == 1


async def test_a_client_that_cancels_is_finished_as_cancelled(shop: Shop) -> None:
    service = acting_service(never_return(shop))
    async with served(service, ServingOptions(grace_s=0.0), shop.telemetry, shop.api) as server:
        channel = shop.telemetry.insecure_channel(server.address)
        stream = order_pb2_grpc.OrderServiceStub(channel).StreamOrders(
            order_pb2.StreamOrdersRequest(), timeout=TIMEOUT_S
        )
        await stream.read()
        stream.cancel()
        (line,) = await eventually_async(lambda: finished(shop, "StreamOrders"))
        await channel.close()
    assert line["status_code"] == "CANCELLED"


async def test_health_and_reflection_write_no_lines(shop: Shop) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    stub = health_pb2_grpc.HealthStub(shop.channels["user"])
    await stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
    assert shop.events("rpc.finished") == []


@pytest.mark.parametrize("kind", ["GetOrder", "TrackOrders"])
async def test_a_request_that_can_t_be_read_is_refused_without_its_parser_s_words(shop: Shop, kind: str) -> None:
    channel: Any = shop.channels["order"]  # called with bytes, past every stub
    path = f"/tracelab.order.v1.OrderService/{kind}"

    async def garbage() -> AsyncIterator[bytes]:
        yield b"\xff\xff"

    async def send() -> None:
        if kind == "GetOrder":
            await channel.unary_unary(path)(b"\xff\xff", timeout=TIMEOUT_S)
        else:
            await channel.stream_stream(path)(garbage(), timeout=TIMEOUT_S).read()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send()
    refusal = refusal_of(caught.value)
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")
    assert "DecodeError" not in refusal.message
