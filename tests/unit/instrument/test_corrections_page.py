"""docs/corrections.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_correction_is_held_by_a_test_that_exists() -> None:
    page = (ROOT / "docs/corrections.md").read_text(encoding="utf-8")
    sources = [
        path.read_text(encoding="utf-8")
        for layer in ("unit", "inprocess")
        for path in (ROOT / "tests" / layer / "instrument").glob("test_*.py")
    ]
    there = {name for source in sources for name in re.findall(r"def (test_\w+)", source)}

    rows = re.findall(r"^\| ([SCBY]\d+) \|.*\| ([^|]*) \|$", page, re.MULTILINE)
    missing = {row: named for row, tests in rows if (named := set(re.findall(r"`(test_\w+)`", tests)) - there)}
    assert missing == {}
    assert len(rows) == 41
    assert all("`test_" in tests for _, tests in rows)
