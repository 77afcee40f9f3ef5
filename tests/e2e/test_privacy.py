"""Nothing private leaks: what users say of themselves is in no span, no metric, no log record and no log line."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from generated import order_pb2 as orders
from generated import report_pb2 as reports
from generated import user_pb2 as users
from generated.order_pb2_grpc import OrderServiceStub
from generated.report_pb2_grpc import ReportServiceStub
from generated.user_pb2_grpc import UserServiceStub
from tracelab.stack import Stack, StackOptions

NAME, EMAIL, NOTE = "Zebulon Quuxley", "zq7713@secret.example", "leave it behind the blue gate"
BAGGAGE = "session.id=s-4711,user.email=zq7713%40secret.example"
TIMEOUT_S = 10.0


class Sink(grpc.GenericRpcHandler):
    """Takes every OTLP export as it came, so that whatever was sent can be searched."""

    def __init__(self) -> None:
        self.exports: dict[str, list[bytes]] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method or ""

        async def accept(request: bytes, context: Any) -> bytes:
            self.exports.setdefault(str(method), []).append(request)
            return b""

        return grpc.unary_unary_rpc_method_handler(accept)


@pytest.fixture
async def sink() -> AsyncIterator[tuple[Sink, str]]:
    taken = Sink()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([taken])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield taken, f"http://127.0.0.1:{port}"
    await server.stop(None)


async def test_names_emails_and_notes_are_in_no_telemetry(sink: tuple[Sink, str], tmp_path: Path) -> None:
    taken, endpoint = sink
    options = StackOptions(
        home=tmp_path, ports="auto", only=("user", "order", "report"), otlp_endpoint=endpoint, allow_faults=True
    )
    environ = {**os.environ, "LAB_LOGS_AS_SPAN_EVENTS": "true", "LAB_MESSAGE_EVENTS": "5"}
    stack = await asyncio.to_thread(Stack.start, options, environ)
    try:
        await live_through_everything(stack)
    finally:
        await asyncio.to_thread(stack.stop)

    signals = {method.split("/")[1].rsplit(".", 1)[1] for method in taken.exports}
    assert signals == {"TraceService", "LogsService", "MetricsService"}
    said = b"\n".join(export for exports in taken.exports.values() for export in exports)
    written = b"\n".join(path.read_bytes() for path in sorted((tmp_path / "logs").iterdir()))
    assert b"s-4711" in said, "allow-listed baggage is there, so the search would have found the rest"
    assert b"user.created" in written
    for private in (NAME, "Zebulon", EMAIL, "zq7713", NOTE, "blue gate"):
        assert private.encode() not in said, f"{private!r} was exported"
        assert private.encode() not in written, f"{private!r} was written to a log file"


async def live_through_everything(stack: Stack) -> None:
    metadata = (("baggage", BAGGAGE),)
    async with (
        grpc.aio.insecure_channel(stack.address("user")) as user_channel,
        grpc.aio.insecure_channel(stack.address("order")) as order_channel,
        grpc.aio.insecure_channel(stack.address("report")) as report_channel,
    ):
        user, order, report = (
            UserServiceStub(user_channel),
            OrderServiceStub(order_channel),
            ReportServiceStub(report_channel),
        )
        made = await user.CreateUser(
            users.CreateUserRequest(name=NAME, email=EMAIL), timeout=TIMEOUT_S, metadata=metadata
        )
        user_id = made.user.user_id
        for refused in (
            users.CreateUserRequest(name=NAME * 20, email=EMAIL),
            users.CreateUserRequest(name=NAME, email=NAME),
        ):
            with suppress(grpc.aio.AioRpcError):
                await user.CreateUser(refused, timeout=TIMEOUT_S, metadata=metadata)
        await user.UpdateUser(users.UpdateUserRequest(user_id=user_id, name=NAME), timeout=TIMEOUT_S)
        await user.ListUsers(users.ListUsersRequest(), timeout=TIMEOUT_S, metadata=metadata)
        await order.CreateOrder(
            orders.CreateOrderRequest(user_id=user_id, amount_minor_units=100, note=NOTE),
            timeout=TIMEOUT_S,
            metadata=metadata,
        )
        rows = [orders.ImportOrdersRequest(user_id=user_id, amount_minor_units=amount, note=NOTE) for amount in (1, -1)]
        await order.ImportOrders(iter(rows), timeout=TIMEOUT_S, metadata=metadata)
        stream = order.StreamOrders(orders.StreamOrdersRequest(), timeout=TIMEOUT_S, metadata=metadata)
        assert [answer.order.note async for answer in stream] == [NOTE, NOTE]
        await report.TopUsers(reports.TopUsersRequest(), timeout=TIMEOUT_S, metadata=metadata)
        answer = await report.GetUserReport(
            reports.GetUserReportRequest(user_id=user_id), timeout=TIMEOUT_S, metadata=metadata
        )
        assert answer.report.user_name == NAME
        with suppress(grpc.aio.AioRpcError):
            await user.GetUser(users.GetUserRequest(user_id="nobody"), timeout=TIMEOUT_S, metadata=metadata)
