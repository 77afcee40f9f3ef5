"""`lab clean` removes what is left behind, and nothing that a person made or linked to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracelab.commands import clean


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(clean, "ROOT", tmp_path / "repository")
    monkeypatch.setenv("LAB_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_the_store_goes_with_all_that_lies_beside_it(home: Path) -> None:
    for name in ("", "-wal", "-shm", ".lock", ".damaged-20261126T100000"):
        (home / f"telemetry.sqlite{name}").touch()
    (home / "runs").mkdir()
    (home / "comparisons").mkdir()
    clean.clean(dry_run=True)
    assert len(list(home.iterdir())) == 7
    clean.clean(dry_run=False)
    assert [path.name for path in home.iterdir()] == ["comparisons"]


def test_of_a_folder_that_lies_elsewhere_only_the_link_goes(home: Path, tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (home / "runs").symlink_to(tmp_path / "large")
    (home / "logs").symlink_to(tmp_path / "gone")
    clean.clean(dry_run=False)
    assert list(home.iterdir()) == []
    assert (tmp_path / "large").is_dir()
