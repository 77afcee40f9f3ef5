#!/usr/bin/env bash
# The Collector's OTLP/JSON reader (pdata) takes what the specification rules out, `trace_id` for `traceId` and enum names for
# numbers, and refuses base64 ids. A sender that was tried against a Collector alone can be wrong for others.
# A guess: a reader by the book ignores an unknown `trace_id` and refuses "SPAN_KIND_SERVER".
# Source: opentelemetry-proto, docs/specification.md, "JSON Protobuf Encoding" (lowerCamelCase keys only, integers for enums).
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export GOMODCACHE="$work/mod"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"runtime"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

const id = "5b8efff798038103d269b633813fc60c"

func main() {
	fmt.Printf("versions: go.opentelemetry.io/collector/pdata 1.71.0, %s\n", runtime.Version())
	same := true
	for _, test := range []struct{ fields, name, expected string }{
		{`"traceId": "` + id + `", "kind": 2`, "as specified", id + " Server"},
		{`"trace_id": "` + id + `", "kind": 2`, "snake case", id + " Server"},
		{`"traceId": "` + id + `", "kind": "SPAN_KIND_SERVER"`, "enum by name", id + " Server"},
		{`"traceId": "W47/95gDgQPSabYzgT/GDA==", "kind": 2`, "base64 id", "refused"},
	} {
		seen := "refused"
		body := `{"resourceSpans": [{"scopeSpans": [{"spans": [{` + test.fields + `}]}]}]}`
		if traces, err := new(ptrace.JSONUnmarshaler).UnmarshalTraces([]byte(body)); err == nil {
			span := traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
			seen = span.TraceID().String() + " " + span.Kind().String()
		}
		fmt.Printf("%-13s %s\n", test.name+":", seen)
		same = same && seen == test.expected
	}
	fmt.Println("guess: the first is read; of the second the id is missing; the third is refused")
	fmt.Println("behavior: all but base64 are read alike")
	if !same {
		fmt.Println("the behavior has changed")
		os.Exit(1)
	}
}
GO
(go mod init finding && go mod edit -require=go.opentelemetry.io/collector/pdata@v1.71.0 && go build -mod=mod -o finding .) \
  2>go.log || { cat go.log; exit 1; }
timeout 30 ./finding
