"""Where JSON log lines go: standard output and a rotated file, each line one unbuffered write.

One write per line means that lines of several processes on one terminal do not tear, and that nothing is lost when a
process is killed. A sink that fails (full disk, closed pipe) never fails the call that logs.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Protocol


class LineSink(Protocol):
    """Takes whole lines, newline included, from any thread."""

    def write(self, line: bytes) -> None:
        """Write one line; never raises for an I/O error."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class StdoutLines:
    """Standard output's file descriptor, past Python's buffer. Silent for ever once its reader has gone."""

    def __init__(self) -> None:
        self._file: FileIO | None = FileIO(sys.stdout.fileno(), "wb", closefd=False)

    def write(self, line: bytes) -> None:
        """Write one line."""
        if self._file is None:
            return
        try:
            _write_all(self._file, line)
        except OSError:
            self._file = None

    def close(self) -> None:
        """Do nothing: standard output belongs to the process."""


class RotatingLineFile:
    """A log file of at most `max_bytes`, with `file_count - 1` older ones beside it: `x.log`, `x.log.1`, …

    A line is never split over two files. Lines written after `close` are still appended, one opening each.
    """

    def __init__(self, path: Path, max_bytes: int, file_count: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file_count = file_count
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _appending(path)
        self._size_bytes = self._file.tell()

    def write(self, line: bytes) -> None:
        """Append one line, rotating before it if it would not fit; the lock is this file's own."""
        with self._lock:
            try:
                if self._file.closed:
                    with _appending(self._path) as file:
                        _write_all(file, line)
                    return
                if self._size_bytes > 0 and self._size_bytes + len(line) > self._max_bytes:
                    self._rotate()
                self._size_bytes += len(line)
                _write_all(self._file, line)
            except OSError:  # a full disk never fails the call that logs
                return

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _rotate(self) -> None:
        self._file.close()  # before the renames: Windows renames no open file
        try:
            self._shift()
        finally:
            self._file = _appending(self._path)
            self._size_bytes = self._file.tell()

    def _shift(self) -> None:
        for number in range(self._file_count - 1, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        self._path.unlink(missing_ok=True)  # only there if one file is all that may be kept

    def _numbered(self, number: int) -> Path:
        return self._path if number == 0 else self._path.with_name(f"{self._path.name}.{number}")


class LineLogger:
    """What structlog calls at the end of its chain: one method per level, each given the finished line."""

    def __init__(self, sinks: Sequence[LineSink]) -> None:
        self._sinks = tuple(sinks)

    def msg(self, line: bytes) -> None:
        """Write the line to each sink."""
        for sink in self._sinks:
            sink.write(line)

    log = debug = info = warn = warning = error = critical = fatal = exception = failure = err = msg


def _appending(path: Path) -> FileIO:
    file = FileIO(path, "ab")
    file.seek(0, os.SEEK_END)
    return file


def _write_all(file: FileIO, line: bytes) -> None:
    written = file.write(line)
    while written is not None and written < len(line):  # a pipe may take a long line in parts
        line = line[written:]
        written = file.write(line)
