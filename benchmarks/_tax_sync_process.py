"""The server and the client of the tax benchmark on the synchronous API, driven as those on grpc.aio are.

`python -m benchmarks._tax_sync_process server LOG_FILE` or `client LOG_FILE TARGET`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, NoReturn

import grpc

from benchmarks._tax_process import CALL_TIMEOUT_S, LOOPBACK, NO_REUSE, STREAM_MESSAGES, flush, telemetry_and_line
from generated import order_pb2, order_pb2_grpc, user_pb2, user_pb2_grpc
from otel.instrument import Telemetry

SERVER_THREADS = 16  # more than callers at once, so that none waits for a thread


class _Users(user_pb2_grpc.UserServiceServicer):
    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say

    def GetUser(self, request: user_pb2.GetUserRequest, context: Any) -> user_pb2.GetUserResponse:  # noqa: N802
        self._say()
        return user_pb2.GetUserResponse(user=user_pb2.User(user_id=request.user_id))


class _Orders(order_pb2_grpc.OrderServiceServicer):
    def __init__(self, say: Callable[[], None]) -> None:
        self._say = say

    def StreamOrders(  # noqa: N802
        self, request: order_pb2.StreamOrdersRequest, context: Any
    ) -> Iterator[order_pb2.StreamOrdersResponse]:
        self._say()
        for _ in range(STREAM_MESSAGES):
            yield order_pb2.StreamOrdersResponse(order=order_pb2.Order(order_id="o-1"))


def _server(telemetry: Telemetry, say: Callable[[], None]) -> None:
    pool = futures.ThreadPoolExecutor(SERVER_THREADS)
    server = grpc.server(pool, interceptors=telemetry.sync.server_interceptors(), options=NO_REUSE)
    user_pb2_grpc.add_UserServiceServicer_to_server(_Users(say), server)  # type: ignore[abstract]  # one method is called
    order_pb2_grpc.add_OrderServiceServicer_to_server(_Orders(say), server)  # type: ignore[abstract]  # one method is called
    port = server.add_insecure_port(LOOPBACK)
    server.start()
    _answer_commands({"address": f"127.0.0.1:{port}"}, telemetry)
    server.stop(0).wait()


def _client(telemetry: Telemetry, target: str, say: Callable[[], None]) -> None:
    with telemetry.sync.insecure_channel(target) as channel:
        users, orders = user_pb2_grpc.UserServiceStub(channel), order_pb2_grpc.OrderServiceStub(channel)

        def unary() -> None:
            users.GetUser(user_pb2.GetUserRequest(user_id="u-1"), timeout=CALL_TIMEOUT_S)
            say()

        def streaming() -> None:
            for _ in orders.StreamOrders(order_pb2.StreamOrdersRequest(), timeout=CALL_TIMEOUT_S):
                pass
            say()

        calls = {"unary": unary, "streaming": streaming}

        def measure(command: dict[str, Any]) -> dict[str, Any]:
            call = calls[command["kind"]]
            latencies_ns: list[int] = []

            def worker(count: int) -> None:
                for _ in range(count):
                    started_ns = time.perf_counter_ns()
                    call()
                    latencies_ns.append(time.perf_counter_ns() - started_ns)

            began_ns = time.perf_counter_ns()
            at_once = command["concurrency"]
            with futures.ThreadPoolExecutor(at_once) as pool:
                for done in [pool.submit(worker, command["calls"] // at_once) for _ in range(at_once)]:
                    done.result()
            return {"wall_ns": time.perf_counter_ns() - began_ns, "latencies_ns": latencies_ns}

        _answer_commands({}, telemetry, measure)


def _answer_commands(
    ready: dict[str, Any],
    telemetry: Telemetry,
    measure: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
) -> None:
    """Say that the process is ready, then answer each command: with what it measured, or with its CPU time so far."""
    print(json.dumps(ready), flush=True)
    while line := sys.stdin.readline():
        command = json.loads(line)
        answer: dict[str, Any] = {}
        if measure is not None and command.get("calls"):
            answer = measure(command)
        if command.get("flush"):
            flush(telemetry)
        print(json.dumps({"cpu_ns": time.process_time_ns(), **answer}), flush=True)


def main() -> NoReturn:
    """Run one process of the benchmark."""
    role, log_file, *rest = sys.argv[1:]
    telemetry, say = telemetry_and_line(role, log_file, os.environ)
    if role == "server":
        _server(telemetry, say)
    else:
        _client(telemetry, rest[0], say)
    telemetry.shutdown()
    raise SystemExit(0)


if __name__ == "__main__":
    main()
