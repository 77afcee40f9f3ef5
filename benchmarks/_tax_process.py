"""The processes of the tax benchmark, driven by lines on standard input: an OTLP sink; on grpc.aio a server, a client.

`python -m benchmarks._tax_process sink`, `server LOG_FILE` or `client LOG_FILE TARGET`. Each prints a JSON line when it
is ready, then answers every command line with one, and ends when its input ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import grpc
import structlog
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider

from generated import order_pb2, order_pb2_grpc, user_pb2, user_pb2_grpc
from otel.instrument import Telemetry, TelemetrySettings, configure

STREAM_MESSAGES = 20
CALL_TIMEOUT_S = 30.0
HAND_OVER_S = 0.6  # core does so every half second
LOOPBACK = "127.0.0.1:0"
NO_REUSE = [("grpc.so_reuseport", 0)]


class _AnySink(grpc.GenericRpcHandler):
    """Takes every OTLP export, parses nothing, answers with an empty message: success."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Answer any unary method."""

        async def accept(_request: bytes, _context: Any) -> bytes:
            return b""

        return grpc.unary_unary_rpc_method_handler(accept)


class _Users(user_pb2_grpc.UserServiceServicer):
    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say

    async def GetUser(self, request: user_pb2.GetUserRequest, context: Any) -> user_pb2.GetUserResponse:  # noqa: N802
        self._say()
        return user_pb2.GetUserResponse(user=user_pb2.User(user_id=request.user_id))


class _Orders(order_pb2_grpc.OrderServiceServicer):
    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say

    async def StreamOrders(  # noqa: N802
        self, request: order_pb2.StreamOrdersRequest, context: Any
    ) -> AsyncIterator[order_pb2.StreamOrdersResponse]:
        self._say()
        for _ in range(STREAM_MESSAGES):
            yield order_pb2.StreamOrdersResponse(order=order_pb2.Order(order_id="o-1"))


async def _sink() -> None:
    server = grpc.aio.server(options=NO_REUSE)
    server.add_generic_rpc_handlers([_AnySink()])
    port = server.add_insecure_port(LOOPBACK)
    await server.start()
    await _answer_commands({"address": f"127.0.0.1:{port}"})
    await server.stop(None)


async def _server(telemetry: Telemetry, say: Callable[[], None]) -> None:
    server = telemetry.server(options=NO_REUSE)
    user_pb2_grpc.add_UserServiceServicer_to_server(_Users(say), server)  # type: ignore[abstract]  # one method is called
    order_pb2_grpc.add_OrderServiceServicer_to_server(_Orders(say), server)  # type: ignore[abstract]  # one method is called
    port = server.add_insecure_port(LOOPBACK)
    await server.start()
    await _answer_commands({"address": f"127.0.0.1:{port}"}, telemetry)
    await server.stop(None)


async def _client(telemetry: Telemetry, target: str, say: Callable[[], None]) -> None:
    async with telemetry.insecure_channel(target) as channel:
        users, orders = user_pb2_grpc.UserServiceStub(channel), order_pb2_grpc.OrderServiceStub(channel)

        async def unary() -> None:
            await users.GetUser(user_pb2.GetUserRequest(user_id="u-1"), timeout=CALL_TIMEOUT_S)
            say()

        async def streaming() -> None:
            call = orders.StreamOrders(order_pb2.StreamOrdersRequest(), timeout=CALL_TIMEOUT_S)
            try:
                async for _ in call:
                    pass
            finally:
                call.cancel()
            say()

        calls = {"unary": unary, "streaming": streaming}

        async def measure(command: dict[str, Any]) -> dict[str, Any]:
            call = calls[command["kind"]]
            latencies_ns: list[int] = []

            async def worker(count: int) -> None:
                for _ in range(count):
                    started_ns = time.perf_counter_ns()
                    await call()
                    latencies_ns.append(time.perf_counter_ns() - started_ns)

            began_ns = time.perf_counter_ns()
            share = command["calls"] // command["concurrency"]
            await asyncio.gather(*(worker(share) for _ in range(command["concurrency"])))
            return {"wall_ns": time.perf_counter_ns() - began_ns, "latencies_ns": latencies_ns}

        await _answer_commands({}, telemetry, measure)


async def _answer_commands(
    ready: dict[str, Any],
    telemetry: Telemetry | None = None,
    measure: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]] | None = None,
) -> None:
    """Say that the process is ready, then answer each command: with what it measured, or with its CPU time so far."""
    print(json.dumps(ready), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if measure is not None and command.get("calls"):
            answer = await measure(command)
        if telemetry is not None and command.get("flush"):
            await asyncio.to_thread(flush, telemetry)
        print(json.dumps({"cpu_ns": time.process_time_ns(), **answer}), flush=True)


def flush(telemetry: Telemetry) -> None:
    """Export the spans and log records so far; metrics go their own slow way, once a minute.

    What gRPC's core still has is waited for, since handing it over is part of its price.
    """
    if telemetry.settings.grpc_metrics:
        time.sleep(HAND_OVER_S)
    for provider in (telemetry.providers.tracer_provider, telemetry.providers.logger_provider):
        if isinstance(provider, (TracerProvider, LoggerProvider)):
            provider.force_flush()


def telemetry_and_line(role: str, log_file: str, environ: Mapping[str, str]) -> tuple[Telemetry, Callable[[], None]]:
    """Set telemetry up as a variant says, and make what writes its log line for each call, if it has one."""
    settings = TelemetrySettings.from_environ(f"tax-{role}", environ, log_file=Path(log_file), log_to_stdout=False)
    telemetry = configure(settings)
    log = structlog.get_logger()
    has_lines = bool(environ.get("TAX_LOG_LINES"))
    return telemetry, (lambda: log.info("bench.called", item_count=1)) if has_lines else (lambda: None)


def main() -> NoReturn:
    """Run one process of the benchmark."""
    role, *rest = sys.argv[1:]
    if role == "sink":
        asyncio.run(_sink())
        raise SystemExit(0)
    telemetry, say = telemetry_and_line(role, rest[0], os.environ)
    asyncio.run(_server(telemetry, say) if role == "server" else _client(telemetry, rest[1], say))
    telemetry.shutdown()
    raise SystemExit(0)


if __name__ == "__main__":
    main()
