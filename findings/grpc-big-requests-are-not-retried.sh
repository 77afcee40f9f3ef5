#!/usr/bin/env bash
# A retryPolicy retries small requests only: past a buffer of 256 KiB (grpcio) or 1 MiB (grpc-js) a call gets one
# attempt, and nothing says so. A guess: the size of a message has nothing to do with retries.
# Source: gRFC A6, "memory management (buffering)"; channel argument grpc.per_rpc_retry_buffer_size.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1
npm install --prefix "$work" --silent --no-audit --no-fund @grpc/grpc-js@1.14.7
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import json
import platform
from concurrent import futures

import grpc

POLICY = {"maxAttempts": 4, "initialBackoff": "0.02s", "maxBackoff": "0.1s", "backoffMultiplier": 1,
          "retryableStatusCodes": ["UNAVAILABLE"]}
attempts = []


def fail_twice(request, context):
    attempts.append(len(request))
    if len(attempts) < 3:
        context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
    return b""


server = grpc.server(futures.ThreadPoolExecutor(4))
handlers = {"FailTwice": grpc.unary_unary_rpc_method_handler(fail_twice)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
config = json.dumps({"methodConfig": [{"name": [{"service": "t.T"}], "retryPolicy": POLICY}]})
channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.service_config", config)])
print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}")
seen = {}
for size in (1_000, 200_000, 300_000):
    attempts.clear()
    try:
        channel.unary_unary("/t.T/FailTwice")(b"x" * size, timeout=5)
        code = "OK"
    except grpc.RpcError as error:
        code = error.code().name
    seen[size] = (code, len(attempts))
    print(f"grpcio, request of {size:>9,} bytes: {code} after {len(attempts)} attempts")
server.stop(0).wait(5)
expected = {1_000: ("OK", 3), 200_000: ("OK", 3), 300_000: ("UNAVAILABLE", 1)}
assert seen == expected, "the behavior has changed"
PY
cat >"$work/node.js" <<'JS'
const grpc = require('@grpc/grpc-js');
const same = (bytes) => bytes;
const service = { FailTwice: { path: '/t.T/FailTwice', requestStream: false, responseStream: false, requestSerialize: same,
  requestDeserialize: same, responseSerialize: same, responseDeserialize: same } };
let attempts = 0;
const server = new grpc.Server();
server.addService(service, { FailTwice: (call, answer) =>
  (attempts += 1) < 3 ? answer({ code: grpc.status.UNAVAILABLE, details: 'not yet' }) : answer(null, Buffer.alloc(0)) });
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), async (failed, port) => {
  const retryPolicy = { maxAttempts: 4, initialBackoff: '0.02s', maxBackoff: '0.1s', backoffMultiplier: 1,
    retryableStatusCodes: ['UNAVAILABLE'] };
  const config = JSON.stringify({ methodConfig: [{ name: [{ service: 't.T' }], retryPolicy }] });
  const Client = grpc.makeGenericClientConstructor(service, 'T');
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), { 'grpc.service_config': config });
  const seen = [];
  for (const size of [300000, 1100000]) {
    attempts = 0;
    const code = await new Promise((done) => client.FailTwice(Buffer.alloc(size), (error) => done(error ? error.code : 0)));
    console.log(`grpc-js 1.14.7, request of ${size} bytes: ${grpc.status[code]} after ${attempts} attempts`);
    seen.push(`${code} ${attempts}`);
  }
  process.exit(seen.join() === '0 3,14 1' ? 0 : 1);
});
JS
timeout 30 node "$work/node.js"
echo "guess: three attempts each, OK each"
echo "behavior: the same policy, the same server; the bigger request is never sent again, and each language draws its own line"
