#!/usr/bin/env bash
# OTEL_EXPORTER_OTLP_TIMEOUT=10000, ten seconds by the specification: Node's exporter gives up after 10 s, Python's would
# after 10,000 s; with 1 (a second) Python's gRPC exporter makes one attempt and no retry. A guess: milliseconds in both.
# Source: specification, "Exporter configuration" (milliseconds).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check opentelemetry-exporter-otlp-proto-grpc==1.45.2 \
  opentelemetry-exporter-otlp-proto-http==1.45.2 opentelemetry-sdk==1.45.2 grpcio==1.85.1
npm install --prefix "$work" --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-base@2.12.1 \
  @opentelemetry/exporter-trace-otlp-http@0.223.0
cat >"$work/python.py" <<'PY'
import logging
import os
import socket
import time
from concurrent import futures

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.version import __version__

logging.disable(logging.CRITICAL)
span = TracerProvider().get_tracer("finding").start_span("a")
span.end()
attempts = []


def busy(request, context):
    attempts.append(context.time_remaining())
    context.abort(grpc.StatusCode.UNAVAILABLE, "try again")


server = grpc.server(futures.ThreadPoolExecutor(2))
handlers = {"Export": grpc.unary_unary_rpc_method_handler(busy)}
service = "opentelemetry.proto.collector.trace.v1.TraceService"
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
server.start()

deaf = socket.create_server(("127.0.0.1", 0))  # takes connections, never answers
os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = "2"
start = time.monotonic()
HttpExporter(endpoint=f"http://127.0.0.1:{deaf.getsockname()[1]}/v1/traces").export([span])
http_s = time.monotonic() - start
os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = "1"
GrpcExporter(endpoint=endpoint).export([span])
with_one, attempts[:] = list(attempts), []
os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = "10000"
exporter = GrpcExporter(endpoint=endpoint)
futures.ThreadPoolExecutor(1).submit(exporter.export, [span])
while not attempts:
    time.sleep(0.02)
exporter.shutdown(timeout_millis=100)
print(f"versions: OTLP exporters Python {__version__}, Node 0.223.0")
print(f"Python, HTTP, 2:     a server that never answers is given up after {http_s:.1f} s")
print(f"Python, gRPC, 1:     {len(with_one)} attempt, although the server says UNAVAILABLE, which is to be tried again")
print(f"Python, gRPC, 10000: the server is told that the exporter waits {attempts[0]:,.0f} s")
server.stop(0).wait(5)
assert 1.5 < http_s < 6 and len(with_one) == 1 and attempts[0] > 9_000, "the unit or the retry has changed"
os._exit(0)
PY
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" "$work/python.py"
cat >"$work/node.js" <<'JS'
const { BasicTracerProvider } = require('@opentelemetry/sdk-trace-base');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http');
const span = new BasicTracerProvider().getTracer('finding').startSpan('a');
span.end();
const deaf = require('net').createServer(() => {});
deaf.listen(0, '127.0.0.1', () => {
  process.env.OTEL_EXPORTER_OTLP_TIMEOUT = '2000';
  const start = Date.now();
  new OTLPTraceExporter({ url: `http://127.0.0.1:${deaf.address().port}/v1/traces` }).export([span], () => {
    const seconds = (Date.now() - start) / 1000;
    console.log(`Node, HTTP, 2000:    a server that never answers is given up after ${seconds.toFixed(1)} s`);
    process.exit(seconds > 1.5 && seconds < 6 ? 0 : 1);
  });
});
JS
timeout 30 node "$work/node.js"
echo "guess: 2000 means two seconds everywhere"
echo "behavior: it does in Node; in Python it is 33 minutes, and what is right for Python is 2 ms for Node"
