#!/usr/bin/env bash
# grpcio sync server: of a call whose deadline passes while it waits for a thread the interceptors run, later, but the
# handler never does. What an interceptor opens for it (a span, a gauge) nobody closes. A guess: it runs late, for nobody.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import platform
import threading
from concurrent import futures

import grpc

entered, intercepted, first_in, free = [], [], threading.Event(), threading.Event()


class Count(grpc.ServerInterceptor):
    def intercept_service(self, continuation, details):
        intercepted.append(details.method)
        return continuation(details)


def work(request, context):
    entered.append(request)
    first_in.set()
    free.wait(10)
    return b""


server = grpc.server(futures.ThreadPoolExecutor(1), interceptors=[Count()])
handlers = {"Work": grpc.unary_unary_rpc_method_handler(work)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t.T", handlers),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
method = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary("/t.T/Work")
first = method.future(b"first", timeout=20)
assert first_in.wait(10)
late = [method.future(b"late %d" % number, timeout=0.3) for number in range(3)]
codes = [call.exception().code().name for call in late]
free.set()
first.result()
method(b"last", timeout=10)
server.stop(5).wait(10)
print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}")
print("one thread, busy; three calls with 0.3 s:", codes)
print("handlers that ran:", [name.decode() for name in entered], "- interceptor runs:", len(intercepted))
print("guess: the three run when the thread is free, unseen by their callers")
print("behavior: the interceptors see five calls, the handler two; the shed load shows in clients only")
assert codes == ["DEADLINE_EXCEEDED"] * 3 and entered == [b"first", b"last"], "the behavior has changed"
assert len(intercepted) == 5, "interceptors see other calls now"
PY
