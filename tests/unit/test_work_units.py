"""How several workers share the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.work_units import FIRST, SPREAD, WAITING, next_unit, rank, sendable

ROOT = Path(__file__).resolve().parents[2]


def test_a_report_with_half_a_surrogate_pair_can_be_sent() -> None:
    report = {"sections": [("Captured log call", "kept \ud800")], "duration": 0.1, "longrepr": None}
    assert sendable(report) == {
        "sections": [("Captured log call", "kept \\ud800")],
        "duration": 0.1,
        "longrepr": None,
    }


@pytest.mark.parametrize("named", [*SPREAD, *FIRST, *WAITING])
def test_what_is_named_is_there(named: str) -> None:
    assert (ROOT / named).exists()


def test_whole_files_of_what_takes_long_come_first_and_the_rest_last() -> None:
    ids = ["tests/unit/test_docs.py::a", f"{SPREAD[0]}::b", "tests/e2e/test_cli.py::c"]
    assert sorted(ids, key=rank) == ids[::-1]


def test_a_worker_takes_what_it_prefers_as_long_as_there_is_any() -> None:
    units = ["tests/browser/test_trace.py", "tests/e2e/test_cli.py", "tests/unit/test_docs.py"]
    assert next_unit(units, waits=True) == units[1]
    assert next_unit(units, waits=False) == units[0]
    assert next_unit(units[::2], waits=True) == units[0]
    assert next_unit([units[1]], waits=False) == units[1]
