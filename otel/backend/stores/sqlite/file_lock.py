"""A lock that a process holds on a store file, so that two backends never write one store.

The system gives it up when the process dies, however it dies.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from otel.backend.errors import StoreRefusedError


class FileLock:
    """An exclusive lock on a file beside the store."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self.is_new = False
        """Whether nobody had ever locked this before; known once it is acquired."""

    def acquire(self) -> None:
        """Take the lock or raise StoreRefusedError; never waits."""
        self.is_new = not self._path.exists()
        try:
            file = self._path.open("ab")
        except OSError as error:
            raise StoreRefusedError(f"{self._path.parent} cannot be written to: {error.strerror}") from error
        try:
            _lock(file)
        except OSError as error:
            file.close()
            store = self._path.name.removesuffix(".lock")
            raise StoreRefusedError(f"{store} is in use by another backend; stop it, or name another file") from error
        self._file = file

    def release(self) -> None:
        """Give the lock up."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Give the lock up and leave no file of it, beside what turned out to be no store."""
        self.release()
        self._path.unlink(missing_ok=True)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
