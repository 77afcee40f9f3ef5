"""Starts commands without the half a second in which each loads the same libraries.

One process for all tests of a worker loads them, and forks for every command; the fork is a process
of its own, which imports the rest, runs as `python -P -m MODULE` does, and ends as an interpreter ends. Commands
that depend on how a process begins (an environment that libraries read, a network, a signal) are not started so.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

LIBRARIES: Final = (
    "generated.order_pb2_grpc",
    "generated.report_pb2_grpc",
    "generated.user_pb2_grpc",
    "google.protobuf.json_format",
    "grpc.aio",
    "grpc_status.rpc_status",
    "httpx",
    "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "opentelemetry.instrumentation.grpc",
    "opentelemetry.sdk._logs.export",
    "opentelemetry.sdk.metrics.export",
    "opentelemetry.sdk.trace.export",
    "orjson",
    "otel.instrument",
    "otel.query",
    "psutil",
    "rich.console",
    "structlog",
    "typer._adapters",  # loaded when a command reads its first option
    "typer.main",
)
_LENGTH_BYTES: Final = 8


class WarmProcess:
    """The process that forks. Belongs to one thread; ends when this one does."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
            env={**environ, "GRPC_VERBOSITY": "NONE"},  # as our commands set it before they load grpc
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        atexit.register(self.close)

    def close(self) -> None:
        """End it."""
        self._ours.close()
        self._process.communicate(timeout=20)

    def run(
        self, words: Sequence[str], cwd: Path, environ: Mapping[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `-m MODULE WORDS...` to its end, without standard input; TimeoutError past the bound."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            asked = json.dumps({"words": list(words), "cwd": str(cwd), "environ": dict(environ)}).encode()
            socket.send_fds(self._ours, [len(asked).to_bytes(_LENGTH_BYTES)], [out.fileno(), err.fileno()])
            self._ours.sendall(asked)
            self._ours.settimeout(timeout_s)
            returned = int.from_bytes(self._ours.recv(_LENGTH_BYTES, socket.MSG_WAITALL), signed=True)
            said = []
            for stream in (out, err):
                stream.seek(0)
                said.append(stream.read().decode("utf-8"))
        return subprocess.CompletedProcess(list(words), returned, *said)


@functools.cache
def warm_process(root: Path) -> WarmProcess:
    """This worker's, started at its first use."""
    return WarmProcess({"PATH": os.environ["PATH"], "PYTHONPATH": str(root)})


def _next_words(asking: socket.socket) -> list[str]:
    """Fork for each request. Returns in each fork, with the words of its command; the parent never returns."""
    while True:
        header, fds, _, _ = socket.recv_fds(asking, _LENGTH_BYTES, 2)
        if not header:
            sys.exit()
        request: dict[str, Any] = json.loads(asking.recv(int.from_bytes(header), socket.MSG_WAITALL))
        pid = os.fork()
        if pid == 0:
            for number, fd in zip((1, 2), fds, strict=True):
                os.dup2(fd, number)
                os.close(fd)
            asking.close()
            os.chdir(request["cwd"])
            os.environ.clear()
            os.environ.update(request["environ"])
            words: list[str] = request["words"]
            return words
        for fd in fds:
            os.close(fd)
        _, status = os.waitpid(pid, 0)
        asking.sendall(os.waitstatus_to_exitcode(status).to_bytes(_LENGTH_BYTES, signed=True))


def main() -> None:
    """Load the libraries, then be one command after another."""
    asking = socket.socket(fileno=int(sys.argv[1]))
    for library in LIBRARIES:
        importlib.import_module(library)
    module, *words = _next_words(asking)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
