#!/usr/bin/env bash
# grpcio aio server: inside a handler that is being cancelled, by its caller or by the deadline,
# `context.cancelled()` and `context.done()` are False. A guess: True, that is what they are for.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import asyncio
import platform

import grpc


async def main():
    seen = asyncio.Queue()

    async def sleep(request, context):
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            seen.put_nowait((context.cancelled(), context.done(), task.cancelling(), context.time_remaining()))
            raise

    server = grpc.aio.server()
    handlers = {"Sleep": grpc.unary_unary_rpc_method_handler(sleep)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}")
    results = {}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/t.T/Sleep")(b"", timeout=10)
        await asyncio.sleep(0.3)
        call.cancel()
        results["cancelled by the caller"] = await asyncio.wait_for(seen.get(), 10)
        channel.unary_unary("/t.T/Sleep")(b"", timeout=0.3)
        results["deadline passed"] = await asyncio.wait_for(seen.get(), 10)
    await server.stop(0)
    for ending, (cancelled, done, cancelling, left) in results.items():
        print(f"{ending}: cancelled() {cancelled}, done() {done}; the task's cancelling() {cancelling}, left {left:.1f} s")
        assert (cancelled, done, cancelling) == (False, False, 1), "the behavior has changed"
    print("guess: cancelled() is True while the handler unwinds from a cancel")
    print("behavior: it is False; only the task knows, and the time left tells a deadline from a cancel")


asyncio.run(main())
PY
