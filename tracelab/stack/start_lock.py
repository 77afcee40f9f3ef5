"""One start at a time per home: what one command starts and stops again, no other takes for its own meanwhile.

The system gives the lock up when its process dies, however it dies.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from tracelab.stack.errors import StackError

WAIT_BOUND_S: Final = 60.0  # a demo with its bounds for start, trace and stop
POLL_S: Final = 0.05
_PID_BYTES: Final = 20
_LOCKED_BYTE: Final = 100  # beyond the pid: on Windows others can't read what is locked


class StartLock:
    """A context manager that holds the lock; `release` gives it up sooner. Use from one thread."""

    def __init__(self, home: Path) -> None:
        self._path = home / "start.lock"
        self._file: BinaryIO | None = None

    def acquire(self, say: Callable[[str], None], within_s: float = WAIT_BOUND_S) -> Self:
        """Take the lock; while another has it, `say` so once and wait. StackError after `within_s`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)
        deadline_s = time.monotonic() + within_s
        has_said = False
        try:
            while not _is_locked_by_us(file):
                holder = self._holder()
                if time.monotonic() > deadline_s:
                    raise StackError(f"another ./lab{holder} still starts or stops this stack", _HINT)
                if not has_said:
                    say(f"another ./lab{holder} uses {self._path.parent}; waiting for it")
                    has_said = True
                time.sleep(POLL_S)
        except BaseException:
            file.close()
            raise
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        self._file = file
        return self

    def release(self) -> None:
        """Let the next one start; may be called again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _holder(self) -> str:
        with suppress(OSError):
            pid = self._path.read_bytes()[:_PID_BYTES].decode(errors="replace")
            return f" (pid {pid})" if pid.isdigit() else ""
        return ""


_HINT: Final = "wait for it, or take a stack of your own with --ports auto"

if sys.platform == "win32":
    import msvcrt

    def _is_locked_by_us(file: BinaryIO) -> bool:
        file.seek(_LOCKED_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            file.seek(0)
        return True

else:
    import fcntl

    def _is_locked_by_us(file: BinaryIO) -> bool:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
