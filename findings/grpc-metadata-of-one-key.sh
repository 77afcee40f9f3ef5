#!/usr/bin/env bash
# The metadata (a,1) (b,2) (a,3) arrives as sent from grpcio's sync client, as (a,1) (a,3) (b,2) from its aio client,
# and a grpc-js server makes one value "1, 3" of the two. A guess: three pairs, in order, everywhere.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1
npm install --prefix "$work" --silent --no-audit --no-fund @grpc/grpc-js@1.14.7
cat >"$work/node.js" <<'JS'
const grpc = require('@grpc/grpc-js');
const same = (bytes) => bytes;
const service = { Seen: { path: '/t.T/Seen', requestStream: false, responseStream: false, requestSerialize: same,
  requestDeserialize: same, responseSerialize: same, responseDeserialize: same } };
const server = new grpc.Server();
server.addService(service, { Seen: (call, answer) => answer(null, Buffer.from(JSON.stringify(call.metadata.get('a')))) });
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (failed, port) => console.log(port));
setTimeout(() => process.exit(0), 40000);
JS
cat >"$work/main.py" <<'PY'
import asyncio
import json
import platform
import subprocess
import sys
from concurrent import futures

import grpc

PAIRS = (("a", "1"), ("b", "2"), ("a", "3"))


def seen(request, context):
    return json.dumps([pair for pair in context.invocation_metadata() if pair[0] in "ab"]).encode()


async def by_aio(port):
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        return await channel.unary_unary("/t.T/Seen")(b"", timeout=5, metadata=PAIRS)


def by_sync(port):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        return channel.unary_unary("/t.T/Seen")(b"", timeout=5, metadata=PAIRS)


server = grpc.server(futures.ThreadPoolExecutor(2))
handlers = {"Seen": grpc.unary_unary_rpc_method_handler(seen)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
sync, aio = json.loads(by_sync(port)), json.loads(asyncio.run(by_aio(port)))
server.stop(0).wait(5)
node = subprocess.Popen(["node", sys.argv[1]], stdout=subprocess.PIPE, text=True)
try:
    joined = json.loads(by_sync(int(node.stdout.readline())))
finally:
    node.kill()
print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}, grpc-js 1.14.7")
print("sent:                          ", json.dumps(PAIRS))
print("grpcio sync client and server: ", json.dumps(sync))
print("grpcio aio client, sync server:", json.dumps(aio))
print("grpcio sync client, grpc-js server, metadata.get('a'):", json.dumps(joined))
print("guess: as sent, three times")
print("behavior: the aio client groups by key, Node's HTTP/2 layer joins by comma before gRPC sees the values")
assert sync == [["a", "1"], ["b", "2"], ["a", "3"]] and aio == [["a", "1"], ["a", "3"], ["b", "2"]], "Python has changed"
assert joined == ["1, 3"], "grpc-js has changed"
PY
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" "$work/main.py" "$work/node.js"
