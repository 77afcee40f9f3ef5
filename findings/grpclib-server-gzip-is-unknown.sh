#!/usr/bin/env bash
# A server of grpclib, the gRPC of asyncio in pure Python, can't read compressed messages, and says so as if its own code had
# failed: UNKNOWN, "Internal Server Error", without the encodings that it does know.
# A guess: UNIMPLEMENTED with `grpc-accept-encoding`. Source: doc/compression.md of grpc/grpc, on what a server does not support.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpclib==0.4.9 grpcio==1.85.1
cat >"$work/main.py" <<'PY'
import asyncio
import logging
import platform
import socket

import grpc
import grpclib
from grpclib.const import Cardinality, Handler
from grpclib.encoding.base import CodecBase
from grpclib.server import Server


class Bytes(CodecBase):
    """Sends bytes as they are, so that no message type is needed."""

    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


class Lengths:
    """One method: how long the request was."""

    def __mapping__(self):
        return {"/t.T/Length": Handler(self.length, Cardinality.UNARY_UNARY, bytes, bytes)}

    async def length(self, stream):
        await stream.send_message(b"%d" % len(await stream.recv_message()))


async def outcome(channel, compression):
    call = channel.unary_unary("/t.T/Length")(b"x" * 1000, compression=compression, timeout=20)
    try:
        said = (await call).decode()
    except grpc.RpcError as error:
        said = f"{error.code().name}: {error.details()}"
    known = dict(await call.initial_metadata()) | dict(await call.trailing_metadata())
    return said, "grpc-accept-encoding" in known


async def main():
    logging.disable()  # it logs the failure as the application's
    print(f"versions: grpclib {grpclib.__version__}, grpcio {grpc.__version__}, Python {platform.python_version()}")
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server([Lengths()], codec=Bytes())
    await server.start(sock=listener)
    seen = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.getsockname()[1]}") as channel:
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            seen.append(await outcome(channel, compression))
            print(f"{compression.name}: {seen[-1][0]}; tells its encodings: {seen[-1][1]}")
    server.close()
    await server.wait_closed()
    print("guess: 1000 twice, or UNIMPLEMENTED with the encodings for gzip")
    print("behavior: who compresses sees a broken servicer, and no retry or fallback knows better")
    assert seen == [("1000", False), ("UNKNOWN: Internal Server Error", False)], "the behavior has changed"


asyncio.run(main())
PY
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" "$work/main.py"
