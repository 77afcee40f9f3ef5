"""The READMEs list the lessons that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tracelab.learn.catalogue import all_lessons

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| [^|]+ \| `([a-z-]+)` \| ([^|]+) \|$", re.MULTILINE)


@pytest.mark.parametrize("readme", ["README.md", "README.pt-BR.md"])
def test_a_readme_lists_every_lesson_in_order(readme: str) -> None:
    rows = ROW.findall((ROOT / readme).read_text(encoding="utf-8"))
    slugs = {lesson.slug for lesson in all_lessons()}
    assert [slug for slug, _ in rows if slug in slugs] == [lesson.slug for lesson in all_lessons()]


def test_the_readme_asks_what_the_lessons_ask() -> None:
    rows = dict(ROW.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    assert {lesson.slug: lesson.question for lesson in all_lessons()}.items() <= rows.items()
