#!/usr/bin/env bash
# Node's @opentelemetry/instrumentation-grpc: a server-streaming call that a deadline or a cancel cuts short has no server span
# at all, even where its handler notices and ends the stream; neither has a call of an unknown method. A call that is left
# alone has one. A guess: one span for each, with DEADLINE_EXCEEDED, CANCELLED and UNIMPLEMENTED, or 0 as for unary calls.
# Source: semantic conventions for gRPC (one SERVER span for a call); grpc-js, ServerWritableStream.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --silent --no-audit --no-fund @grpc/grpc-js@1.14.7 @opentelemetry/api@1.9.1 \
  @opentelemetry/sdk-trace-base@2.12.1 @opentelemetry/instrumentation-grpc@0.223.0
cat >"$work/node.js" <<'JS'
const { SpanKind } = require('@opentelemetry/api');
const { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-base');
const { GrpcInstrumentation } = require('@opentelemetry/instrumentation-grpc');
const exporter = new InMemorySpanExporter();
new GrpcInstrumentation().setTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
const grpc = require('@grpc/grpc-js');
const same = (bytes) => bytes;
const method = (path) => ({ path, requestStream: false, responseStream: true, requestSerialize: same,
  requestDeserialize: same, responseSerialize: same, responseDeserialize: same });
const served = { Count: method('/t.T/Count') };
const server = new grpc.Server();
let ended = 0;
server.addService(served, { Count: (call) => {
  let left = call.request[0];
  const timer = setInterval(() => {
    if (left-- > 0 && !call.cancelled) return call.write(Buffer.from([left]));
    clearInterval(timer);
    ended++;
    call.end();
  }, 10);
} });
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), async (failed, port) => {
  const Client = grpc.makeGenericClientConstructor({ ...served, Unheard: method('/t.T/Unheard') }, 'T');
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const code = (name, count, deadline, started = () => {}) => new Promise((done) => {
    const call = client[name](Buffer.from([count]), { deadline: Date.now() + deadline });
    call.on('data', () => started(call));
    call.on('error', (error) => done(grpc.status[error.code]));
    call.on('end', () => done('OK'));
  });
  const codes = [await code('Count', 3, 9000), await code('Count', 200, 300), await code('Count', 200, 9000, (call) => call.cancel()),
    await code('Unheard', 0, 9000)];
  await new Promise((later) => setTimeout(later, 1000));
  const spans = exporter.getFinishedSpans().filter((span) => span.kind === SpanKind.SERVER);
  const shown = spans.map((span) => `${span.name.split('/')[1]} ${span.attributes['rpc.grpc.status_code']}`);
  console.log('versions: instrumentation-grpc 0.223.0, grpc-js 1.14.7, Node', process.version);
  console.log('clients got:      ', codes.join(), '\nhandlers ended:   ', ended, '\nserver spans:     ', shown.join());
  const isAsSeen = codes.join() === 'OK,DEADLINE_EXCEEDED,CANCELLED,UNIMPLEMENTED' && ended === 3 && shown.join() === 'Count 0';
  process.exit(isAsSeen ? 0 : 1);
});
JS
timeout 30 node "$work/node.js"
echo "guess: four server spans"
echo "behavior: one, of the call that was left alone: streams that were cut short are missing from the server's traces"
