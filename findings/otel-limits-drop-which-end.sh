#!/usr/bin/env bash
# Over a limit, which end goes? A full batch queue: Python drops the oldest spans, Node the newest. Over 128 attributes:
# Python drops the oldest, Node the newest. Over 128 events: both drop the oldest. A guess: the newest, or at least one rule.
# Source: specification, "Attribute limits" (what would exceed the limit must be discarded).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check opentelemetry-sdk==1.45.2
npm install --prefix "$work" --silent --no-audit --no-fund @opentelemetry/api@1.9.1 @opentelemetry/sdk-trace-base@2.12.1
timeout 60 "$work/venv/bin/python" - <<'PY' | tee "$work/python.txt"
import logging
import threading

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.version import __version__

logging.disable(logging.CRITICAL)
entered, gate, spans = threading.Event(), threading.Event(), []


class Waits(SpanExporter):
    def export(self, batch):
        entered.set()
        gate.wait(20)
        spans.extend(batch)
        return SpanExportResult.SUCCESS


provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Waits(), max_queue_size=8, max_export_batch_size=8, schedule_delay_millis=60_000))
tracer = provider.get_tracer("finding")
for _ in range(8):  # these are being exported while the others come
    tracer.start_span("first batch").end()
assert entered.wait(20)
for number in range(40):
    tracer.start_span(f"s{number}").end()
big = tracer.start_span("big")
for number in range(200):
    big.set_attribute(f"k{number}", number)
    big.add_event(f"e{number}")
gate.set()
provider.shutdown()
attributes, events = list(big.attributes), [event.name for event in big.events]
kept = {span.name for span in spans}
print(f"queue:      first span lost {'s0' not in kept}, last span lost {'s39' not in kept}")
print(f"attributes: {attributes[0]} to {attributes[-1]}")
print(f"events:     {events[0]} to {events[-1]}")
PY
cat >"$work/node.js" <<'JS'
const { BasicTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');
const spans = [];
let [open, enter] = [];
const gate = new Promise((resolve) => { open = resolve; });
const entered = new Promise((resolve) => { enter = resolve; });
const exporter = { export: (batch, done) => enter() ?? gate.then(() => { spans.push(...batch); done({ code: 0 }); }), shutdown: async () => {} };
const processor = new BatchSpanProcessor(exporter, { maxQueueSize: 8, maxExportBatchSize: 8, scheduledDelayMillis: 60000 });
const provider = new BasicTracerProvider({ spanProcessors: [processor] });
const tracer = provider.getTracer('finding');
(async () => {
  for (let number = 0; number < 8; number += 1) tracer.startSpan('first batch').end();
  await entered; // these are being exported while the others come
  for (let number = 0; number < 40; number += 1) tracer.startSpan(`s${number}`).end();
  const big = tracer.startSpan('big');
  for (let number = 0; number < 200; number += 1) big.setAttribute(`k${number}`, number).addEvent(`e${number}`);
  open();
  await provider.shutdown();
  const [kept, attributes] = [new Set(spans.map((span) => span.name)), Object.keys(big.attributes)];
  const lost = (name) => (kept.has(name) ? 'False' : 'True');
  console.log(`queue:      first span lost ${lost('s0')}, last span lost ${lost('s39')}`);
  console.log(`attributes: ${attributes[0]} to ${attributes.at(-1)}`);
  console.log(`events:     ${big.events[0].name} to ${big.events.at(-1).name}`);
})();
JS
timeout 30 node "$work/node.js" | tee "$work/node.txt"
echo "versions: OpenTelemetry SDK Python 1.45.2 (first three lines), Node 2.12.1 (last three)"
echo "guess: the same end everywhere"
echo "behavior: one library, two rules; two libraries, opposite rules: a flood hides its beginning in Python, its end in Node"
diff "$work/python.txt" - <<'EXPECTED'
queue:      first span lost True, last span lost False
attributes: k72 to k199
events:     e72 to e199
EXPECTED
diff "$work/node.txt" - <<'EXPECTED'
queue:      first span lost False, last span lost True
attributes: k0 to k127
events:     e72 to e199
EXPECTED
