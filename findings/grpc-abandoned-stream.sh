#!/usr/bin/env bash
# A reader leaves a server stream by `break`, without a deadline and without `cancel()`. grpcio sync: the call object is
# collected and the server told at once. grpcio aio and grpc-js: the server streams on.
# A guess: leaving the loop, or dropping the call, ends it in all three.
# Source: grpc/grpc#43462 (aio since 1.83); grpc-node#2385.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1
npm install --prefix "$work" --silent --no-audit --no-fund @grpc/grpc-js@1.14.7
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import asyncio
import gc
import platform

import grpc


async def main():
    ended = asyncio.Event()

    async def ticks(request, context):
        ended.clear()
        try:
            for _ in range(1000):
                yield b"tick"
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    server = grpc.aio.server()
    handlers = {"Ticks": grpc.unary_stream_rpc_method_handler(ticks)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def ends_within(seconds):
        try:
            await asyncio.wait_for(ended.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def leave_aio(channel):
        async for _ in channel.unary_stream("/t.T/Ticks")(b""):
            break

    def leave_sync(channel):
        for _ in channel.unary_stream("/t.T/Ticks")(b""):
            break

    print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}, grpc-js 1.14.7")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        await asyncio.to_thread(leave_sync, channel)
        gc.collect()
        sync = await ends_within(2)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await leave_aio(channel)
        gc.collect()
        aio = await ends_within(2)
    await server.stop(0)
    print(f"grpcio sync: the servicer is stopped within 2 s: {sync}")
    print(f"grpcio aio:  the servicer is stopped within 2 s: {aio}")
    assert sync and not aio, "the behavior has changed"


asyncio.run(main())
PY
cat >"$work/node.js" <<'JS'
const grpc = require('@grpc/grpc-js');
const same = (bytes) => bytes;
const service = { Ticks: { path: '/t.T/Ticks', requestStream: false, responseStream: true, requestSerialize: same,
  requestDeserialize: same, responseSerialize: same, responseDeserialize: same } };
let stopped = false;
const server = new grpc.Server();
server.addService(service, { Ticks: (call) => {
  const timer = setInterval(() => call.write(Buffer.from('tick')), 10);
  call.on('cancelled', () => { stopped = true; clearInterval(timer); });
} });
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), async (failed, port) => {
  const Client = grpc.makeGenericClientConstructor(service, 'T');
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  for await (const tick of client.Ticks(Buffer.alloc(0))) break;
  await new Promise((later) => setTimeout(later, 2000));
  console.log(`grpc-js:     the servicer is stopped within 2 s: ${stopped ? 'True' : 'False'}`);
  process.exit(stopped ? 1 : 0);
});
JS
timeout 30 node "$work/node.js"
echo "guess: True, True, True"
echo "behavior: only the sync API ties the call to the object that reads it"
