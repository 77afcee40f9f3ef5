#!/usr/bin/env bash
# grpclib, the gRPC of asyncio in pure Python: a deadline that passes is a TimeoutError for its caller, and a server that is not
# there a ConnectionRefusedError; only what a server says is a GRPCError with a status. Past ten seconds a timeout loses its
# fraction on the way: 10.9 s are 10 to the server. A guess: every failed call is a GRPCError: DEADLINE_EXCEEDED, UNAVAILABLE.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpclib==0.4.9 grpcio==1.85.1
cat >"$work/main.py" <<'PY'
import asyncio
import platform
import socket

import grpc
import grpclib
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.encoding.base import CodecBase


class Bytes(CodecBase):
    """Sends bytes as they are, so that no message type is needed."""

    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


class Handler(grpc.GenericRpcHandler):
    """A server of grpcio: notes the time that is left, and waits or refuses as the method's name says."""

    def __init__(self):
        self.left_s = []

    def service(self, details):
        async def serve(request, context):
            self.left_s.append(context.time_remaining())
            if details.method == "/t.T/Wait":
                await asyncio.sleep(20)
            if details.method == "/t.T/Refuse":
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
            return b""

        return grpc.unary_unary_rpc_method_handler(serve)


async def outcome(channel, method, timeout):
    try:
        await UnaryUnaryMethod(channel, method, bytes, bytes)(b"", timeout=timeout)
    except Exception as error:
        status = error.status.name if isinstance(error, grpclib.GRPCError) else "no status"
        return f"{type(error).__name__}, {status}"
    return "answered"


async def main():
    print(f"versions: grpclib {grpclib.__version__}, grpcio {grpc.__version__}, Python {platform.python_version()}")
    handler, server = Handler(), grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        nobody = reserved.getsockname()[1]
    seen = {}
    for name, method, where in (
        ("the server refuses", "/t.T/Refuse", port),
        ("the deadline passes", "/t.T/Wait", port),
        ("nobody listens", "/t.T/Refuse", nobody),
    ):
        channel = Channel("127.0.0.1", where, codec=Bytes())
        seen[name] = await outcome(channel, method, 0.5)
        channel.close()
        print(f"{name}: {seen[name]}")
    channel = Channel("127.0.0.1", port, codec=Bytes())
    left_s = {}
    for timeout in (9.9, 10.9, 99.9):
        handler.left_s.clear()
        assert await outcome(channel, "/t.T/Answer", timeout) == "answered"
        left_s[timeout] = handler.left_s[0]
        print(f"timeout {timeout} s: the server has {handler.left_s[0]:.1f} s")
    channel.close()
    await server.stop(0)
    print("guess: GRPCError each time, with NOT_FOUND, DEADLINE_EXCEEDED and UNAVAILABLE; 9.9, 10.9 and 99.9 s")
    print("behavior: code that handles GRPCError handles neither deadlines nor lost servers")
    assert seen == {
        "the server refuses": "GRPCError, NOT_FOUND",
        "the deadline passes": "TimeoutError, no status",
        "nobody listens": "ConnectionRefusedError, no status",
    }, "the behavior has changed"
    assert left_s[9.9] > 9.5 and left_s[10.9] <= 10 and left_s[99.9] <= 99, "timeouts keep their fraction now"


asyncio.run(main())
PY
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" "$work/main.py"
