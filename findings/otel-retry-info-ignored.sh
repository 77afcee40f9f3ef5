#!/usr/bin/env bash
# An OTLP server that is overloaded says RESOURCE_EXHAUSTED with RetryInfo "in 0.1 s", or without it "do not come again".
# Python's gRPC exporter comes after a second in the first case, and comes again in the second.
# A guess: the protocol's two rules are followed.
# Source: opentelemetry-proto, docs/specification.md, "OTLP/gRPC Throttling"; opentelemetry-go#4661 (the same, mended there).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1 grpcio-status==1.85.1 opentelemetry-sdk==1.45.2 \
  opentelemetry-exporter-otlp-proto-grpc==1.45.2
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import logging
import platform
import time
from concurrent import futures

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.version import __version__

logging.disable(logging.CRITICAL)
attempts, details = [], []


def overloaded(request, context):
    attempts.append(time.monotonic())
    status = status_pb2.Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="busy", details=details)
    context.abort_with_status(rpc_status.to_status(status))


server = grpc.server(futures.ThreadPoolExecutor(2))
handlers = {"Export": grpc.unary_unary_rpc_method_handler(overloaded)}
service = "opentelemetry.proto.collector.trace.v1.TraceService"
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
span = TracerProvider().get_tracer("finding").start_span("a")
span.end()
in_a_tenth = Any()
in_a_tenth.Pack(error_details_pb2.RetryInfo(retry_delay=Duration(nanos=100_000_000)))
print(f"versions: OTLP exporter {__version__}, grpcio {grpc.__version__}, Python {platform.python_version()}")
gaps = {}
for name, details[:] in {"RetryInfo 0.1 s": [in_a_tenth], "no RetryInfo": []}.items():
    attempts.clear()
    OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}", timeout=3).export([span])
    gaps[name] = [after - before for before, after in zip(attempts, attempts[1:])]
    print(f"RESOURCE_EXHAUSTED, {name}: {len(attempts)} attempts, waits between them {[round(gap, 1) for gap in gaps[name]]} s")
print("guess: the first is tried again after 0.1 s, the second not at all")
print("behavior: both get the exporter's own backoff, as if the server had said nothing")
server.stop(0).wait(5)
assert gaps["RetryInfo 0.1 s"][0] > 0.5, "RetryInfo is honored now"
assert gaps["no RetryInfo"], "a refusal without RetryInfo is final now"
PY
