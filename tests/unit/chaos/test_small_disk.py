"""A disk that is full: what a process may write is bounded, and the bound taken away again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tracelab.chaos.small_disk import BALLAST, SmallDisk, bound_files

WRITER = """
import sys
with open(sys.argv[1], "wb", 0) as file:
    for line in sys.stdin:
        try:
            print(file.write(bytes(int(line))), flush=True)
        except OSError as error:
            print(error.strerror, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds the files of another process")
def test_a_bounded_process_cannot_let_a_file_grow_until_the_bound_is_gone(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None

        def written(size: int) -> str:
            assert writer.stdin is not None
            assert writer.stdout is not None
            writer.stdin.write(f"{size}\n")
            return writer.stdout.readline().strip()

        assert written(1000) == "1000"
        bound_files(writer.pid, 1500)
        assert written(1000) == "500"
        assert written(1000) == "File too large"
        bound_files(writer.pid, None)
        assert written(1000) == "1000"


def test_without_the_right_to_mount_there_is_a_folder_and_nothing_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    disk = SmallDisk(tmp_path / "disk", 1024)
    assert (disk.is_mounted, disk.forbid_writing()) == (False, False)
    assert not (disk.folder / BALLAST).exists()
    disk.close()
