#!/usr/bin/env bash
# grpcio: an error with a long message becomes another error. NOT_FOUND with 12,000 characters of details arrives
# as NOT_FOUND or as RESOURCE_EXHAUSTED, by chance; with 20,000 always as RESOURCE_EXHAUSTED. grpc-js takes 40,000.
# A guess: the message is cut, or there is no limit, or at least the same call ends the same way each time.
# Source: gRPC core's channel arguments grpc.max_metadata_size (soft) and grpc.absolute_max_metadata_size.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1
npm install --prefix "$work" --silent --no-audit --no-fund @grpc/grpc-js@1.14.7
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import platform
from collections import Counter
from concurrent import futures

import grpc


def fail(request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "x" * int(request))


server = grpc.server(futures.ThreadPoolExecutor(4))
handlers = {"Fail": grpc.unary_unary_rpc_method_handler(fail)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
fail_by_rpc = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary("/t.T/Fail")


def codes(length, calls=60):
    counted = Counter()
    for _ in range(calls):
        try:
            fail_by_rpc(b"%d" % length, timeout=5)
        except grpc.RpcError as error:
            counted[error.code().name] += 1
    return dict(counted)


print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}")
seen = {length: codes(length) for length in (7000, 12000, 20000)}
for length, counted in seen.items():
    print(f"NOT_FOUND with {length:>6} characters, 60 calls: {counted}")
server.stop(0).wait(5)
assert seen[7000] == {"NOT_FOUND": 60} and seen[20000] == {"RESOURCE_EXHAUSTED": 60}, "the limits have changed"
assert set(seen[12000]) == {"NOT_FOUND", "RESOURCE_EXHAUSTED"}, "it is no longer by chance"
PY
cat >"$work/node.js" <<'JS'
const grpc = require('@grpc/grpc-js');
const same = (bytes) => bytes;
const service = { Fail: { path: '/t.T/Fail', requestStream: false, responseStream: false, requestSerialize: same,
  requestDeserialize: same, responseSerialize: same, responseDeserialize: same } };
const server = new grpc.Server();
server.addService(service, { Fail: (call, answer) => answer({ code: grpc.status.NOT_FOUND, details: 'x'.repeat(40000) }) });
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (failed, port) => {
  const Client = grpc.makeGenericClientConstructor(service, 'T');
  new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure()).Fail(Buffer.alloc(0), (error) => {
    console.log(`grpc-js 1.14.7: NOT_FOUND with 40000 characters arrives as ${grpc.status[error.code]}`);
    process.exit(error.code === grpc.status.NOT_FOUND ? 0 : 1);
  });
});
JS
timeout 30 node "$work/node.js"
echo "guess: the code stays NOT_FOUND, whatever becomes of the text"
echo "behavior: past 8 KiB of metadata the code is replaced, at random; past 16 KiB always (a stack trace is enough)"
