"""Lines in files: whole, bounded, and never the reason why a call fails."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from otel.instrument.log_lines import RotatingLineFile


def test_a_file_is_rotated_before_the_line_that_would_not_fit(tmp_path: Path) -> None:
    file = RotatingLineFile(tmp_path / "user.log", max_bytes=10, file_count=3)
    for number in range(6):
        file.write(f"line{number}\n".encode())
    file.close()

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "user.log": b"line5\n",
        "user.log.1": b"line4\n",
        "user.log.2": b"line3\n",
    }


def test_one_file_may_be_all_that_is_kept(tmp_path: Path) -> None:
    file = RotatingLineFile(tmp_path / "user.log", max_bytes=10, file_count=1)
    for number in range(3):
        file.write(f"line{number}\n".encode())
    file.close()

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"user.log": b"line2\n"}


def test_a_file_is_continued_and_its_old_size_counts(tmp_path: Path) -> None:
    (tmp_path / "user.log").write_bytes(b"before\n")
    file = RotatingLineFile(tmp_path / "user.log", max_bytes=10, file_count=2)
    file.write(b"after\n")
    file.close()

    assert (tmp_path / "user.log.1").read_bytes() == b"before\n"


def test_a_line_after_close_is_not_lost(tmp_path: Path) -> None:
    file = RotatingLineFile(tmp_path / "user.log", max_bytes=100, file_count=2)
    file.close()
    file.write(b"late\n")

    assert (tmp_path / "user.log").read_bytes() == b"late\n"


def test_lines_of_many_threads_stay_whole_over_rotations(tmp_path: Path) -> None:
    file = RotatingLineFile(tmp_path / "user.log", max_bytes=2_000, file_count=100)

    def write_many(letter: bytes) -> None:
        for _ in range(200):
            file.write(letter * 50 + b"\n")

    threads = [threading.Thread(target=write_many, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()

    lines = [line for path in tmp_path.iterdir() for line in path.read_bytes().splitlines()]
    assert sorted(lines) == [letter * 50 for letter in (b"a", b"b", b"c") for _ in range(200)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_a_full_disk_fails_nobody() -> None:
    file = RotatingLineFile(Path("/dev/full"), max_bytes=10_000, file_count=1)
    file.write(b"line\n")
    file.close()
