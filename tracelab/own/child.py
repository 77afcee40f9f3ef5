"""Runs a program in the foreground as if nothing stood between: streams, signals and exit code are its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO, Any, Final

from clients.errors import WrongUsageError

_PASSED_ON: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")


def run_child(words: Sequence[str], environ: Mapping[str, str], stdout: IO[str] | None = None) -> int:
    """Run to the end and return the exit code as a shell tells it: 128 + N for a program that signal N ended.

    `stdout` takes the place of its standard output. Main thread only, since signals are passed on.
    """
    try:
        process = subprocess.Popen(list(words), env=dict(environ), stdout=stdout)
    except OSError as error:
        raise WrongUsageError(f"{words[0]} cannot be run: {error.strerror}") from error
    with _passing_signals_to(process):
        code = process.wait()
    return 128 - code if code < 0 else code


@contextmanager
def _passing_signals_to(process: subprocess.Popen[bytes]) -> Iterator[None]:
    def pass_on(number: int, _frame: FrameType | None) -> None:
        # A terminal sends Ctrl-C to the program too; twice would be one too many.
        if number == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty():
            return
        with suppress(OSError):
            process.send_signal(number)

    before: dict[int, Any] = {}
    for name in _PASSED_ON:
        if hasattr(signal, name):
            before[signal.Signals[name]] = signal.signal(signal.Signals[name], pass_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
