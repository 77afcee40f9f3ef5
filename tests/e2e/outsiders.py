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

from tests.e2e.lab_process import ROOT
from tests.polling import eventually

SAMPLES = ROOT / "tests" / "samples"
COMPILE_TIMEOUT_S = 60
START_BOUND_S = 30.0


def hello_folder(folder: Path) -> Path:
    """Copy the greeters to `folder` and make their stubs beside them, as their readme would say."""
    shutil.copytree(SAMPLES / "hello", folder, dirs_exist_ok=True)
    words = ["-I.", "--python_out=.", "--grpc_python_out=.", "hello.proto"]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", *words], cwd=folder, check=True, timeout=COMPILE_TIMEOUT_S
    )
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
