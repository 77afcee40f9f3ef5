"""A process on grpc.aio that records what gRPC's core counts, started by test_grpc_metrics.py.

Makes calls, one after the other, and prints one JSON object: by metric, method and status what was counted in the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint

from otel.instrument.grpc_metrics import start_grpc_metrics
from otel.instrument.settings import UNTRACED_SERVICES


async def work(request: bytes, context: object) -> bytes:
    """Answer at once."""
    return request


async def calls(count: int) -> None:
    """Make `count` calls and a health check."""
    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(work)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", {"Work": handler}),))
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        method: Any = channel.unary_unary("/t.T/Work")

        for _ in range(count):
            await method(b"x" * 100)
    await server.stop(0)


def main() -> None:
    """Make as many calls as the first argument says, then print what was counted."""
    reader = InMemoryMetricReader()
    stop = start_grpc_metrics(MeterProvider([reader]), UNTRACED_SERVICES)
    asyncio.run(calls(int(sys.argv[1])))
    stop()
    found: dict[str, list[object]] = {}
    data = reader.get_metrics_data()
    for metric in data.resource_metrics[0].scope_metrics[0].metrics if data else ():
        for point in metric.data.data_points:
            words = [str((point.attributes or {}).get(key, "")) for key in ("grpc.method", "grpc.status")]
            if isinstance(point, NumberDataPoint):
                found[" ".join([metric.name, *words]).strip()] = [point.value]
            elif isinstance(point, HistogramDataPoint):
                found[" ".join([metric.name, *words])] = [point.count, point.sum, len(point.explicit_bounds)]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
