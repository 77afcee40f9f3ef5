"""The fork server's own process: loads the modules of our processes once, and forks a process for each request.

Run as a script, with the modules to load as its words; the last word is long and blank, for titles to have room. A
line of JSON on standard input is a request: `module`, its command line as `words`, its `environ`, the folder `cwd` to
work in if not in ours, the files `stdout` and `stderr`, whether it `is_held`, so that its standard input ends with
this process, or even `is_killed` where this process ends before it, and whether it `has_fork_server`, a fork of this
process too that stands for what is `loaded_in` an environment. On standard output stands what became of it: the pids
in the order of the requests, `{"started": PID}`, and each end, `{"ended": PID, "code": CODE}`, a code below 0 being
the signal. This process ends when its standard input does. One thread; Linux alone has all that it needs
(pidfd_open(2), since 5.3).

No process here takes its interpreter apart at its end: that takes 50 ms for what the system frees in two.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import setproctitle

from tracelab.fork_server import client


def main(modules: Sequence[str]) -> NoReturn:
    """Serve until standard input ends."""
    gc.disable()  # nothing of what is loaded is garbage; looking for some costs a third of the time
    for module in modules:
        with suppress(Exception):  # whoever is to run it says what is wrong with it
            _runnable(module)
    gc.freeze()  # nobody writes to what all share, and so it stays one copy
    _Forks().serve()
    os._exit(0)


class _Forks:
    """The processes that were forked and not yet waited for, each by the descriptor that tells its end."""

    def __init__(self) -> None:
        self._pids: dict[int, int] = {}
        self._killed: set[int] = set()  # those that may not outlive this process
        self._held_input, self._holds = os.pipe()  # nobody writes to it: it ends when this process does
        self._requested = b""

    def serve(self) -> None:
        while True:
            ready, _, _ = select.select([0, *self._pids], [], [])
            for descriptor in ready:
                if descriptor in self._pids:
                    self._say_end(descriptor)
                elif not self._read_requests():
                    for descriptor in self._killed:
                        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    return

    def _read_requests(self) -> bool:
        piece = os.read(0, 65536)
        *lines, self._requested = (self._requested + piece).split(b"\n")
        for line in lines:
            self._fork(json.loads(line))
        return bool(piece)

    def _fork(self, request: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            self._become(request)
        descriptor = os.pidfd_open(pid)
        self._pids[descriptor] = pid
        if request["is_killed"]:
            self._killed.add(descriptor)
        _say({"started": pid})

    def _say_end(self, descriptor: int) -> None:
        pid = self._pids.pop(descriptor)
        self._killed.discard(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        _say({"ended": pid, "code": os.waitstatus_to_exitcode(status)})

    def _become(self, request: dict[str, Any]) -> NoReturn:
        """Be the process that was asked for, to its end."""
        os.setsid()
        words: list[str] = request["words"]
        asked = _fork_again((self._held_input, self._holds, *self._pids)) if request["has_fork_server"] else None
        appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        streams = [os.open(request[name], appending, 0o644) for name in ("stdout", "stderr")]
        stdin = self._held_input if request["is_held"] else os.open(os.devnull, os.O_RDONLY)
        for number, descriptor in enumerate((stdin, *streams)):
            os.dup2(descriptor, number)
        for descriptor in {stdin, *streams, self._held_input, self._holds, *self._pids}:
            os.close(descriptor)
        if request["cwd"]:
            os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environ"])
        setproctitle.setproctitle(" ".join(words))  # by which `ps` and the stack's record know it
        sys.argv = words[words.index(request["module"]) :]
        if asked is not None:
            client.adopt(asked, request["loaded_in"])
        gc.enable()
        _run_to_its_end(_runnable(request["module"]).main)


def _fork_again(inherited: Sequence[int]) -> client.ForkedServer:
    """Fork another fork server, which has loaded what this one has, without its descriptors."""
    requests, ask = os.pipe()
    answer, answers = os.pipe()
    pid = os.fork()
    if pid:
        os.close(requests)
        os.close(answers)
        return client.ForkedServer(pid, ask, answer)
    os.dup2(requests, 0)
    os.dup2(answers, 1)
    for descriptor in (requests, ask, answer, answers, *inherited):
        os.close(descriptor)
    _Forks().serve()
    os._exit(0)


def _run_to_its_end(main: Callable[[], Any]) -> NoReturn:
    """Run what ends a process, and end it: threads are waited for, exit functions run, streams flushed."""
    try:
        code = main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing ends its forks; there is no other name
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else code is not None)


def _runnable(module: str) -> Any:
    """The module that `python -m` would run, which has a `main()`."""
    loaded = importlib.import_module(module)
    return importlib.import_module(f"{module}.__main__") if hasattr(loaded, "__path__") else loaded


def _say(message: dict[str, int]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    setproctitle.setproctitle(" ".join([sys.executable, *sys.argv[:-1]]))
    main(sys.argv[1:-1])
