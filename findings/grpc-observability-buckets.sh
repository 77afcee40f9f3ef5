#!/usr/bin/env bash
# grpcio-observability records call durations in seconds and leaves the SDK's default buckets, which are meant for
# milliseconds: every call faster than five seconds falls into one bucket, and a p99 cannot be had.
# A guess: the bounds that gRFC A66 names, from 10 us up.
# Source: gRFC A66, "latency buckets".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio-observability==1.85.0 opentelemetry-sdk==1.45.2
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import platform
import time
from concurrent import futures

import grpc
import grpc_observability
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.version import __version__

reader = InMemoryMetricReader()
plugin = grpc_observability.OpenTelemetryPlugin(meter_provider=MeterProvider([reader]))
plugin.register_global()


def work(request, context):
    time.sleep(float(request))
    return b""


server = grpc.server(futures.ThreadPoolExecutor(2))
handlers = {"Work": grpc.unary_unary_rpc_method_handler(work)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    for seconds in (b"0.001", b"0.05", b"1.5"):
        channel.unary_unary("/t.T/Work", _registered_method=True)(seconds, timeout=9)
server.stop(0).wait(5)


def durations():
    data = reader.get_metrics_data()
    metrics = data.resource_metrics[0].scope_metrics[0].metrics if data else []
    return {metric.name: (metric.unit, metric.data.data_points[0]) for metric in metrics if metric.name.endswith("duration")}


deadline = time.monotonic() + 15  # the plugin hands its figures over in a thread of its own
while (found := durations()).get("grpc.client.attempt.duration", ("", None))[1] is None and time.monotonic() < deadline:
    time.sleep(0.1)
unit, point = found["grpc.client.attempt.duration"]
while point.count < 3 and time.monotonic() < deadline:
    time.sleep(0.1)
    unit, point = durations()["grpc.client.attempt.duration"]
plugin.deregister_global()
print(f"versions: grpcio-observability 1.85.0, opentelemetry-sdk {__version__}, Python {platform.python_version()}")
print(f"three calls of 1 ms, 50 ms and 1.5 s: unit {unit!r}, sum {point.sum:.2f}, bounds {point.explicit_bounds[:4]} …")
print(f"counts: {point.bucket_counts[:4]} …")
print("guess: three buckets")
print("behavior: one bucket, (0, 5]; without a View of your own the histogram says only count and sum")
assert unit == "s" and point.explicit_bounds[:2] == (0.0, 5.0) and point.bucket_counts[1] == 3, "the bounds have changed"
PY
