#!/usr/bin/env bash
# grpcio-reflection answers for a service, a message, a field, an enum and an enum value by symbol, and NOT_FOUND for
# a method of the same file; it serves v1alpha only. A guess: a method is found, as the protocol's text says.
# Source: grpc/reflection/v1/reflection.proto, `file_containing_symbol` ("<package>.<service>[.<method>]").
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1 grpcio-reflection==1.85.1 grpcio-health-checking==1.85.1
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import platform
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

SYMBOLS = ("Health", "HealthCheckRequest", "HealthCheckRequest.service", "HealthCheckResponse.ServingStatus",
           "HealthCheckResponse.SERVING", "Health.Check")
server = grpc.server(futures.ThreadPoolExecutor(4))
health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
reflection.enable_server_reflection(("grpc.health.v1.Health", reflection.SERVICE_NAME), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
channel = grpc.insecure_channel(f"127.0.0.1:{port}")
print(f"versions: grpcio-reflection {grpc.__version__}, Python {platform.python_version()}")
requests = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=f"grpc.health.v1.{name}") for name in SYMBOLS]
stub = reflection_pb2_grpc.ServerReflectionStub(channel)
found = {}
for name, answer in zip(SYMBOLS, stub.ServerReflectionInfo(iter(requests), timeout=10)):
    found[name] = answer.HasField("file_descriptor_response")
    print(f"{name:<34} {'found' if found[name] else 'error ' + str(answer.error_response.error_code)}")
try:
    list(channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")(iter([b""]), timeout=5))
    v1 = "OK"
except grpc.RpcError as error:
    v1 = error.code().name
print("grpc.reflection.v1:                ", v1)
print("guess: all six are found")
print("behavior: methods alone are not (5 is NOT_FOUND): tools that describe or call by method name fail")
server.stop(0).wait(5)
assert [name for name, known in found.items() if not known] == ["Health.Check"], "the behavior has changed"
assert v1 == "UNIMPLEMENTED", "v1 is served now"
PY
