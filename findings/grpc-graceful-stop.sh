#!/usr/bin/env bash
# A graceful stop under load, twenty callers in a closed loop: grpcio's aio server ends some of the calls that it had taken
# and not begun with CANCELLED, which no retry policy retries; grpc-go's GracefulStop none of them.
# A guess: a grace of five seconds is enough for handlers of two milliseconds, no call is lost.
set -euo pipefail
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -q --disable-pip-version-check grpcio==1.85.1
export GOMODCACHE="$work/mod"
cat >main.go <<'GO'
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

func main() {
	work := func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		time.Sleep(2 * time.Millisecond)
		return new(emptypb.Empty), decode(new(emptypb.Empty))
	}
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{ServiceName: "t.T", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Work", Handler: work}}}, nil)
	go server.Serve(listener)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	bufio.NewReader(os.Stdin).ReadString('\n')
	server.GracefulStop()
}
GO
(go mod init finding && go mod edit -require=google.golang.org/grpc@v1.85.0 && go build -mod=mod -o server .) 2>go.log || { cat go.log; exit 1; }
cat >main.py <<'PY'
import asyncio
import platform
import subprocess
from collections import Counter

import grpc


async def codes_around(port, stop):
    codes = Counter()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary("/t.T/Work")

        async def call_until_refused():
            while True:
                try:
                    await method(b"", timeout=5)
                    codes["OK"] += 1
                except grpc.aio.AioRpcError as error:
                    codes[error.code().name] += 1
                    return

        callers = [asyncio.create_task(call_until_refused()) for _ in range(20)]
        await asyncio.sleep(0.7)
        await stop()
        await asyncio.wait_for(asyncio.gather(*callers), 10)
    return codes


async def python():
    async def work(request, context):
        await asyncio.sleep(0.002)
        return b""

    server = grpc.aio.server()
    handlers = {"Work": grpc.unary_unary_rpc_method_handler(work)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return await codes_around(port, lambda: server.stop(5))


async def go():
    server = subprocess.Popen(["./server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    port = int(server.stdout.readline())

    async def stop():
        server.stdin.write("\n")
        server.stdin.flush()
        await asyncio.to_thread(server.wait, 10)

    return await codes_around(port, stop)


print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}, grpc-go 1.85.0")
cancelled = Counter()
for name, run in (("grpcio aio", python), ("grpc-go", go)):
    for _ in range(3):
        codes = asyncio.run(run())
        cancelled[name] += codes["CANCELLED"]
        print(f"{name:<10}: {dict(codes)}")
print("guess: OK until the stop, then UNAVAILABLE, from both")
print("behavior: Python cancels calls of callers who cancelled nothing; Go finishes what it has taken")
assert cancelled["grpcio aio"] > 0 and cancelled["grpc-go"] == 0, "the behavior has changed"
PY
GRPC_VERBOSITY=NONE timeout 90 venv/bin/python main.py
