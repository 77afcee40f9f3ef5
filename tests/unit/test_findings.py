"""The index of the findings agrees with the scripts; nothing is run, since the libraries are other people's."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FINDINGS = ROOT / "findings"
SCRIPTS = sorted(FINDINGS.glob("*.sh"))
INDEX = (FINDINGS / "README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| \[([\w-]+)\]\(([\w-]+)\.sh\) \|(.+)\|$", re.MULTILINE)
INSTALL = re.compile(r"(?:pip\"?|npm) install ((?:\\\n|.)+)")
# pip's ==, npm's and Go's @, cargo's "=…", Maven's element.
PINNED = re.compile(r"==\d|@v?\d|\"=\d|<version>\d")


def installed(script: str) -> list[str]:
    """Name the packages that pip and npm are asked for, each with what stands behind its name."""
    words = " ".join(INSTALL.findall(script)).replace("\\\n", " ").split()
    options = {word for before, word in pairwise(words) if before == "--prefix"}
    return [word for word in words if not word.startswith("-") and word not in options]


def test_the_index_has_every_script_once_and_nothing_else() -> None:
    names = [name for name, _, _ in ROW.findall(INDEX)]
    assert sorted(names) == [path.stem for path in SCRIPTS]
    assert all(name == target for name, target, _ in ROW.findall(INDEX))


def test_a_row_says_versions_a_guess_what_happens_and_where_it_is_handled() -> None:
    rows = {name: [cell.strip() for cell in rest.split("|")] for name, _, rest in ROW.findall(INDEX)}
    assert {name: cells for name, cells in rows.items() if len(cells) != 4 or not all(cells)} == {}
    assert [name for name, cells in rows.items() if not re.search(r"\d+\.\d+", cells[0])] == []


def test_the_folder_holds_scripts_and_their_index_only() -> None:
    assert sorted(path.name for path in FINDINGS.iterdir() if path.suffix != ".sh") == ["README.md"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no run bit")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_can_be_run(script: Path) -> None:
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_cleans_up_after_itself_and_installs_what_is_pinned(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n# ")
    assert "\nset -euo pipefail\nwork=$(mktemp -d)\ntrap '" in text
    assert 'rm -rf "$work"' in text
    assert PINNED.search(text)
    assert "@latest" not in text
    assert [name for name in installed(text) if not re.search(r".(==|@)\d", name)] == []
    assert "timeout " in text


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_its_versions_a_guess_and_the_behavior(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    assert [word for word in ("versions: ", "guess: ", "behavior:") if word not in text] == []
    assert "A guess: " in text.partition("set -euo")[0]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_runs_without_the_project(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    ours = r"^\s*(from|import) (clients|generated|otel|services|tracelab)\b|GIT_DIR|BASH_SOURCE|dirname"
    assert re.search(ours, text, re.MULTILINE) is None
