"""One process of the stack: started in a group of its own, ready when it says so, ended within a bound."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tracelab.fork_server import ForkedProcess, fork_server
from tracelab.stack.options import StartMethod

PORT_IN_USE: Final = 3
"""The exit code by which our processes say that a port was taken."""

_STDERR_TAIL_CHARS: Final = 2000


class Child:
    """A child process. Whoever started it ends it: `terminate`, `wait`, `kill`. Not shared between threads."""

    def __init__(
        self, name: str, process: subprocess.Popen[bytes] | ForkedProcess, ready_file: Path, stderr_file: Path
    ) -> None:
        self.name = name
        self._process = process
        self._ready_file = ready_file
        self._stderr_file = stderr_file

    @classmethod
    def start(
        cls,
        name: str,
        words: Sequence[str],
        environ: Mapping[str, str],
        ready_file: Path,
        stderr_file: Path,
        *,
        is_held: bool,
        stdout_too: bool = False,
        start_method: StartMethod = "spawn",
    ) -> Child:
        """Start a process out of reach of the terminal's Ctrl-C, so that we decide when it stops.

        If held, its standard input ends when we do, even by SIGKILL. A process of ours is forked if asked for and where
        that can be done. `stdout_too`: what it prints is kept, too.
        """
        ready_file.parent.mkdir(parents=True, exist_ok=True)
        ready_file.unlink(missing_ok=True)
        stderr_file.parent.mkdir(parents=True, exist_ok=True)
        with stderr_file.open("wb") as stderr:
            may_fork = start_method == "fork" and not stdout_too
            if may_fork and (server := fork_server(words, environ)):
                forked = server.start(words, environ, stderr_file, is_held=is_held)
                return cls(name, forked, ready_file, stderr_file)
            process = subprocess.Popen(
                words,
                env=dict(environ),
                stdin=subprocess.PIPE if is_held else subprocess.DEVNULL,
                stdout=stderr if stdout_too else subprocess.DEVNULL,  # our processes' log files have it all
                stderr=stderr,
                **_own_group(),
            )
        return cls(name, process, ready_file, stderr_file)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def addresses(self) -> dict[str, str] | None:
        """Where it listens, once it has said so; None before."""
        ready = self._ready()
        return {purpose: str(address) for purpose, address in ready["addresses"].items()} if ready else None

    def set_aside(self) -> Path | None:
        """The damaged store that it found and moved out of the way, as it says once it listens."""
        found = (self._ready() or {}).get("set_aside")
        return Path(found) if found else None

    def _ended(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._ready_file.unlink(missing_ok=True)

    def _ready(self) -> dict[str, Any] | None:
        try:
            ready: dict[str, Any] = json.loads(self._ready_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, PermissionError):  # the latter on Windows, while it is renamed into place
            return None
        return ready

    def complaint(self) -> str:
        """The last of what it wrote to standard error."""
        with suppress(OSError):
            return self._stderr_file.read_text(encoding="utf-8", errors="replace")[-_STDERR_TAIL_CHARS:].strip()
        return ""

    def terminate(self) -> None:
        """Ask it to stop: it finishes its calls and hands over its telemetry."""
        ask_to_stop(self._process.pid, self._process.send_signal)

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; False if it still runs after `timeout_s`."""
        try:
            self._process.wait(max(timeout_s, 0.0))
        except subprocess.TimeoutExpired:
            return False
        self._ended()
        return True

    def kill(self) -> None:
        """End it now."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._ended()

    def release(self) -> None:
        """Let a detached process go on without us; keeps Python from warning that it still runs."""
        if isinstance(self._process, subprocess.Popen):
            self._process.returncode = 0
        self._ready_file.unlink(missing_ok=True)


def ask_to_stop(pid: int, send: Any = None) -> None:
    """Send the polite signal: SIGTERM, and on Windows, which has none, CTRL_BREAK to the process's group."""
    if sys.platform == "win32":
        number = signal.CTRL_BREAK_EVENT
    else:
        number = signal.SIGTERM
    with suppress(OSError):
        send(number) if send else os.kill(pid, number)


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
