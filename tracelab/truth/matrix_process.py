"""One process of the matrix: what it prints is kept, and it is gone when its context is left."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from tracelab.fork_server import ProcessStarter
from tracelab.truth.plan import TruthError

_COMPLAINT_CHARS: Final = 2000


class MatrixProcess:
    """Started when it is made, with files that begin as `files` for what it prints. One thread."""

    def __init__(
        self, starter: ProcessStarter, words: Sequence[str], files: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self._stdout = files.with_name(f"{files.name}.stdout")
        self._stderr = files.with_name(f"{files.name}.stderr")
        self._process = starter.start(words, self._stdout, self._stderr, variables)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it no longer runs."""
        return self._process.poll() is not None

    @property
    def complaint(self) -> str:
        """The end of what it wrote to standard error; nothing where it never came to be."""
        with suppress(FileNotFoundError):
            return self._stderr.read_text(encoding="utf-8", errors="replace").strip()[-_COMPLAINT_CHARS:]
        return ""

    def terminate(self, bound_s: float) -> None:
        """Ask it to end, and wait for that; nothing where it has ended. TruthError where it does not in `bound_s`."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(bound_s)
        except subprocess.TimeoutExpired as error:
            raise TruthError(f"a server of the matrix did not end within {bound_s:.0f} s") from error

    def printed(self, who: str, bound_s: float) -> str:
        """Wait for its end, and give what it printed. TruthError if it takes longer than `bound_s`, or fails."""
        try:
            code = self._process.wait(bound_s)
        except subprocess.TimeoutExpired as error:
            raise TruthError(f"{who} took longer than {bound_s:.0f} s") from error
        if code != 0:
            raise TruthError(f"{who} failed: {self.complaint}")
        return self._stdout.read_text(encoding="utf-8")
