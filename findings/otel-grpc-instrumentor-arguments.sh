#!/usr/bin/env bash
# opentelemetry-instrumentation-grpc: GrpcInstrumentorClient().instrument(tracer_provider=...) leaves the provider unused, the
# server's takes it; and a filter beside OTEL_PYTHON_GRPC_EXCLUDED_SERVICES brings excluded services back. A guess: the client's
# span goes to the provider that was given, and what is excluded stays so whatever else is asked.
# Source: opentelemetry-python-contrib (wrapper_fn reads the channel's arguments; the two filters are joined by any_of).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1 opentelemetry-sdk==1.45.2 opentelemetry-instrumentation-grpc==0.66b2
OTEL_PYTHON_GRPC_EXCLUDED_SERVICES=t.Excluded timeout 60 "$work/venv/bin/python" - <<'PY'
import platform
import time
from concurrent import futures

import grpc
from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient, GrpcInstrumentorServer, filters
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def traced_by(*instrumentors):
    """Make one call of each service by these instrumentors, and name the spans of the provider that they were given."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for each in instrumentors:
        each.instrument(tracer_provider=provider)
    server = grpc.server(futures.ThreadPoolExecutor(1))
    echo = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    services = [grpc.method_handlers_generic_handler(name, {"Say": echo}) for name in ("t.Excluded", "t.Other")]
    server.add_generic_rpc_handlers(services)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for name in ("t.Excluded", "t.Other"):
            channel.unary_unary(f"/{name}/Say")(b"", timeout=9)
    server.stop(5).wait(10)
    deadline = time.monotonic() + 1  # a server's span ends a moment after its call
    while not exporter.get_finished_spans() and time.monotonic() < deadline:
        time.sleep(0.02)
    for each in instrumentors:
        each.uninstrument()
    return sorted(f"{span.kind.name} {span.name}" for span in exporter.get_finished_spans())


print(f"versions: instrumentation 0.66b2, grpcio {grpc.__version__}, Python {platform.python_version()}")
alone = traced_by(GrpcInstrumentorServer())
print("server, excluded t.Excluded:              ", alone)
both = traced_by(GrpcInstrumentorServer(filter_=filters.method_name("Say")))
print("server, the same, and a filter for Say:   ", both)
client = traced_by(GrpcInstrumentorClient())
print("client, spans of the provider it was given:", client)
print("guess: t.Other alone in both of the server's; one span of the client")
print("behavior: the filter brings t.Excluded back, and the client's provider gets nothing")
other, excluded = "SERVER /t.Other/Say", "SERVER /t.Excluded/Say"
assert alone == [other] and both == [excluded, other] and client == [], "the behavior has changed"
PY
