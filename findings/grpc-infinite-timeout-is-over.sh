#!/usr/bin/env bash
# A timeout of float("inf"), or of 8e9 seconds and more, fails a call of grpcio at once with DEADLINE_EXCEEDED, sync and aio; the
# server is never asked. Up to 5e9 it works, though the server is told of 27,000 hours whatever it was.
# A guess: infinity is no deadline, as None is; a long timeout is a long timeout, and the server is told of it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -q --disable-pip-version-check grpcio==1.85.1
cat >main.py <<'PY'
import asyncio
from concurrent.futures import ThreadPoolExecutor

import grpc

TIMEOUTS = (None, 3600.0, 5e9, 8e9, float("inf"))
told = []


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        def answer(request, context):
            told.append(context.time_remaining())
            return b""

        return grpc.unary_unary_rpc_method_handler(answer)


def seen(code):
    """The call's end, and what its server was told."""
    return code, (f"{told.pop() / 3600:,.0f} h" if told else "nothing, it was not asked")


async def by_aio(address):
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary("/t.T/Answer")
        ends = []
        for timeout in TIMEOUTS:
            done = call(b"", timeout=timeout)
            ends.append(seen((await done.code()).name))
        return ends


def by_sync(address):
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/t.T/Answer")
        return [seen(call.future(b"", timeout=timeout).code().name) for timeout in TIMEOUTS]


server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
server.start()
sync, aio = by_sync(address), asyncio.run(by_aio(address))
server.stop(0).wait()
print(f"versions: grpcio {grpc.__version__}")
print("guess: OK for each; the server is told of what was asked for, and of nothing for inf as for None")
for timeout, one, other in zip(TIMEOUTS, sync, aio):
    print(f"behavior: timeout={timeout}: sync {one[0]}, the server is told of {one[1]}; aio {other[0]}")
ends = ["OK", "OK", "OK", "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"]
raise SystemExit(not ([one[0] for one in sync] == [one[0] for one in aio] == ends and sync[2][1] == "27,000 h"))
PY
timeout 60 venv/bin/python main.py
