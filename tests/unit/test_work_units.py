"""How several workers share the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.work_units import FIRST, SPREAD, rank, sendable

ROOT = Path(__file__).resolve().parents[2]


def test_a_report_with_half_a_surrogate_pair_can_be_sent() -> None:
    report = {"sections": [("Captured log call", "kept \ud800")], "duration": 0.1, "longrepr": None}
    assert sendable(report) == {
        "sections": [("Captured log call", "kept \\ud800")],
        "duration": 0.1,
        "longrepr": None,
    }


@pytest.mark.parametrize("named", [*SPREAD, *FIRST])
def test_what_is_named_is_there(named: str) -> None:
    assert (ROOT / named).exists()


def test_whole_files_of_what_takes_long_come_first_and_the_rest_last() -> None:
    ids = ["tests/unit/test_docs.py::a", f"{SPREAD[0]}::b", "tests/e2e/test_cli.py::c"]
    assert sorted(ids, key=rank) == ids[::-1]
