#!/usr/bin/env bash
# TraceIdRatioBased 0.25 over the same 10,000 trace ids: Python and Go agree, Node and Java each keep other traces.
# Services that sample by ratio without a parent's decision leave traces with holes.
# A guess: a trace id decides the same way everywhere, the name says so.
# Source: opentelemetry-js#6503; opentelemetry-specification#1413 (the algorithm was never specified).
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -q --disable-pip-version-check opentelemetry-sdk==1.45.2
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-base@2.12.1
mkdir go
cat >go/main.go <<'GO'
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func main() {
	sampler, lines := sdk.TraceIDRatioBased(0.25), bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		id, _ := trace.TraceIDFromHex(lines.Text())
		result := sampler.ShouldSample(sdk.SamplingParameters{ParentContext: context.Background(), TraceID: id})
		fmt.Println(result.Decision == sdk.RecordAndSample)
	}
}
GO
export GOMODCACHE="$work/mod"
(cd go && go mod init finding && go mod edit -require=go.opentelemetry.io/otel/sdk@v1.47.0 && go build -mod=mod -o sample .) \
  2>go.log || { cat go.log; exit 1; }
cat >pom.xml <<'XML'
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>finding</groupId><artifactId>finding</artifactId><version>1</version><dependencies><dependency>
<groupId>io.opentelemetry</groupId><artifactId>opentelemetry-sdk-trace</artifactId><version>1.68.0</version>
</dependency></dependencies></project>
XML
mvn -q -B -Dmaven.repo.local="$work/m2" dependency:copy-dependencies -DoutputDirectory=lib >/dev/null
cat >Sample.java <<'JAVA'
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.context.Context;
import io.opentelemetry.sdk.trace.samplers.*;
import java.io.*;
import java.util.List;

class Sample {
  public static void main(String[] args) {
    var sampler = Sampler.traceIdRatioBased(0.25);
    new BufferedReader(new InputStreamReader(System.in)).lines().forEach(id -> System.out.println(SamplingDecision.RECORD_AND_SAMPLE
        == sampler.shouldSample(Context.root(), id, "x", SpanKind.SERVER, Attributes.empty(), List.of()).getDecision()));
  }
}
JAVA
cat >sample.js <<'JS'
const { ROOT_CONTEXT } = require('@opentelemetry/api');
const { TraceIdRatioBasedSampler, SamplingDecision } = require('@opentelemetry/sdk-trace-base');
const sampler = new TraceIdRatioBasedSampler(0.25);
for (const id of require('fs').readFileSync(0, 'utf8').trim().split('\n'))
  console.log(sampler.shouldSample(ROOT_CONTEXT, id).decision === SamplingDecision.RECORD_AND_SAMPLED);
JS
cat >main.py <<'PY'
import itertools
import random
import subprocess

from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.sdk.version import __version__

draw = random.Random(7)
ids = [draw.getrandbits(128) for _ in range(10_000)]
text = "".join(f"{number:032x}\n" for number in ids)
sampler = TraceIdRatioBased(0.25)
kept = {"Python": {n for n, number in enumerate(ids) if sampler.should_sample(None, number, "x").decision.is_sampled()}}
for name, command in {"Go": ["go/sample"], "Node": ["node", "sample.js"], "Java": ["java", "-cp", "lib/*", "Sample.java"]}.items():
    lines = subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=120).stdout.split()
    kept[name] = {number for number, line in enumerate(lines) if line.lower() == "true"}
print(f"versions: OpenTelemetry SDK Python {__version__}, Go 1.47.0, Node 2.12.1, Java 1.68.0")
print("kept of 10,000:", {name: len(numbers) for name, numbers in kept.items()})
both = {pair: len(kept[pair[0]] & kept[pair[1]]) for pair in itertools.combinations(kept, 2)}
for (one, other), number in both.items():
    print(f"kept by {one} and {other}: {number}")
print("guess: the same 2,500 in all four")
print("behavior: two agree; the others' choice is as good as independent (2,500 x 0.25 = 625), or half of it")
assert kept["Python"] == kept["Go"], "Python and Go have parted"
assert all(number < 0.7 * 2500 for pair, number in both.items() if pair != ("Python", "Go")), "more of them agree now"
PY
timeout 300 venv/bin/python main.py
