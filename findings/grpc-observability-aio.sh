#!/usr/bin/env bash
# grpcio-observability counts for grpc.aio, too, with two surprises: every method of an aio server has the name "other",
# also where its client says that it is registered; and the variable that its documentation names for the time between
# two hand-overs to Python is not the one that it reads.
# A guess: the method's name, as for the synchronous API; the variable works.
# Source: README of grpcio-observability 1.85.0; grpc/grpc#41573 ("All AsyncIO RPCs currently behave as unregistered").
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio-observability==1.85.0 opentelemetry-sdk==1.45.2
cat >"$work/call.py" <<'PY'
import asyncio
import platform

import grpc
import grpc_observability
from grpc_observability import _cyobservability
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
plugin = grpc_observability.OpenTelemetryPlugin(meter_provider=MeterProvider([reader]))


def found(name):
    data = reader.get_metrics_data()
    metrics = data.resource_metrics[0].scope_metrics[0].metrics if data else ()
    return [point for metric in metrics if metric.name == name for point in metric.data.data_points]


async def echo(request, context):
    return request


async def main():
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", {"Echo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.unary_unary("/t.T/Echo", _registered_method=True)(b"a", timeout=9)
    await server.stop(0)


plugin.register_global()
asyncio.run(main())
plugin.deregister_global()
served, called = (
    [point.attributes["grpc.method"] for point in found(f"grpc.{name}.started")] for name in ("server.call", "client.attempt")
)
interval_s = _cyobservability.CENSUS_EXPORT_BATCH_INTERVAL_SECS
print(f"versions: grpcio and grpcio-observability {grpc.__version__}, Python {platform.python_version()}")
print(f"GRPC_PYTHON_CENSUS_EXPORT_BATCH_INTERVAL=0.2 gives an interval of {interval_s} s")
print(f"the method is called {called} by the client, {served} by the server")
print("guess: 0.2 s; t.T/Echo on both sides")
print("behavior: 0.5 s, since only …_INTERVAL_SECS is read; other on the server")
assert interval_s == 0.5 and served == ["other"], "it has changed"
PY
GRPC_PYTHON_CENSUS_EXPORT_BATCH_INTERVAL=0.2 GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" "$work/call.py"
