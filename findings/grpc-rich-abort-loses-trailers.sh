#!/usr/bin/env bash
# grpcio: trailing metadata that a handler or an interceptor has set survives `abort`, but `abort_with_status`
# throws it away, sync and aio. A guess: the status's trailer is added to what is there.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1 grpcio-status==1.85.1
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import asyncio
import platform
from concurrent import futures

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

RICH = rpc_status.to_status(status_pb2.Status(code=grpc.StatusCode.NOT_FOUND.value[0], message="gone"))


def plain(request, context):
    context.set_trailing_metadata((("cost", "7"),))
    return context.abort(grpc.StatusCode.NOT_FOUND, "gone")


def rich(request, context):
    context.set_trailing_metadata((("cost", "7"),))
    return context.abort_with_status(RICH)


async def plain_aio(request, context):
    await plain(request, context)


async def rich_aio(request, context):
    await rich(request, context)


def handlers(plain, rich):
    methods = {"Plain": plain, "Rich": rich}
    methods = {name: grpc.unary_unary_rpc_method_handler(function) for name, function in methods.items()}
    return (grpc.method_handlers_generic_handler("t.T", methods),)


def trailers(port):
    names = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for method in ("Plain", "Rich"):
            try:
                channel.unary_unary(f"/t.T/{method}")(b"", timeout=5)
            except grpc.RpcError as error:
                names.append([key for key, _ in error.trailing_metadata()])
    return names


async def aio():
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(handlers(plain_aio, rich_aio))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    names = await asyncio.to_thread(trailers, port)
    await server.stop(0)
    return names


server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers(handlers(plain, rich))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
seen = {"sync": trailers(port), "aio": asyncio.run(aio())}
server.stop(0).wait(5)
print(f"versions: grpcio {grpc.__version__}, grpcio-status 1.85.1, Python {platform.python_version()}")
for api, (plain_names, rich_names) in seen.items():
    print(f"{api:>4}: trailers after abort {plain_names}, after abort_with_status {rich_names}")
print("guess: ['cost'] and ['cost', 'grpc-status-details-bin']")
print("behavior: the rich status replaces all trailers, so what an interceptor added is lost on exactly these errors")
assert all(names == [["cost"], ["grpc-status-details-bin"]] for names in seen.values()), "the behavior has changed"
PY
