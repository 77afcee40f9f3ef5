#!/usr/bin/env bash
# A server with mutual TLS that is shown no certificate refuses the client with an alert, certificate_required. From
# Python's blocking ssl the client hears it. From asyncio it does not: the connection is dropped with the alert unsent.
# From gRPC it does not either, and the server's program learns nothing: no hook, no log record, no call.
# A guess: the client is told by the alert, wherever the handshake was refused, and the server can log why.
# Source: RFC 8446, 6.2 (the alert is sent before the connection is closed); Python's Lib/asyncio/sslproto.py, _fatal_error.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet grpcio==1.85.1 trustme==1.2.1
GRPC_VERBOSITY=NONE timeout 60 "$work/venv/bin/python" - <<'PY'
import asyncio
import logging
import platform
import socket
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import grpc
import trustme

records: list[str] = []
handler = logging.Handler()
handler.emit = lambda record: records.append(record.getMessage())
logging.basicConfig(level=logging.DEBUG, handlers=[handler])

authority = trustme.CA()
certificate = authority.issue_cert("localhost", "127.0.0.1")


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def what_a_client_hears(port: int) -> str:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    try:
        bare = socket.create_connection(("127.0.0.1", port))
        with context.wrap_socket(bare, server_hostname="localhost") as client:
            return "the connection ended" if client.recv(1) == b"" else "an answer"
    except ssl.SSLError as error:
        return "the alert" if "CERTIFICATE_REQUIRED" in (error.reason or "") else str(error.reason)
    except OSError as error:
        return f"the connection ended ({type(error).__name__})"


def of_blocking_ssl() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def serve() -> None:
            connection, _ = listening.accept()
            try:
                server_context().wrap_socket(connection, server_side=True)
            except ssl.SSLError:  # the socket is closed by now
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        heard = what_a_client_hears(listening.getsockname()[1])
        thread.join()
        return heard


async def of_asyncio() -> str:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=server_context())
    heard = await asyncio.to_thread(what_a_client_hears, server.sockets[0].getsockname()[1])
    server.close()
    return heard


def of_grpc() -> tuple[str, list[str]]:
    calls: list[str] = []

    class Seen(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> None:
            calls.append(details.method)

    server = grpc.server(ThreadPoolExecutor(1), [Seen()])
    key, chain = certificate.private_key_pem.bytes(), certificate.cert_chain_pems[0].bytes()
    roots = authority.cert_pem.bytes()
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)], roots, True))
    server.start()
    records.clear()
    with grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(roots)) as channel:
        try:
            channel.unary_unary("/a/b")(b"", timeout=10)
            heard = "an answer"
        except grpc.RpcError as error:
            is_alert = "certificate required" in error.details().lower()
            heard = "the alert" if is_alert else error.details().rpartition(": ")[2]
    server.stop(0).wait()
    return heard, [*calls, *records]


blocking, through_asyncio, (through_grpc, told) = of_blocking_ssl(), asyncio.run(of_asyncio()), of_grpc()
print(f"versions: Python {platform.python_version()}, {ssl.OPENSSL_VERSION}, grpcio {version('grpcio')}")
print(f"a client without certificate hears, from blocking ssl: {blocking}")
print(f"                                    from asyncio:      {through_asyncio}")
print(f"                                    from gRPC:         {through_grpc}")
print(f"what the gRPC server's program is told: {told or 'nothing'}")
print("guess: the alert, three times, and the server's program is told")
print("behavior: only blocking ssl lets the alert out, and a gRPC server's program is told nothing")
same = blocking == "the alert" and through_asyncio.startswith("the connection ended")
same = same and through_grpc == "Socket closed" and not told
if not same:
    print("the behavior has changed")
sys.exit(not same)
PY
