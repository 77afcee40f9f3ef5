"""Processes of ours that share their start: a fork server has loaded what they are made of, and forks each in a moment.

Loading costs a process 0.3 s of CPU and 50 MB, the same for each of the stack; here it is paid once. A process that was
forked is as independent as one that was spawned: a session, an environment and files of its own, ended by signals. If
held it ends with us, as its standard input says. Linux only: elsewhere, and for whatever the fork server does not stand
for, processes are spawned.
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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

from clients.discovery.defaults import ADDRESS_VARIABLES, MODULES

_MAIN: Final = Path(__file__).with_name("server.py")
_STACK: Final = tuple(MODULES.values())
_PACKAGES: Final = ("clients.", "otel.", "services.", "tracelab.")
_MOST_TITLE_CHARS: Final = 4096
"""Room for the command lines of what is forked: a process can't have a longer one than it began with."""
_LOST: Final = -signal.SIGKILL
"""The exit code of what the fork server can tell nothing of any more: it ends with the fork server."""

# What only the main() of a process reads. Whatever else may have been read when a module was loaded.
_OF_ONE_PROCESS: Final = ("LAB_", "OTEL_BSP_", "OTEL_BLRP_", "OTEL_EXPORTER_", "OTEL_LOGS_EXPORTER",
    "OTEL_METRICS_EXPORTER", "OTEL_METRIC_EXPORT_", "OTEL_RESOURCE_", "OTEL_SERVICE_NAME", "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER", "PYTEST_CURRENT_TEST")  # fmt: skip


class ForkedProcess:
    """A process that the fork server started: to its user what a `subprocess.Popen` is."""

    stdin: Final = None  # if held, it ends when we do, and not before

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


class ServerProcess(Protocol):
    """The process of a fork server, as whoever asks it sees it."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    def wait(self) -> int:
        """Wait for its end."""
        ...


@dataclass(frozen=True, slots=True)
class ForkedServer:
    """A fork server that is a fork itself: by the descriptors of its pipes."""

    pid: int
    ask: int
    answer: int

    def wait(self) -> int:
        """Wait for its end."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class ForkServer:
    """A fork server, for any thread. Ends with us, or by `close`.

    `environ` is what its modules were loaded in; requests are written to `ask`, and what became of them is read from
    `answer`.
    """

    def __init__(self, process: ServerProcess, ask: IO[bytes], answer: IO[bytes], environ: Mapping[str, str]) -> None:
        self._process = process
        self._ask = ask
        self._answer = answer
        self._shared = _shared(environ)
        self._news = threading.Condition()
        self._is_heard = False  # by one thread for all
        self._requests = 0
        self._pids: list[int] = []  # in the order of the requests
        self._codes: dict[int, int] = {}
        self._heard = b""
        self._is_lost = False

    @classmethod
    def spawn(cls, environ: Mapping[str, str], modules: Sequence[str] = _STACK) -> ForkServer:
        """Start one that has loaded these modules, or soon will have."""
        process = subprocess.Popen(
            [sys.executable, "-P", str(_MAIN), *modules, " " * _MOST_TITLE_CHARS],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        return cls(process, process.stdin, process.stdout, environ)

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

    def start(
        self,
        words: Sequence[str],
        environ: Mapping[str, str],
        stderr_file: Path,
        stdout_file: Path = Path(os.devnull),
        cwd: Path | None = None,
        *,
        is_held: bool = True,
        is_killed: bool = False,
        has_fork_server: bool = False,
    ) -> ForkedProcess:
        """Start a process, in `cwd` or where the fork server is; does not wait for it.

        If held, its standard input ends with the fork server; otherwise it has none. `is_killed`: it is killed then,
        which suits what reads no standard input. With a fork server of its own, what it starts is forked, too.
        """
        request = {
            "module": words[3],
            "words": list(words),
            "environ": dict(environ),
            "cwd": str(cwd or ""),
            "stdout": str(stdout_file),
            "stderr": str(stderr_file),
            "is_held": is_held,
            "is_killed": is_killed,
            "has_fork_server": has_fork_server,
            "loaded_in": self._shared,
        }
        with self._news:
            with suppress(BrokenPipeError):
                self._ask.write(json.dumps(request).encode() + b"\n")
                self._ask.flush()
            self._requests += 1
            return ForkedProcess(self, words, self._requests - 1)

    def pid_of(self, request: int) -> int:
        """Wait for the pid that a request came to; 0 where it came to none."""
        return self._learnt(lambda: self._pids[request] if request < len(self._pids) else None, None) or 0

    def exit_code_of(self, request: int, timeout_s: float | None) -> int | None:
        """Wait, at most `timeout_s`, for the end of what a request came to; None where it still runs."""
        code = self._learnt(lambda: self._codes.get(request), timeout_s)
        return _LOST if code is None and self._is_lost else code

    def close(self) -> None:
        """End it, and with it what it started."""
        with suppress(BrokenPipeError):
            self._ask.close()
        self._process.wait()
        self._answer.close()
        self._is_lost = True

    def _learnt(self, known: Callable[[], int | None], timeout_s: float | None) -> int | None:
        """Wait until something is known, or never will be. Of several threads one hears for all."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        with self._news:
            while (value := known()) is None and not self._is_lost:
                left_s = None if deadline_s is None else max(deadline_s - time.monotonic(), 0.0)
                has_more = self._news.wait(left_s) if self._is_heard else self._hear(left_s)
                if not has_more and left_s == 0.0:
                    break
        return value

    def _hear(self, timeout_s: float | None) -> bool:
        """Take in what the server says next; False where that is nothing. Others may ask and look meanwhile."""
        self._is_heard = True
        self._news.release()
        try:
            stream = self._answer.fileno()
            piece = os.read(stream, 65536) if select.select([stream], [], [], timeout_s)[0] else None
        finally:
            self._news.acquire()
            self._is_heard = False
            self._news.notify_all()
        if piece is None:
            return False
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
        if not _servers and can_fork():
            _servers.append(ForkServer.spawn(environ))


def adopt(server: ForkedServer, environ: Mapping[str, str]) -> None:
    """Take this for the fork server of a process that was forked, before it starts anything or has threads."""
    _servers.append(ForkServer(server, os.fdopen(server.ask, "wb"), os.fdopen(server.answer, "rb"), environ))


def has_fork_server() -> bool:
    """Whether this process has a fork server that has loaded the stack's modules, or is at it."""
    return bool(_servers)


def fork_server_pid() -> int | None:
    """Return the process id of the fork server, where one has started a process."""
    return next((server.pid for server in _servers if server.has_started), None)


def fork_server(words: Sequence[str], environ: Mapping[str, str]) -> ForkServer | None:
    """Give the fork server that can start this process, the first time a new one; None where the process is spawned."""
    if not (_is_ours(words) and can_fork()):
        return None
    prepare(environ)
    return _servers[0] if _servers[0].stands_for(environ) else None


@functools.cache
def can_fork() -> bool:
    """Whether this system has what a fork server needs."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # a kernel before 5.3
        return False
    return True


def _is_ours(words: Sequence[str]) -> bool:
    return list(words[:3]) == [sys.executable, "-P", "-m"] and words[3].startswith(_PACKAGES)


@atexit.register  # so early that it runs after all that was registered to end what was started
def _close() -> None:
    for server in _servers:
        server.close()
