#!/usr/bin/env bash
# grpcio: with a keepalive of one second a quiet call gets two pings, at 1 s and at 2 s, and then none: a peer that is
# lost later is not noticed. A guess: a ping a second, and a GOAWAY for too many of them from a strict server.
# Source: gRPC's doc/keepalive.md (grpc.http2.max_pings_without_data is 2 unless set); gRFC A8.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1 h2==4.4.1
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import platform
import socket
import threading
import time

import grpc
import h2.config
import h2.connection
import h2.events


def answer_headers_and_pings(listener, pings):
    """A peer that opens the stream, answers every ping and never sends a message."""
    connection, _ = listener.accept()
    start = time.monotonic()
    http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    http2.initiate_connection()
    connection.sendall(http2.data_to_send())
    while data := connection.recv(65536):
        for event in http2.receive_data(data):
            if isinstance(event, h2.events.PingReceived):
                pings.append(round(time.monotonic() - start))
            elif isinstance(event, h2.events.RequestReceived):
                http2.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
        connection.sendall(http2.data_to_send())


def pings_in_nine_seconds(*options):
    listener, pings = socket.create_server(("127.0.0.1", 0)), []
    threading.Thread(target=answer_headers_and_pings, args=(listener, pings), daemon=True).start()
    options = [("grpc.keepalive_time_ms", 1000), *options]
    with grpc.insecure_channel(f"127.0.0.1:{listener.getsockname()[1]}", options=options) as channel:
        try:
            channel.unary_unary("/t.T/Quiet")(b"", timeout=9)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    return pings


print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}, h2 {h2.__version__}")
usual, unlimited = pings_in_nine_seconds(), pings_in_nine_seconds(("grpc.http2.max_pings_without_data", 0))
print(f"keepalive_time_ms 1000, a call quiet for 9 s: pings at {usual} s")
print(f"the same with max_pings_without_data 0:       pings at {unlimited} s")
print("guess: eight pings, both times")
print("behavior: two, unless a second option is set")
assert len(usual) == 2 and len(unlimited) >= 6, "the behavior has changed"
PY
