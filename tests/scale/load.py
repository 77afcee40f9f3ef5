"""Calls whose traces are known before they are made: each carries a trace id of ours, and its ending is counted."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import grpc

from generated import order_pb2, order_pb2_grpc, report_pb2, report_pb2_grpc, user_pb2, user_pb2_grpc
from tests.scale.rule import id_in_share

CALLERS: Final = 8
TIMEOUT_S: Final = 30.0
ERROR_EVERY: Final = 5  # every fifth call asks for a user who does not exist
NOBODY: Final = "00000000-0000-4000-8000-000000000000"
# What docs/scale.md tells a client to have: all replicas, those that say they serve, and another try elsewhere.
BALANCING: Final = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": "tracelab.report.v1.ReportService"},
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.05s",
                "maxBackoff": "0.5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its trace, the caller's span in it, which nobody sends, and how it ended after how long."""

    trace_id: bytes
    span_id: str
    is_error: bool
    code: str
    duration_s: float

    @property
    def ended_as_meant(self) -> bool:
        """Whether telemetry's trouble stayed telemetry's."""
        return self.code == ("NOT_FOUND" if self.is_error else "OK")


@dataclass
class Load:
    """The calls that have ended so far."""

    calls: list[Call] = field(default_factory=list)

    @property
    def codes(self) -> Counter[str]:
        """How they ended."""
        return Counter(call.code for call in self.calls)

    @property
    def errors(self) -> list[Call]:
        """Those that were meant to fail."""
        return [call for call in self.calls if call.is_error]

    @property
    def failed_count(self) -> int:
        """How many did not end as was meant."""
        return sum(not call.ended_as_meant for call in self.calls)


async def a_user_with_orders(user_address: str, order_address: str) -> str:
    """Make a user with three orders to report on; gives the user's id."""
    async with grpc.aio.insecure_channel(user_address) as users, grpc.aio.insecure_channel(order_address) as orders:
        made = await user_pb2_grpc.UserServiceStub(users).CreateUser(
            user_pb2.CreateUserRequest(name="Ada", email=f"{secrets.token_hex(4)}@example.com"), timeout=TIMEOUT_S
        )
        for _ in range(3):
            await order_pb2_grpc.OrderServiceStub(orders).CreateOrder(
                order_pb2.CreateOrderRequest(user_id=made.user.user_id, amount_minor_units=100), timeout=TIMEOUT_S
            )
        return made.user.user_id


async def call_reports(
    addresses: Sequence[str], user_id: str, count: int, load: Load, *, percent_of_share: float | None = None
) -> None:
    """Ask for `count` reports, a few at a time; with a share, every trace id is one that it holds."""
    numbers = iter(range(count))
    options = [
        ("grpc.service_config", json.dumps(BALANCING)),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    async with grpc.aio.insecure_channel(f"ipv4:{','.join(addresses)}", options) as channel:
        stub = report_pb2_grpc.ReportServiceStub(channel)

        async def keep_calling() -> None:
            for number in numbers:
                trace_id = secrets.token_bytes(16) if percent_of_share is None else id_in_share(percent_of_share)
                load.calls.append(await _call(stub, user_id, trace_id, is_error=number % ERROR_EVERY == 0))

        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(keep_calling())


async def _call(stub: report_pb2_grpc.ReportServiceAsyncStub, user_id: str, trace_id: bytes, *, is_error: bool) -> Call:
    request = report_pb2.GetUserReportRequest(user_id=NOBODY if is_error else user_id)
    span_id = secrets.token_hex(8)
    metadata = (("traceparent", f"00-{trace_id.hex()}-{span_id}-01"),)
    begun_s = time.perf_counter()
    try:
        await stub.GetUserReport(request, timeout=TIMEOUT_S, metadata=metadata)
        code = "OK"
    except grpc.aio.AioRpcError as error:
        code = error.code().name
    return Call(trace_id, span_id, is_error, code, time.perf_counter() - begun_s)
