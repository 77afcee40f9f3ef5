#!/usr/bin/env bash
# OpenTelemetry Python: force_flush returns True when the export failed, and ignores its timeout and the processor's
# export timeout alike. Node's forceFlush rejects. A guess: False on failure, False after 100 ms.
# Source: opentelemetry-python#4568, #4555.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check opentelemetry-sdk==1.45.2
npm install --prefix "$work" --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-base@2.12.1
OTEL_BSP_EXPORT_TIMEOUT=100 timeout 60 "$work/venv/bin/python" - <<'PY'
import platform
import time

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.version import __version__


class Fails(SpanExporter):
    def export(self, spans):
        return SpanExportResult.FAILURE

    def force_flush(self, timeout_millis=30000):
        return False


class TakesTwoSeconds(SpanExporter):
    def export(self, spans):
        time.sleep(2)
        return SpanExportResult.SUCCESS


print(f"versions: opentelemetry-sdk {__version__}, Python {platform.python_version()}")
seen = {}
for exporter in (Fails(), TakesTwoSeconds()):
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    provider.get_tracer("finding").start_span("a").end()
    start = time.monotonic()
    seen[type(exporter).__name__] = (provider.force_flush(timeout_millis=100), time.monotonic() - start)
    provider.shutdown()
for name, (result, seconds) in seen.items():
    print(f"Python, exporter {name}: force_flush(100 ms) returns {result} after {seconds:.1f} s")
assert seen["Fails"][0] is True, "failure is reported now"
assert seen["TakesTwoSeconds"][0] is True and seen["TakesTwoSeconds"][1] > 1.8, "a timeout counts now"
PY
cat >"$work/node.js" <<'JS'
const { BasicTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');
const exporter = { export: (spans, done) => done({ code: 1, error: new Error('refused') }),
  shutdown: async () => {}, forceFlush: async () => {} };
const provider = new BasicTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] });
provider.getTracer('finding').startSpan('a').end();
provider.forceFlush().then(
  () => { console.log('Node 2.12.1: resolves now'); process.exit(1); },
  (errors) => { console.log(`Node 2.12.1, an exporter that fails: forceFlush rejects, ${[].concat(errors)[0]}`); process.exit(0); });
JS
timeout 30 node "$work/node.js"
echo "guess: False, and False after 100 ms (OTEL_BSP_EXPORT_TIMEOUT is 100, too)"
echo "behavior: True, and True after 2 s: the result says nothing and the call lasts as long as the exporter likes"
