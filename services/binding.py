"""Where a service listens: binding its port, saying why that failed, and telling others the address."""

from __future__ import annotations

import errno
import json
import os
import socket
import tempfile
from pathlib import Path

import grpc

from otel.tls.files import NO_TLS, TlsFiles
from services.transport_security import open_port

WILDCARD_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class BindError(Exception):
    """An address that cannot be listened on; the text is one line for a person, `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def bind(server: grpc.aio.Server, host: str, port: int, tls: TlsFiles = NO_TLS) -> str:
    """Bind a server to one port (0: a free one) and return the address at which clients on this machine reach it.

    Raises BindError and TlsError. The server must have been made with `grpc.so_reuseport` off, else a second one binds
    silently.
    """
    try:
        bound_port = open_port(server, _joined(host, port), tls)
    except RuntimeError:
        raise _bind_error(host, port) from None
    return _joined(WILDCARD_HOSTS.get(host, host), bound_port)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bind_error(host: str, port: int) -> BindError:
    """Find out why the port could not be bound, by asking the system the same thing once more."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except (socket.gaierror, UnicodeError):  # the last of a name with an empty label
        return BindError(f"--host: {host!r} is no address of this machine", "use --host 127.0.0.1")
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return BindError(f"--host: {host!r} is no address of this machine", "use --host 127.0.0.1")
        if error.errno == errno.EACCES:
            return BindError(f"port {port} may not be used", "choose another with --port, or --port 0 for a free one")
    return BindError(f"port {port} is in use", "choose another with --port, or --port 0 for a free one")


def write_ready_file(path: Path, address: str) -> None:
    """Say in a file, which appears whole or not at all, who serves where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ready = {"pid": os.getpid(), "addresses": {"grpc": address}}
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(ready, file)
    Path(temporary).replace(path)
