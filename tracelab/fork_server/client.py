"""Processes of ours that share their start: a fork server has loaded what they are made of, and forks each in a moment.

Loading costs a process 0.3 s of CPU and 50 MB, the same for each of the stack; here it is paid once. A process that was
forked is as independent as one that was spawned: a session, an environment and files of its own, ended by signals. It
ends with us, as its standard input says. Linux only: elsewhere, and for whatever the fork server does not stand for,
processes are spawned.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from clients.discovery.defaults import ADDRESS_VARIABLES, MODULES

_MAIN: Final = Path(__file__).with_name("server.py")
_MOST_TITLE_CHARS: Final = 4096
"""Room for the command lines of what is forked: a process can't have a longer one than it began with."""
_LOST: Final = -signal.SIGKILL
"""The exit code of what the fork server can tell nothing of any more: it ends with the fork server."""

# What only the main() of a process reads. Whatever else may have been read when a module was loaded.
_OF_ONE_PROCESS: Final = ("LAB_", "OTEL_BSP_", "OTEL_BLRP_", "OTEL_EXPORTER_", "OTEL_METRIC_EXPORT_", "OTEL_RESOURCE_",
    "OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER", "PYTEST_CURRENT_TEST")  # fmt: skip


class ForkedProcess:
    """A process that the fork server started: to its user what a `subprocess.Popen` is."""

    stdin: Final = None  # it ends when we do, and not before

    def __init__(self, server: ForkServer, words: Sequence[str], request: int) -> None:
        self._server = server
        self._words = words
        self._request = request

    @property
    def pid(self) -> int:
        """The process id; waits until there is one."""
        return self._server.pid_of(self._request)

    def poll(self) -> int | None:
        """Return how it ended, below 0 for a signal; None while it runs."""
        return self._server.exit_code_of(self._request, 0.0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, at most `timeout` seconds. Raises subprocess.TimeoutExpired."""
        code = self._server.exit_code_of(self._request, timeout)
        if code is None:
            raise subprocess.TimeoutExpired(list(self._words), timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None and (pid := self.pid):  # 0 would be all of our own group
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """End it now."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The fork server of this process, from any thread; one waits for another's wait. Ends with us, or by `close`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._shared = _shared(environ)
        self._lock = threading.Lock()
        self._requests = 0
        self._pids: list[int] = []  # in the order of the requests
        self._codes: dict[int, int] = {}
        self._heard = b""
        self._is_lost = False
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_MAIN), *MODULES.values(), " " * _MOST_TITLE_CHARS],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def has_started(self) -> bool:
        """Whether it was asked for a process."""
        return self._requests > 0

    def stands_for(self, environ: Mapping[str, str]) -> bool:
        """Whether what it forks is what would be spawned in this environment."""
        return not self._is_lost and _shared(environ) == self._shared

    def start(self, words: Sequence[str], environ: Mapping[str, str], stderr_file: Path) -> ForkedProcess:
        """Start a process; does not wait for it."""
        request = {"module": words[3], "words": list(words), "environ": dict(environ), "stderr": str(stderr_file)}
        assert self._process.stdin is not None
        with self._lock:
            with suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                self._process.stdin.flush()
            self._requests += 1
            return ForkedProcess(self, words, self._requests - 1)

    def pid_of(self, request: int) -> int:
        """Wait for the pid that a request came to; 0 where it came to none."""
        with self._lock:
            while len(self._pids) <= request and not self._is_lost:
                self._hear(None)
            return self._pids[request] if request < len(self._pids) else 0

    def exit_code_of(self, request: int, timeout_s: float | None) -> int | None:
        """Wait, at most `timeout_s`, for the end of what a request came to; None where it still runs."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._lock:
            while (code := self._code(request)) is None:
                left_s = None if deadline_s is None else max(deadline_s - time.monotonic(), 0.0)
                if not self._hear(left_s) and left_s == 0.0:
                    break
        return code

    def close(self) -> None:
        """End it, and with it what it started."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._is_lost = True

    def _code(self, request: int) -> int | None:
        if request < len(self._pids):
            return self._codes.get(request, _LOST if self._is_lost else None)
        return _LOST if self._is_lost else None

    def _hear(self, timeout_s: float | None) -> bool:
        """Take in what the server said meanwhile; False where that was nothing."""
        if self._is_lost:
            return False
        assert self._process.stdout is not None
        stream = self._process.stdout.fileno()
        if not select.select([stream], [], [], timeout_s)[0]:
            return False
        piece = os.read(stream, 65536)
        self._is_lost = not piece
        *lines, self._heard = (self._heard + piece).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "started" in said:
                self._pids.append(said["started"])
            else:  # a pid is used again: the last that had it
                request = len(self._pids) - 1 - self._pids[::-1].index(said["ended"])
                self._codes[request] = said["code"]
        return True


def _shared(environ: Mapping[str, str]) -> dict[str, str]:
    own = (*_OF_ONE_PROCESS, *ADDRESS_VARIABLES.values())
    return {name: value for name, value in environ.items() if not name.startswith(own)}


_servers: list[ForkServer] = []
_serving: Final = threading.Lock()


def prepare(environ: Mapping[str, str]) -> None:
    """Let the fork server load, in `environ`, what the processes will be made of, so that they need not wait for it."""
    with _serving:
        if not _servers and _can_tell_ends():
            _servers.append(ForkServer(environ))


def fork_server_pid() -> int | None:
    """Return the process id of the fork server, where one has started a process."""
    return next((server.pid for server in _servers if server.has_started), None)


def fork_server(words: Sequence[str], environ: Mapping[str, str]) -> ForkServer | None:
    """Give the fork server that can start this process, the first time a new one; None where the process is spawned."""
    if not (_is_ours(words) and _can_tell_ends()):
        return None
    prepare(environ)
    return _servers[0] if _servers[0].stands_for(environ) else None


@functools.cache
def _can_tell_ends() -> bool:
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # a kernel before 5.3
        return False
    return True


def _is_ours(words: Sequence[str]) -> bool:
    return list(words[:3]) == [sys.executable, "-P", "-m"] and words[3] in MODULES.values()


@atexit.register  # so early that it runs after all that was registered to end what was started
def _close() -> None:
    for server in _servers:
        server.close()
