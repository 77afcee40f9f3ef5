#!/usr/bin/env bash
# grpcio: the `timeout` of a service config is more than a second short, and the server is never told of it.
# A guess: it is the same as passing `timeout=` to each call.
# Source: grpc/grpc#34547 (open), #40633.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import json
import platform
import time
from concurrent import futures

import grpc

told = []


def sleep(request, context):
    told.append(context.time_remaining())
    while context.is_active():
        time.sleep(0.02)
    return b""


server = grpc.server(futures.ThreadPoolExecutor(4))
handlers = {"Sleep": grpc.unary_unary_rpc_method_handler(sleep)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()


def seconds_until_the_deadline(config, **per_call):
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.service_config", json.dumps(config))])
    start = time.monotonic()
    try:
        channel.unary_unary("/t.T/Sleep")(b"", **per_call)
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    channel.close()
    return time.monotonic() - start


print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}")
seen = {}
for text in ("3s", "2s", "1s"):
    seen[text] = seconds_until_the_deadline({"methodConfig": [{"name": [{}], "timeout": text}]})
    print(f"service config {text:>4}: DEADLINE_EXCEEDED after {seen[text]:.2f} s")
by_config, told[:] = max(told), []
by_call = seconds_until_the_deadline({}, timeout=2)
print(f"timeout=2 of the call: DEADLINE_EXCEEDED after {by_call:.2f} s")
print(f"the server was told: by the config {by_config:.3g} s, by the call {told[0]:.2f} s")
print("guess: 3, 2 and 1 s, and a server that knows how long its caller waits, as with timeout=")
print("behavior: each is more than a second short, one second fails at once, and the server thinks it has for ever")
server.stop(0).wait(5)
assert seen["3s"] < 2.4 and seen["2s"] < 1.4 and seen["1s"] < 0.3, "the timeout is not short any more"
assert by_config > 1e9 and told[0] < 2.1, "the server is told now"
assert 1.9 < by_call < 2.5, "the timeout of a call has changed"
PY
