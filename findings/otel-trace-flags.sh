#!/usr/bin/env bash
# A sampled root span: Python sends `traceparent …-03` where Node sends `…-01`, and over OTLP Python's span has flags 256,
# Node's 257: the sampled bit is on Python's wire between services and missing from its exported span.
# A guess: 01 and 1 (or 257), in both; code that compares with "01" or tests flags & 1 works.
# Source: W3C Trace Context level 2 (random-trace-id flag); opentelemetry-proto, Span.flags (bits 0-7 are the W3C flags).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check opentelemetry-exporter-otlp-proto-common==1.45.2 opentelemetry-sdk==1.45.2
npm install --prefix "$work" --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-base@2.12.1 \
  @opentelemetry/core@2.12.1 @opentelemetry/otlp-transformer@0.223.0
timeout 60 "$work/venv/bin/python" - <<'PY' | tee "$work/python.txt"
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

span, carrier = TracerProvider().get_tracer("finding").start_span("root"), {}
TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(span))
span.end()
exported = encode_spans([span]).resource_spans[0].scope_spans[0].spans[0]
print(f"Python: traceparent ends in -{carrier['traceparent'][-2:]}, exported flags {exported.flags}")
PY
cat >"$work/node.js" <<'JS'
const { ROOT_CONTEXT, trace, defaultTextMapSetter } = require('@opentelemetry/api');
const { BasicTracerProvider } = require('@opentelemetry/sdk-trace-base');
const { W3CTraceContextPropagator } = require('@opentelemetry/core');
const { JsonTraceSerializer } = require('@opentelemetry/otlp-transformer');
const span = new BasicTracerProvider().getTracer('finding').startSpan('root');
const carrier = {};
new W3CTraceContextPropagator().inject(trace.setSpan(ROOT_CONTEXT, span), carrier, defaultTextMapSetter);
span.end();
const body = JSON.parse(Buffer.from(JsonTraceSerializer.serializeRequest([span])).toString());
console.log(`Node: traceparent ends in -${carrier.traceparent.slice(-2)}, exported flags ${body.resourceSpans[0].scopeSpans[0].spans[0].flags}`);
JS
timeout 30 node "$work/node.js" | tee "$work/node.txt"
echo "versions: OpenTelemetry SDK Python 1.45.2, Node 2.12.1 with otlp-transformer 0.223.0"
echo "guess: -01 and 257, twice"
echo "behavior: 03 is 'sampled' and 'random id'; 256 is 'parent known to be local' with no W3C flag at all"
grep -qx 'Python: traceparent ends in -03, exported flags 256' "$work/python.txt"
grep -qx 'Node: traceparent ends in -01, exported flags 257' "$work/node.txt"
