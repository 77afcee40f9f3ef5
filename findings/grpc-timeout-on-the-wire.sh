#!/usr/bin/env bash
# What `timeout=10` becomes in the `grpc-timeout` header: grpcio sends 10100m, more than its caller waits; 1,000 s become
# 1010S. grpc-js sends what is left, 9999m. A guess: never more than is left, so that a deadline only shrinks on its way.
# Source: gRPC's PROTOCOL-HTTP2.md; read in gRPC core (about three digits are kept, rounded up).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1 h2==4.4.1
npm install --prefix "$work" --silent --no-audit --no-fund @grpc/grpc-js@1.14.7
cat >"$work/node.js" <<'JS'
const grpc = require('@grpc/grpc-js');
const same = (bytes) => bytes;
const service = { Call: { path: '/t.T/Call', requestStream: false, responseStream: false, requestSerialize: same,
  requestDeserialize: same, responseSerialize: same, responseDeserialize: same } };
const Client = grpc.makeGenericClientConstructor(service, 'T');
const client = new Client(process.argv[2], grpc.credentials.createInsecure());
client.waitForReady(Date.now() + 9000, () => client.Call(Buffer.alloc(0), { deadline: Date.now() + 1000 * process.argv[3] }, () => process.exit(0)));
JS
cat >"$work/main.py" <<'PY'
import platform
import socket
import subprocess
import sys
import threading

import grpc
import h2.config
import h2.connection
import h2.events


def note_timeouts(connection, timeouts):
    """A peer that reads the header as it came and ends every call with OK."""
    http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    http2.initiate_connection()
    connection.sendall(http2.data_to_send())
    while data := connection.recv(65536):
        for event in http2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                timeouts.append(dict(event.headers)["grpc-timeout"])
                headers = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "0")]
                http2.send_headers(event.stream_id, headers, end_stream=True)
        connection.sendall(http2.data_to_send())


def accept(listener, timeouts):
    while True:
        threading.Thread(target=note_timeouts, args=(listener.accept()[0], timeouts), daemon=True).start()


listener, timeouts = socket.create_server(("127.0.0.1", 0)), []
threading.Thread(target=accept, args=(listener, timeouts), daemon=True).start()
address = f"127.0.0.1:{listener.getsockname()[1]}"
UNIT = {"u": 1e-6, "m": 1e-3, "S": 1, "M": 60, "H": 3600}
print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}, grpc-js 1.14.7")
channel = grpc.insecure_channel(address)
grpc.channel_ready_future(channel).result(10)
for seconds in (10, 100, 1000):
    timeouts.clear()
    try:
        channel.unary_unary("/t.T/Call")(b"", timeout=seconds)
    except grpc.RpcError:
        pass  # no message came: the header is all that counts here
    subprocess.run(["node", sys.argv[1], address, str(seconds)], timeout=20, check=False)
    python, node = timeouts
    print(f"deadline {seconds:>4} s: grpcio sends {python}, grpc-js {node}")
    assert float(python[:-1]) * UNIT[python[-1]] > seconds, "grpcio rounds down now"
    assert float(node[:-1]) * UNIT[node[-1]] <= seconds, "grpc-js rounds up now"
channel.close()
print("guess: a little less than the deadline, from both")
print("behavior: grpcio's header is one per cent too long, so a callee may be told to work past its caller's patience")
PY
GRPC_VERBOSITY=NONE timeout 90 "$work/venv/bin/python" "$work/main.py" "$work/node.js"
