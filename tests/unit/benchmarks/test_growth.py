"""The table of `lab bench growth`, and what its `--at` takes."""

from __future__ import annotations

import os

import pytest

from benchmarks._engine_load import QUESTIONS
from benchmarks.growth import Step, main, report


def test_a_row_has_an_engine_at_a_size_and_a_question_that_finds_nothing_says_so() -> None:
    times_us = dict.fromkeys(QUESTIONS, (1_500, 4_000)) | {QUESTIONS[3]: None}
    found = report([Step("embedded", 200_000, 100_000, 2_000_000_000, 30_000_000, 64_000_000, times_us)]).splitlines()[
        -1
    ]
    assert found == ("| embedded | 200,000 | 1.5 / 4.0 | 1.5 / 4.0 | 1.5 / 4.0 | finds nothing | 50,000 | 150 | 64 |")


@pytest.mark.parametrize("text", ["here", "name=a:1,PID", "name=a:1,b:2,x", "name=a:1,b:2,999999999"])
def test_an_engine_that_is_not_there_is_one_line_and_exit_2(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["growth", "--at", text.replace("PID", str(os.getpid()))])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "of processes that run" in capsys.readouterr().err.splitlines()[-1]
