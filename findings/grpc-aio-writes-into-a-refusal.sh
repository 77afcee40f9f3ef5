#!/usr/bin/env bash
# grpcio's aio client, a stream of requests that the server refuses at once: about one call in a hundred ends with INTERNAL
# "Internal error from Core", where the server said UNIMPLEMENTED; the synchronous client says UNIMPLEMENTED each time.
# A guess: the status is the server's; a write that comes too late does not change it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1
GRPC_VERBOSITY=NONE timeout 120 "$work/venv/bin/python" - <<'PY'
import asyncio
import platform
from collections import Counter

import grpc

CALLS, WRITES, MESSAGE = 2_000, 100, bytes(20_000)


def requests():
    for _ in range(WRITES):
        yield MESSAGE


async def codes_of_aio(address):
    found = Counter()
    async with grpc.aio.insecure_channel(address) as channel:
        unheard = channel.stream_unary("/t.T/Unheard")
        for _ in range(CALLS):
            try:
                await unheard(requests(), timeout=10)
            except grpc.RpcError as error:
                found[error.code().name, error.details()] += 1
    return found


def codes_of_sync(address):
    found = Counter()
    with grpc.insecure_channel(address) as channel:
        unheard = channel.stream_unary("/t.T/Unheard")
        for _ in range(CALLS):
            try:
                unheard(requests(), timeout=10)
            except grpc.RpcError as error:
                found[error.code().name, error.details()] += 1
    return found


async def main():
    server = grpc.aio.server()
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    aio, sync = await codes_of_aio(address), await asyncio.to_thread(codes_of_sync, address)
    await server.stop(None)
    print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}")
    print(f"{CALLS} calls of a method that the server does not have, aio client: {dict(aio)}")
    print(f"the same, synchronous client: {dict(sync)}")
    print("guess: UNIMPLEMENTED for all of both")
    print("behavior: a write at the moment of the refusal makes some of the aio client's INTERNAL")
    refused = ("UNIMPLEMENTED", "Method not found!")
    assert sync == {refused: CALLS}
    assert aio[refused] > CALLS / 2
    assert aio["INTERNAL", "Internal error from Core"] > 0


asyncio.run(main())
PY
