"""`lab test`: what it runs, and that a check which finds something ends it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from clients.errors import LabError, WrongUsageError
from tracelab.commands import test as command

SAYS_BAD = (sys.executable, "-c", "print('bad style'); raise SystemExit(1)")


def test_without_words_everything_runs_with_more_workers_than_cores() -> None:
    assert command.plan([], cores=2) == (command.CHECKS, ["-n", "4"])
    assert command.plan([], cores=64)[1] == ["-n", str(command.MOST_WORKERS)]


def test_quick_runs_the_checks_and_the_unit_tests() -> None:
    assert command.plan(["--quick", "-x"], cores=2) == (command.CHECKS, ["-n", "2", "tests/unit", "-x"])


def test_words_go_to_pytest_which_runs_alone() -> None:
    assert command.plan(["-k", "demo"], cores=2) == ((), ["-k", "demo"])


def test_a_check_that_finds_something_says_so_and_ends_the_tests(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "plan", lambda words, cores: ((("ruff", SAYS_BAD),), ["--version"]))
    with pytest.raises(LabError, match="ruff found something"):
        command.run([])
    assert "bad style\n" in capsys.readouterr().out


def test_the_exit_code_is_that_of_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "plan", lambda words, cores: ((("ruff", (sys.executable, "-c", "")),), ["--nonsense"]))
    assert command.run([]) == pytest.ExitCode.USAGE_ERROR


def test_scale_without_its_programs_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WrongUsageError, match="--scale needs java"):
        command.run(["--scale"])


def test_tests_of_scale_are_collected_only_where_they_are_named(pytestconfig: pytest.Config) -> None:
    asked = [sys.executable, "-m", "pytest", "-q", "-n0", "--collect-only"]
    for words, is_found in ((["tests/scale"], True), (["tests", "--ignore-glob=tests/[!s]*"], False)):
        ran = subprocess.run([*asked, *words], cwd=pytestconfig.rootpath, capture_output=True, text=True, timeout=60)
        assert ("tests/scale/test_scale.py" in ran.stdout) is is_found
