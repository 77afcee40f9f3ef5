"""Progress is kept in one small file that may be missing, damaged or foreign without harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracelab.learn.catalogue import all_lessons
from tracelab.learn.progress import Progress, load_progress, save_progress


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "learn" / "progress.json"
    progress = Progress().with_done("retry").with_done("deadline").with_solved("retry")
    save_progress(file, progress)
    assert load_progress(file) == progress
    assert [left.name for left in file.parent.iterdir()] == ["progress.json"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema": 99, "done": ["retry"]}', "\x00\xff", '{"schema": 1, "done": 7}']
)
def test_a_file_that_is_not_ours_counts_as_no_progress(content: str, tmp_path: Path) -> None:
    file = tmp_path / "progress.json"
    file.write_text(content, encoding="latin-1")
    assert load_progress(file) == Progress()
    assert load_progress(tmp_path / "missing.json") == Progress()


def test_the_next_lesson_is_the_first_that_is_not_done() -> None:
    lessons = all_lessons()
    first, second = lessons[0], lessons[1]
    assert Progress().next_lesson(lessons) == first
    assert Progress().with_done(first.slug).next_lesson(lessons) == second
    assert Progress(frozenset(lesson.slug for lesson in lessons)).next_lesson(lessons) is None
