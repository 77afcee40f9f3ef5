"""A disk that can be filled: a file system of its own where one may be mounted, else a bound on the size of files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

COMMAND_BOUND_S: Final = 10.0
BALLAST: Final = "ballast"
MEBIBYTE: Final = 1024 * 1024


class SmallDisk:
    """A folder with `size_bytes` of room. Without the right to mount, `is_mounted` is False and nothing bounds it.

    Half of a mounted one is ballast at first, which `make_room` takes away. Blocking.
    """

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.is_mounted = _succeeds("mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=700", "tmpfs", str(folder))
        if self.is_mounted:
            (folder / BALLAST).write_bytes(bytes(size_bytes // 2))

    def make_room(self) -> None:
        """Take the ballast away."""
        (self.folder / BALLAST).unlink()

    def forbid_writing(self) -> bool:
        """Make it read-only, which nobody may have open for writing; say whether that could be done."""
        return self.is_mounted and _succeeds("mount", "-o", "remount,ro", str(self.folder))

    def allow_writing(self) -> None:
        """Make it writable again."""
        _succeeds("mount", "-o", "remount,rw", str(self.folder))

    def close(self) -> None:
        """Unmount it; whatever uses it has ended."""
        if self.is_mounted:
            _succeeds("umount", str(self.folder))


def bound_files(pid: int, size_bytes: int | None) -> None:
    """Let no file that a process writes grow past a size (None: any size), as a full disk would. Linux alone."""
    if sys.platform == "linux":
        import resource

        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        soft = resource.RLIM_INFINITY if size_bytes is None else size_bytes
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def _succeeds(program: str, *words: str) -> bool:
    path = shutil.which(program)
    if path is None or sys.platform != "linux":
        return False
    done = subprocess.run([path, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_BOUND_S)
    return done.returncode == 0
