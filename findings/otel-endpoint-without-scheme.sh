#!/usr/bin/env bash
# OTEL_EXPORTER_OTLP_ENDPOINT without a scheme. `127.0.0.1:PORT`: Python and Node begin a TLS handshake, Go drops the value
# and dials its default, localhost:4317. `localhost:PORT`: TLS in all three. A guess: the address, in plain text.
# Source: specification, "Endpoint URLs for OTLP/gRPC" (scheme http or https).
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -q --disable-pip-version-check opentelemetry-sdk==1.45.2 opentelemetry-exporter-otlp-proto-grpc==1.45.2 grpcio==1.85.1
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-base@2.12.1 \
  @opentelemetry/exporter-trace-otlp-grpc@0.223.0
export GOMODCACHE="$work/mod"
cat >main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
)

// Dials nowhere but to the test's own address: what the exporter would dial instead is printed.
func main() {
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		fmt.Println("DIALS", address)
		if address == "localhost:4317" || address == "127.0.0.1:4317" || address == "[::1]:4317" {
			return nil, errors.New("not dialed")
		}
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	exporter, err := otlptracegrpc.New(ctx, otlptracegrpc.WithDialOption(grpc.WithContextDialer(dial)), otlptracegrpc.WithTimeout(time.Second))
	if err != nil {
		fmt.Println("REFUSED", err)
		return
	}
	provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
	_, span := provider.Tracer("finding").Start(ctx, "a")
	span.End()
}
GO
(go mod init finding && go mod edit -require=google.golang.org/grpc@v1.85.0 -require=go.opentelemetry.io/otel/sdk@v1.47.0 \
  -require=go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc@v1.47.0 && go build -mod=mod -o export-go .) \
  2>go.log || { cat go.log; exit 1; }
cat >export.js <<'JS'
const { BasicTracerProvider } = require('@opentelemetry/sdk-trace-base');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-grpc');
const span = new BasicTracerProvider().getTracer('finding').startSpan('a');
span.end();
new OTLPTraceExporter({ timeoutMillis: 1000 }).export([span], () => process.exit(0));
JS
cat >export.py <<'PY'
import logging

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider

logging.disable(logging.CRITICAL)
span = TracerProvider().get_tracer("finding").start_span("a")
span.end()
OTLPSpanExporter(timeout=1).export([span])
PY
cat >main.py <<'PY'
import os
import socket
import subprocess
import sys
import threading

MEANING = {b"\x16": "TLS handshake", b"P": "plain HTTP/2"}
expected = {"127.0.0.1": ["TLS handshake", "TLS handshake", "nothing: dials localhost:4317"], "localhost": ["TLS handshake"] * 3}


def first_byte(listener, seen):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        seen.append(connection.recv(1))
        connection.close()


print("versions: OTLP gRPC exporters Python 1.45.2, Node 0.223.0, Go 1.47.0")
found = {}
for host in expected:
    found[host] = []
    for name, command in {"Python": [sys.executable, "export.py"], "Node": ["node", "export.js"], "Go": ["./export-go"]}.items():
        listener, seen = socket.create_server(("127.0.0.1", 0)), []
        threading.Thread(target=first_byte, args=(listener, seen), daemon=True).start()
        endpoint = f"{host}:{listener.getsockname()[1]}"
        run = subprocess.run(command, env=os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, capture_output=True, text=True, timeout=30)
        listener.close()
        dials = [line.split()[1] for line in run.stdout.splitlines() if line.startswith("DIALS")]
        what = MEANING[seen[0]] if seen else f"nothing: dials localhost:{dials[0].rpartition(':')[2]}" if dials else "nothing"
        found[host].append(what)
        print(f"{host}:PORT, {name:<6}: the server sees {what}")
print("guess: plain HTTP/2, six times; a plain-text Collector on loopback is the usual one")
print("behavior: never; and Go leaves the address for its default without an error")
assert found == expected, "the behavior has changed"
PY
GRPC_VERBOSITY=NONE timeout 120 venv/bin/python main.py
