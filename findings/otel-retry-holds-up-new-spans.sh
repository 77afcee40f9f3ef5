#!/usr/bin/env bash
# Python's OTLP exporter tries a batch again after 1, 2, 4 s. Spans that end meanwhile wait behind it, even when the
# receiver has been back for seconds and the batch processor sends every 0.1 s.
# A guess: new spans are sent 0.1 s after they end; only the old batch waits for its next attempt.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1 opentelemetry-sdk==1.45.2 \
  opentelemetry-exporter-otlp-proto-grpc==1.45.2
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import logging
import platform
import socket
import threading
import time
from concurrent import futures

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.version import __version__

logging.disable(logging.CRITICAL)
arrived, new_one_is_there = {}, threading.Event()


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    arrived[span.name] = time.monotonic()
        if "new" in arrived:
            new_one_is_there.set()
        return trace_service_pb2.ExportTraceServiceResponse()


with socket.socket() as nobody:
    nobody.bind(("127.0.0.1", 0))
    port = nobody.getsockname()[1]
provider = TracerProvider()
exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}")
provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=100))
tracer = provider.get_tracer("finding")
tracer.start_span("old").end()
time.sleep(4.5)  # past the attempts at 0, 1 and 3 s, each wait 0.8 to 1.2 times as long
server = grpc.server(futures.ThreadPoolExecutor(2))
trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Receiver(), server)
assert server.add_insecure_port(f"127.0.0.1:{port}") == port
server.start()
ended = time.monotonic()
tracer.start_span("new").end()
assert new_one_is_there.wait(20)
waited_s = arrived["new"] - ended
server.stop(0).wait(5)
print(f"versions: OTLP exporter {__version__}, grpcio {grpc.__version__}, Python {platform.python_version()}")
print(f"a span that ended once the receiver was back arrived {waited_s:.1f} s later")
print("guess: 0.1 s later, the delay of the batch processor")
print("behavior: it waits for the next attempt of the batch that found nobody, up to 4.8 s")
assert waited_s > 0.8, "new spans no longer wait for old ones"
PY
