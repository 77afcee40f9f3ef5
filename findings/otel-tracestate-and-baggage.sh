#!/usr/bin/env bash
# The same `tracestate` and `baggage` headers, read by three SDKs. A 33rd tracestate member, a doubled key or one bad
# member: Python and Go drop the whole header, Node keeps the rest. Of 181 baggage entries Python and Node keep 180, Go 64;
# of 9,000 bytes in ten entries Python and Go keep none, Node nine. A guess: one standard, one result.
# Source: W3C Trace Context, "tracestate header field values" (at most 32 members); W3C Baggage, "Limits" (64 and 8,192 bytes).
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -q --disable-pip-version-check opentelemetry-api==1.45.2
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/core@2.12.1
cat >ask.py <<'PY'
import json

many = [f"k{number}=v" for number in range(181)]
print(json.dumps({
    "tracestate": {"33 members": ",".join(many[:33]), "a key twice": "a=1,b=2,a=3", "one bad member": "a=1,B!=2,c=3"},
    "baggage": {"181 entries": ",".join(many), "9,000 bytes in 10": ",".join(f"k{n}={'v' * 896}" for n in range(10)),
                "one bad entry": "a=1,b b=2,c=3"},
}))
PY
venv/bin/python ask.py >headers.json
cat >read.py <<'PY'
import json
import logging

from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

logging.disable(logging.CRITICAL)
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
headers = json.load(open("headers.json"))
for name, value in headers["tracestate"].items():
    context = TraceContextTextMapPropagator().extract({"traceparent": PARENT, "tracestate": value})
    print("tracestate", name, len(trace.get_current_span(context).get_span_context().trace_state))
for name, value in headers["baggage"].items():
    print("baggage", name, len(baggage.get_all(W3CBaggagePropagator().extract({"baggage": value}))))
PY
cat >read.js <<'JS'
const { ROOT_CONTEXT, trace, propagation, defaultTextMapGetter } = require('@opentelemetry/api');
const { W3CTraceContextPropagator, W3CBaggagePropagator } = require('@opentelemetry/core');
const headers = JSON.parse(require('fs').readFileSync('headers.json'));
const extract = (propagator, carrier) => propagator.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter);
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
for (const [name, tracestate] of Object.entries(headers.tracestate)) {
  const state = trace.getSpanContext(extract(new W3CTraceContextPropagator(), { traceparent, tracestate })).traceState;
  console.log('tracestate', name, state.serialize().split(',').length);
}
for (const [name, baggage] of Object.entries(headers.baggage))
  console.log('baggage', name, propagation.getBaggage(extract(new W3CBaggagePropagator(), { baggage })).getAllEntries().length);
JS
mkdir go
cat >go/main.go <<'GO'
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	var headers map[string]map[string]string
	content, _ := os.ReadFile("headers.json")
	_ = json.Unmarshal(content, &headers)
	for _, name := range []string{"33 members", "a key twice", "one bad member"} {
		carrier := propagation.MapCarrier{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": headers["tracestate"][name]}
		ctx := propagation.TraceContext{}.Extract(context.Background(), carrier)
		fmt.Println("tracestate", name, trace.SpanContextFromContext(ctx).TraceState().Len())
	}
	for _, name := range []string{"181 entries", "9,000 bytes in 10", "one bad entry"} {
		ctx := propagation.Baggage{}.Extract(context.Background(), propagation.MapCarrier{"baggage": headers["baggage"][name]})
		fmt.Println("baggage", name, baggage.FromContext(ctx).Len())
	}
}
GO
export GOMODCACHE="$work/mod"
(cd go && go mod init finding && go mod edit -require=go.opentelemetry.io/otel@v1.47.0 && go build -mod=mod -o ../read-go .) \
  2>go.log || { cat go.log; exit 1; }
timeout 60 venv/bin/python read.py >python.txt
timeout 60 node read.js >node.txt
timeout 60 ./read-go >go.txt 2>/dev/null
echo "versions: OpenTelemetry Python 1.45.2, Node 2.12.1, Go 1.47.0; how many members survive"
cat >expected.txt <<'EXPECTED'
header                            Python  Node  Go
tracestate 33 members                  0    32   0
tracestate a key twice                 0     2   0
tracestate one bad member              0     2   0
baggage 181 entries                  180   180  64
baggage 9,000 bytes in 10              0     9   0
baggage one bad entry                  2     3   2
EXPECTED
{
  printf '%-33s %6s %5s %3s\n' header Python Node Go
  paste -d'\n' python.txt node.txt go.txt | while read -r line; do
    read -r node && read -r go
    printf '%-33s %6s %5s %3s\n' "${line% *}" "${line##* }" "${node##* }" "${go##* }"
  done
} | tee seen.txt
echo "guess: three equal columns"
echo "behavior: what one service passes on, the next one silently loses, or keeps in part"
diff seen.txt expected.txt
