#!/usr/bin/env bash
# grpcio aio client: a request iterator that raises makes the caller see asyncio.CancelledError, so that a
# TaskGroup takes the failed task for a cancelled one and says nothing at all.
# A guess: the exception of the iterator comes out, or an RpcError (the sync API: UNKNOWN).
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


async def count(requests, context):
    return b"%d" % len([request async for request in requests])


async def broken():
    yield b"1"
    raise LookupError("the file is not there")


def broken_sync():
    yield b"1"
    raise LookupError("the file is not there")


async def main():
    server = grpc.aio.server()
    handlers = {"Count": grpc.stream_unary_rpc_method_handler(count)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:

        async def upload():
            return await channel.stream_unary("/t.T/Count")(broken(), timeout=5)

        try:
            await upload()
        except BaseException as error:
            raised = type(error).__name__
        async with asyncio.TaskGroup() as group:
            task = group.create_task(upload())
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            await asyncio.to_thread(channel.stream_unary("/t.T/Count"), broken_sync(), 5)
        except grpc.RpcError as error:
            sync = error.code().name
    await server.stop(0)
    print("aio, awaiting the call raises:", raised)
    print("aio, in a TaskGroup: the group ends without an error, task.cancelled() is", task.cancelled())
    print("sync, the same iterator:      ", sync)
    print("guess: LookupError or an RpcError, and a TaskGroup that raises it")
    print("behavior: nobody cancelled, but the caller is told so, and structured concurrency swallows the failure")
    assert raised == "CancelledError" and task.cancelled() and sync == "UNKNOWN", "the behavior has changed"


asyncio.run(main())
PY
