"""Servers as outsiders write them, from `tests/samples`: their stubs made, started as processes of their own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.lab_process import ROOT
from tests.polling import eventually

SAMPLES = ROOT / "tests" / "samples"
COMPILE_TIMEOUT_S = 60
START_BOUND_S = 30.0

SLOW_SERVER = """
import time
import greeter_server

class Slow(greeter_server.Greeter):
    def SayHello(self, request, context):
        time.sleep({delay_s})
        return super().SayHello(request, context)

greeter_server.Greeter = Slow
greeter_server.main()
"""

TLS_SERVER = """
import sys
from concurrent import futures
from pathlib import Path
import grpc
import hello_pb2_grpc
from greeter_server import Greeter
from grpc_reflection.v1alpha import reflection

pem = [Path(name).read_bytes() for name in ("server.key", "server.pem", "ca.pem")]
wants_client = "--mutual" in sys.argv
server = grpc.server(futures.ThreadPoolExecutor(4))
hello_pb2_grpc.add_GreeterServicer_to_server(Greeter(), server)
reflection.enable_server_reflection(["hello.Greeter", reflection.SERVICE_NAME], server)
credentials = grpc.ssl_server_credentials([(pem[0], pem[1])], pem[2] if wants_client else None, wants_client)
port = server.add_secure_port("127.0.0.1:0", credentials)
server.start()
print(f"listening on {port}", flush=True)
server.wait_for_termination()
"""


def hello_folder(folder: Path) -> Path:
    """Copy the greeters to `folder` and make their stubs beside them, as their readme would say."""
    shutil.copytree(SAMPLES / "hello", folder, dirs_exist_ok=True)
    words = ["-I.", "--python_out=.", "--grpc_python_out=.", "hello.proto"]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", *words], cwd=folder, check=True, timeout=COMPILE_TIMEOUT_S
    )
    return folder


def with_slow_server(folder: Path, delay_s: float) -> Path:
    """Put a synchronous greeter into a folder of greeters, `slow_server.py`, whose SayHello takes so much longer."""
    (folder / "slow_server.py").write_text(SLOW_SERVER.format(delay_s=delay_s), encoding="utf-8")
    return folder


def with_tls(folder: Path) -> Path:
    """Put a synchronous greeter that speaks TLS into a folder of greeters, `tls_server.py`, as `greeter.test`."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not on this machine")
    (folder / "tls_server.py").write_text(TLS_SERVER, encoding="utf-8")
    (folder / "names").write_text("subjectAltName=DNS:greeter.test", encoding="utf-8")
    for words in (
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=greeter.test",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names",
    ):
        subprocess.run([openssl, *words.split()], cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


@dataclass(frozen=True)
class Outsider:
    """A server that runs, and the file of what it printed."""

    process: subprocess.Popen[bytes]
    printed: Path

    @property
    def text(self) -> str:
        """All that it printed so far."""
        return self.printed.read_text(encoding="utf-8")

    @property
    def port(self) -> int:
        """The port that it printed; 0 before."""
        found = re.search(r"listening on (\d+)", self.text)
        return int(found[1]) if found else 0

    @property
    def address(self) -> str:
        """Where it is called."""
        return f"127.0.0.1:{self.port}"


@contextmanager
def started(words: Sequence[str], folder: Path, environ: dict[str, str], name: str = "server") -> Iterator[Outsider]:
    """Start a command that prints its port, wait until it has, and end it."""
    printed = folder / f"{name}.printed"
    with printed.open("wb") as stream:
        process = subprocess.Popen(
            list(words), cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
        )
    outsider = Outsider(process, printed)
    try:
        eventually(lambda: outsider.port or process.poll() is not None, within_s=START_BOUND_S)
        assert outsider.port, f"it ended with {process.poll()}: {outsider.text}"
        yield outsider
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
