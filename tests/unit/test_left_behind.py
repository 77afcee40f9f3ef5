"""The check at the end of every run of the tests, which conftest.py makes, sees what was left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.left_behind import LeftBehind, entries


def test_files_and_empty_folders_are_seen_and_caches_are_not(tmp_path: Path) -> None:
    for name in ("__pycache__", "proto/v3", ".mypy_cache/3.11"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "proto" / "note.txt").touch()
    (tmp_path / ".coverage").touch()
    assert entries(tmp_path) == {"proto", "proto/v3", "proto/note.txt"}


def test_a_run_that_leaves_a_file_has_an_error_and_names_it(tmp_path: Path) -> None:
    seen: list[pytest.TestReport] = []
    made = LeftBehind(tmp_path, seen.append)
    assert made.is_clean()
    (tmp_path / "v3" / "modules").mkdir(parents=True)
    assert not made.is_clean()
    assert [(report.outcome, report.when, report.longreprtext) for report in seen] == [
        ("failed", "teardown", "new in the checkout since the run began, left by it or made meanwhile: v3")
    ]
