"""The promises hold: the short form of each experiment, on real processes, judged by what was counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.lab_process import Lab
from tracelab.chaos.all_experiments import EXPERIMENTS


@pytest.mark.parametrize("slug", [experiment.slug for experiment in EXPERIMENTS])
def test_what_is_promised_holds_when_harm_is_done(slug: str, tmp_path: Path) -> None:
    told = Lab(tmp_path / "home").run("chaos", slug, "--short", "--json")
    (result,) = json.loads(told.stdout)["experiments"]
    broken = [count for count in result["counts"] if count["held"] is False and not count["timed"]]
    assert (result["error"], broken) == ("", [])
    assert result["counts"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["restrat"], "error: 'restrat' is no experiment\nhint: did you mean restart?"),
        (["restart", "--write"], "error: --write takes the long form of every experiment"),
    ],
    ids=["unknown", "written in part"],
)
def test_a_mistake_is_said_before_any_harm_is_done(words: list[str], said: str, tmp_path: Path) -> None:
    told = Lab(tmp_path / "home").run("chaos", *words)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith(said)
