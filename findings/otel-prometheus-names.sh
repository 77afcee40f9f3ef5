#!/usr/bin/env bash
# The same instruments under three Prometheus exporters have other names: a fill ratio is queue_fill_ratio in Go alone, a
# duration in seconds ends in _seconds in Python and Go, not in Node, and a counter `bytes.sent` in bytes is
# bytes_sent_bytes_total in Python alone. A guess: one mapping, one dashboard.
# Source: specification, "Prometheus and OpenMetrics Compatibility" (metric metadata, unit suffixes).
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -q --disable-pip-version-check opentelemetry-sdk==1.45.2 opentelemetry-exporter-prometheus==0.66b2
npm install --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/sdk-metrics@2.12.1 @opentelemetry/exporter-prometheus@0.223.0
export GOMODCACHE="$work/mod"
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
)

func main() {
	ctx, registry := context.Background(), prometheus.NewRegistry()
	reader, _ := exporter.New(exporter.WithRegisterer(registry))
	meter := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("finding")
	sent, _ := meter.Int64Counter("bytes.sent", metric.WithUnit("By"))
	sent.Add(ctx, 1)
	duration, _ := meter.Float64Histogram("rpc.server.call.duration", metric.WithUnit("s"))
	duration.Record(ctx, 1)
	fill, _ := meter.Float64Gauge("queue.fill", metric.WithUnit("1"))
	fill.Record(ctx, 0.5)
	families, _ := registry.Gather()
	for _, family := range families {
		fmt.Println(family.GetName())
	}
}
GO
(go mod init finding && go mod edit -require=go.opentelemetry.io/otel/sdk/metric@v1.47.0 -require=github.com/prometheus/client_golang@v1.24.1 \
  -require=go.opentelemetry.io/otel/exporters/prometheus@v0.69.0 && go build -mod=mod -o names .) 2>go.log || { cat go.log; exit 1; }
cat >names.js <<'JS'
const { MeterProvider } = require('@opentelemetry/sdk-metrics');
const { PrometheusExporter, PrometheusSerializer } = require('@opentelemetry/exporter-prometheus');
const reader = new PrometheusExporter({ preventServerStart: true });
const meter = new MeterProvider({ readers: [reader] }).getMeter('finding');
meter.createCounter('bytes.sent', { unit: 'By' }).add(1);
meter.createHistogram('rpc.server.call.duration', { unit: 's' }).record(1);
meter.createGauge('queue.fill', { unit: '1' }).record(0.5);
reader.collect().then(({ resourceMetrics }) => {
  for (const line of new PrometheusSerializer().serialize(resourceMetrics).split('\n'))
    if (line.startsWith('# TYPE')) console.log(line.split(' ')[2]);
});
JS
cat >names.py <<'PY'
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, generate_latest

meter = MeterProvider([PrometheusMetricReader()]).get_meter("finding")
meter.create_counter("bytes.sent", unit="By").add(1)
meter.create_histogram("rpc.server.call.duration", unit="s").record(1)
meter.create_gauge("queue.fill", unit="1").set(0.5)
for line in generate_latest(REGISTRY).decode().splitlines():
    if line.startswith("# TYPE"):
        print(line.split()[2])
PY
echo "versions: exporters Python 0.66b2, Node 0.223.0, Go 0.69.0"
ours='^(bytes_sent|rpc_server|queue_fill)'
{
  for run in "Python venv/bin/python names.py" "Node node names.js" "Go ./names"; do
    echo "${run%% *}: $(timeout 30 ${run#* } | grep -E "$ours" | sort | paste -sd' ')"
  done
} | tee seen.txt
echo "guess: three equal lines"
echo "behavior: three different ones; a query that works for one service finds nothing of the next"
diff seen.txt - <<'EXPECTED'
Python: bytes_sent_bytes_total queue_fill rpc_server_call_duration_seconds
Node: bytes_sent_total queue_fill rpc_server_call_duration
Go: bytes_sent_total queue_fill_ratio rpc_server_call_duration_seconds
EXPECTED
