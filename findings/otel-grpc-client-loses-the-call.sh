#!/usr/bin/env bash
# opentelemetry-instrumentation-grpc, sync client: its client_interceptor() is no interceptor to gRPC (TypeError), and with the
# library's own intercept_channel a server stream becomes a plain generator: no cancel(), no code(), nothing sent before next().
# A guess: an interceptor goes into grpc.intercept_channel, and the caller gets gRPC's call object.
# Source: read in the library (its grpcext package).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1 opentelemetry-sdk==1.45.2 opentelemetry-instrumentation-grpc==0.66b2
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import platform
import threading
from concurrent import futures

import grpc
from opentelemetry.instrumentation.grpc import client_interceptor
from opentelemetry.instrumentation.grpc.grpcext import intercept_channel

entered = threading.Event()


def ticks(request, context):
    entered.set()
    yield b"tick"


server = grpc.server(futures.ThreadPoolExecutor(2))
handlers = {"Ticks": grpc.unary_stream_rpc_method_handler(ticks)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
bare = grpc.insecure_channel(f"127.0.0.1:{port}")
try:
    grpc.intercept_channel(bare, client_interceptor())
    refused = "taken"
except TypeError:
    refused = "TypeError"


def start(channel):
    entered.clear()
    call = channel.unary_stream("/t.T/Ticks")(b"", timeout=9)
    reached = entered.wait(1.5)
    return type(call).__name__, [name for name in ("cancel", "code", "trailing_metadata") if hasattr(call, name)], reached, next(call)


seen = {"bare": start(bare), "traced": start(intercept_channel(bare, client_interceptor()))}
server.stop(0).wait(5)
print(f"versions: instrumentation 0.66b2, grpcio {grpc.__version__}, Python {platform.python_version()}")
print("grpc.intercept_channel(channel, client_interceptor()):", refused)
for name, (kind, methods, reached, _) in seen.items():
    print(f"{name:<6} call: a {kind} with {methods}; the server was called before the first next(): {reached}")
print("guess: the same twice")
print("behavior: with tracing on, code that cancels a stream fails with AttributeError, and one that only starts it calls nobody")
assert refused == "TypeError" and seen["traced"][:3] == ("generator", [], False), "the library has changed"
assert len(seen["bare"][1]) == 3 and seen["bare"][2], "grpcio has changed"
PY
