#!/usr/bin/env bash
# grpcio aio client: a request serializer that raises sends an empty message, a response deserializer that
# raises gives None; both calls end OK. A guess: the exception reaches the caller, or INTERNAL as in the sync API.
# Source: read in grpcio's source (grpc._common).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import asyncio
import logging
import platform

import grpc

logging.disable(logging.CRITICAL)


def refuse(value):
    raise ValueError("this value is not allowed")


async def length(request, context):
    return b"%d bytes came" % len(request)


async def main():
    server = grpc.aio.server()
    handlers = {"Length": grpc.unary_unary_rpc_method_handler(length)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/t.T/Length", request_serializer=refuse)(b"hello", timeout=5)
        sent = (await call, (await call.code()).name)
        call = channel.unary_unary("/t.T/Length", response_deserializer=refuse)(b"hello", timeout=5)
        received = (await call, (await call.code()).name)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        codes = []
        for wrong in ({"request_serializer": refuse}, {"response_deserializer": refuse}):
            try:
                await asyncio.to_thread(channel.unary_unary("/t.T/Length", **wrong), b"hello", 5)
            except grpc.RpcError as error:
                codes.append(error.code().name)
    await server.stop(0)
    print("aio,  serializer raises:  ", sent)
    print("aio,  deserializer raises:", received)
    print("sync, the same two:       ", codes)
    print("guess: four errors")
    print("behavior: the aio calls succeed, one with an empty request, one with None; only a log line tells")
    assert sent == (b"0 bytes came", "OK") and received == (None, "OK"), "aio has changed"
    assert codes == ["INTERNAL", "INTERNAL"], "sync has changed"


asyncio.run(main())
PY
