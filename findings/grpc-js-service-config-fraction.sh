#!/usr/bin/env bash
# grpc-js: the fraction of a service config's timeout is read as a count of nanoseconds. "0.5s" is 5 ns and fails
# every call at once, "2.25s" is 2 s; nine digits ("0.500000000s") are right. A guess: half a second.
# Source: gRPC's doc/service_config.md (durations are protobuf JSON, "1.5s" is valid); grpc-node#1785 added the timeout.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --silent --no-audit --no-fund @grpc/grpc-js@1.14.7
cat >"$work/node.js" <<'JS'
const grpc = require('@grpc/grpc-js');
const same = (bytes) => bytes;
const service = { Left: { path: '/t.T/Left', requestStream: false, responseStream: false, requestSerialize: same,
  requestDeserialize: same, responseSerialize: same, responseDeserialize: same } };
const server = new grpc.Server();
server.addService(service, { Left: (call, answer) => answer(null, Buffer.from(String(call.getDeadline() - Date.now()))) });
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), async (failed, port) => {
  console.log(`versions: grpc-js ${require('@grpc/grpc-js/package.json').version}, Node ${process.version}`);
  const Client = grpc.makeGenericClientConstructor(service, 'T');
  const left = {};
  for (const timeout of ['0.5s', '0.500000000s', '2s', '2.25s', '2.250000000s']) {
    const config = JSON.stringify({ methodConfig: [{ name: [{ service: 't.T' }], timeout }] });
    const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), { 'grpc.service_config': config });
    await new Promise((ready) => client.waitForReady(Date.now() + 5000, ready));
    left[timeout] = await new Promise((done) => client.Left(Buffer.alloc(0), { deadline: Date.now() + 9000 },
      (error, value) => done(error ? grpc.status[error.code] : Number(value))));
    console.log(`timeout ${timeout.padEnd(13)}: the server is told ${left[timeout]}${error_or_ms(left[timeout])}`);
  }
  console.log('guess: 500, 500, 2000, 2250 and 2250 ms');
  console.log('behavior: only whole seconds and nine digits are what they say');
  const same_second = left['2.25s'] > 1800 && left['2.25s'] <= 2001;
  const right = left['2.250000000s'] > 2050 && left['0.500000000s'] > 300;
  process.exit(left['0.5s'] === 'DEADLINE_EXCEEDED' && same_second && right ? 0 : 1);
});
const error_or_ms = (value) => (typeof value === 'number' ? ' ms' : ' (nothing: the call has failed)');
JS
timeout 40 node "$work/node.js"
