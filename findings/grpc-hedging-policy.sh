#!/usr/bin/env bash
# One service config with a hedgingPolicy: grpc-js sends three attempts, grpcio one, without a word about the rest.
# A misspelled key ("timeOut") is dropped as silently, by both. A guess: hedging, or a refused config.
# Source: gRFC A6.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1
npm install --prefix "$work" --silent --no-audit --no-fund @grpc/grpc-js@1.14.7
cat >"$work/hedge.json" <<'JSON'
{"methodConfig": [{"name": [{"service": "t.T"}], "timeOut": "0.001s",
  "hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0.02s", "nonFatalStatusCodes": []}}]}
JSON
export CONFIG="$work/hedge.json"
GRPC_VERBOSITY=INFO timeout 60 "$work/venv/bin/python" - 2>"$work/stderr" <<'PY'
import os
import platform
import time
from concurrent import futures
from pathlib import Path

import grpc

attempts = []


def slow(request, context):
    attempts.append(request)
    time.sleep(0.4)
    return b""


server = grpc.server(futures.ThreadPoolExecutor(4))
handlers = {"Slow": grpc.unary_unary_rpc_method_handler(slow)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
config = Path(os.environ["CONFIG"]).read_text()
channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.service_config", config)])
channel.unary_unary("/t.T/Slow")(b"", timeout=5)
print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}, grpc-js 1.14.7")
print(f"grpcio:  {len(attempts)} attempt reached the server in 0.4 s, the call is OK")
server.stop(0).wait(5)
assert len(attempts) == 1, "grpcio hedges now"
PY
if grep -iE 'hedg|timeOut|unknown field' "$work/stderr"; then
  echo "grpcio says something about it now"
  exit 1
fi
echo "grpcio:  on stderr there is nothing about hedging or the unknown key, with GRPC_VERBOSITY=INFO"
cat >"$work/node.js" <<'JS'
const grpc = require('@grpc/grpc-js');
const same = (bytes) => bytes;
const service = { Slow: { path: '/t.T/Slow', requestStream: false, responseStream: false, requestSerialize: same,
  requestDeserialize: same, responseSerialize: same, responseDeserialize: same } };
let attempts = 0;
const server = new grpc.Server();
server.addService(service, { Slow: (call, answer) => { attempts += 1; setTimeout(() => answer(null, Buffer.alloc(0)), 400); } });
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (failed, port) => {
  const config = require('fs').readFileSync(process.env.CONFIG, 'utf8');
  const Client = grpc.makeGenericClientConstructor(service, 'T');
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), { 'grpc.service_config': config });
  client.Slow(Buffer.alloc(0), { deadline: Date.now() + 5000 }, (error) => {
    console.log(`grpc-js: ${attempts} attempts reached the server, the call is ${error ? grpc.status[error.code] : 'OK'}`);
    process.exit(attempts === 3 && !error ? 0 : 1);
  });
});
JS
timeout 30 node "$work/node.js"
echo "guess: one config, one behavior, or an error"
echo "behavior: the feature depends on the language, and the config that asks for it is taken everywhere"
