#!/usr/bin/env bash
# A Collector that takes a batch but rejects spans of it answers OK with partial_success. Python's gRPC and HTTP exporters
# report success and log nothing, not even at DEBUG. A guess: a warning with the server's reason.
# Source: opentelemetry-proto, docs/specification.md, "Partial Success" (a warning is to be logged).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1 opentelemetry-sdk==1.45.2 \
  opentelemetry-exporter-otlp-proto-grpc==1.45.2 opentelemetry-exporter-otlp-proto-http==1.45.2
npm install --prefix "$work" --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-base@2.12.1 \
  @opentelemetry/exporter-trace-otlp-http@0.223.0
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import http.server
import io
import logging
import platform
import threading
from concurrent import futures

import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTracePartialSuccess, ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.version import __version__

REASON = "span 1 is too old"
ANSWER = ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message=REASON))
log = io.StringIO()
logging.basicConfig(level=logging.DEBUG, stream=log)


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = ANSWER.SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=web.serve_forever, daemon=True).start()
server = grpc.server(futures.ThreadPoolExecutor(2))
handlers = {"Export": grpc.unary_unary_rpc_method_handler(lambda request, context: ANSWER.SerializeToString())}
service = "opentelemetry.proto.collector.trace.v1.TraceService"
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
span = TracerProvider().get_tracer("finding").start_span("a")
span.end()
results = [GrpcExporter(endpoint=f"http://127.0.0.1:{port}").export([span]).name,
           HttpExporter(endpoint=f"http://127.0.0.1:{web.server_port}/v1/traces").export([span]).name]
told = any(word in log.getvalue() for word in (REASON, "partial", "rejected"))
print(f"versions: OTLP exporters {__version__}, Python {platform.python_version()}")
print(f"Python: gRPC {results[0]}, HTTP {results[1]}; a word of it in a log at DEBUG: {told}")
server.stop(0).wait(5)
web.shutdown()
assert results == ["SUCCESS", "SUCCESS"] and not told, "partial success is told now"
PY
cat >"$work/node.js" <<'JS'
const { diag, DiagLogLevel } = require('@opentelemetry/api');
const { BasicTracerProvider } = require('@opentelemetry/sdk-trace-base');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-http');
const said = [];
const note = (...words) => said.push(words.join(' '));
diag.setLogger({ error: note, warn: note, info: () => {}, debug: () => {}, verbose: () => {} }, DiagLogLevel.WARN);
const span = new BasicTracerProvider().getTracer('finding').startSpan('a');
span.end();
const collector = require('http').createServer((request, answer) => {
  request.resume().on('end', () => answer.writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify({ partialSuccess: { rejectedSpans: '1', errorMessage: 'span 1 is too old' } })));
});
collector.listen(0, '127.0.0.1', () => {
  new OTLPTraceExporter({ url: `http://127.0.0.1:${collector.address().port}/v1/traces` }).export([span], (result) => {
    console.log(`Node 0.223.0: result code ${result.code}, warned: ${said.some((line) => line.includes('too old'))}`);
    process.exit(said.some((line) => line.includes('too old')) ? 0 : 1);
  });
});
JS
timeout 30 node "$work/node.js"
echo "guess: a warning in both"
echo "behavior: in Python nobody learns that spans were refused"
