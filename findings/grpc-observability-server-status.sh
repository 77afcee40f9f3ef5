#!/usr/bin/env bash
# grpc.server.call.duration of grpcio-observability says OK for a call that was cut short: cancelled by its client, past its
# deadline, or with a request larger than the server takes. grpc.client.attempt.duration has the status that was seen.
# A guess: the server's figure has the status with which the call ended.
# Source: gRFC A66, the label grpc.status.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio-observability==1.85.0 opentelemetry-sdk==1.45.2
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import platform
import threading
from concurrent import futures

import grpc
import grpc_observability
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
plugin = grpc_observability.OpenTelemetryPlugin(
    meter_provider=MeterProvider([reader]), generic_method_attribute_filter=lambda _method: True
)
plugin.register_global()
entered, over = threading.Event(), threading.Event()


def answer(request, context):
    return request


def wait(request, context):
    entered.set()
    over.wait(10)
    return request


server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.max_receive_message_length", 1000)])
behaviors = {"Whole": answer, "TooLarge": answer, "PastDeadline": wait, "Cancelled": wait}
handlers = {name: grpc.unary_unary_rpc_method_handler(behavior) for name, behavior in behaviors.items()}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
seen = {}
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    for name, request, timeout_s in (("Whole", b"a", 9), ("TooLarge", b"a" * 5000, 9), ("PastDeadline", b"a", 0.5)):
        call = channel.unary_unary(f"/t.T/{name}").future(request, timeout=timeout_s)
        seen[name] = call.code().name
    entered.clear()
    call = channel.unary_unary("/t.T/Cancelled").future(b"a", timeout=9)
    entered.wait(9)
    call.cancel()
    seen["Cancelled"] = call.code().name
    over.set()
server.stop(None).wait(9)
plugin.deregister_global()  # hands over what core still has
counted = {"client.attempt": {}, "server.call": {}}
for metric in reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics:
    for side in counted:
        if metric.name == f"grpc.{side}.duration":
            for point in metric.data.data_points:
                counted[side][point.attributes["grpc.method"].removeprefix("t.T/")] = point.attributes["grpc.status"]
print(f"versions: grpcio and grpcio-observability {grpc.__version__}, Python {platform.python_version()}")
for name, code in seen.items():
    print(f"{name}: the caller had {code}, its core counted {counted['client.attempt'][name]}, the server's {counted['server.call'][name]}")
print("guess: three times the same")
print("behavior: the server's core counts OK for each of them")
assert counted["client.attempt"] == seen and set(counted["server.call"].values()) == {"OK"}, "it has changed"
assert seen["TooLarge"] == "RESOURCE_EXHAUSTED" and seen["PastDeadline"] == "DEADLINE_EXCEEDED"
PY
