#!/usr/bin/env bash
# A service config with a mistake ("maxAttempts": 1): grpcio makes the channel, and every call on it then fails with
# INVALID_ARGUMENT, the code for a bad request, without a packet sent. grpc-js throws when the client is made.
# A guess: the channel is refused, or the bad part is ignored.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1
npm install --prefix "$work" --silent --no-audit --no-fund @grpc/grpc-js@1.14.7
export CONFIG='{"methodConfig": [{"name": [{"service": "t.T"}], "retryPolicy": {"maxAttempts": 1, "initialBackoff": "0.1s",
  "maxBackoff": "1s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}'
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import os
import platform
from concurrent import futures

import grpc

reached = []
server = grpc.server(futures.ThreadPoolExecutor(2))
handlers = {"Note": grpc.unary_unary_rpc_method_handler(lambda request, context: reached.append(request) or b"")}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}, grpc-js 1.14.7")
channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.service_config", os.environ["CONFIG"])])
codes = []
for method in ("/t.T/Note", "/another.Service/Method"):
    try:
        channel.unary_unary(method)(b"", timeout=5)
    except grpc.RpcError as error:
        codes.append(error.code().name)
        print(f"grpcio:  the channel is made; {method} fails with {codes[-1]}: {error.details().splitlines()[0][:60]}")
print(f"grpcio:  calls that reached the server: {len(reached)}")
server.stop(0).wait(5)
assert codes == ["INVALID_ARGUMENT"] * 2 and not reached, "the behavior has changed"
PY
cat >"$work/node.js" <<'JS'
const grpc = require('@grpc/grpc-js');
const Client = grpc.makeGenericClientConstructor({}, 'T');
try {
  new Client('127.0.0.1:1', grpc.credentials.createInsecure(), { 'grpc.service_config': process.env.CONFIG });
  console.log('grpc-js: takes it now');
  process.exit(1);
} catch (error) {
  console.log(`grpc-js: new Client throws: ${error.message}`);
}
JS
timeout 30 node "$work/node.js"
echo "guess: an error where the channel is made, in both"
echo "behavior: in Python the mistake shows as a refused request, on methods too that the config does not name"
