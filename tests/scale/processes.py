"""One engine as a process on a loopback address of its own, as if on a machine of its own: started, killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from tests.polling import eventually

START_BOUND_S: Final = 240.0
STOP_BOUND_S: Final = 30.0


@dataclass
class EngineProcess:
    """A program with its words, environment and folder. `address` is its own; `is_ready` says when it serves."""

    name: str
    address: str
    words: Sequence[str]
    environ: Mapping[str, str]
    folder: Path
    is_ready: Callable[[], bool]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it in its folder; what it says is kept beside. Does not wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.said_file.open("ab") as said:
            self._process = subprocess.Popen(
                self.words, cwd=self.folder, env=dict(self.environ), stdin=subprocess.DEVNULL,
                stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip

    def wait_until_ready(self) -> None:
        """Wait until it serves; AssertionError with its last words if it does not.

        One that ends meanwhile is started again, as its container would be: some give up too early on others.
        """

        def serves() -> bool:
            if not self.is_running:
                self.start()
            return self.is_ready()

        try:
            eventually(serves, within_s=START_BOUND_S)
        except AssertionError:
            raise AssertionError(f"{self.name} does not serve: {self.last_words()}") from None

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id; it must have been started."""
        assert self._process is not None
        return self._process.pid

    @property
    def said_file(self) -> Path:
        """Where its output goes."""
        return self.folder.with_name(f"{self.name}.said")

    def last_words(self, size: int = 2_000) -> str:
        """The end of what it said."""
        return self.said_file.read_text(errors="replace")[-size:] if self.said_file.exists() else ""

    def kill(self) -> None:
        """End it at once, as SIGKILL and a crash do."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to stop, and end it if it does not."""
        self._signal(signal.SIGTERM)

    def cpu_s(self) -> float:
        """Seconds of CPU that the process has used."""
        used = psutil.Process(self.pid).cpu_times()
        return float(used.user + used.system)

    def memory_mib(self) -> float:
        """Resident memory."""
        return psutil.Process(self.pid).memory_info().rss / 2**20

    def _signal(self, number: int) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, number)
        try:
            self._process.wait(STOP_BOUND_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_BOUND_S)


def accepts(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
