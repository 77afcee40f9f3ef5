"""Every module of lessons is found, in order, and a mistyped name is answered with a near one."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

import tracelab.lessons
from tracelab.learn.catalogue import UnknownLessonError, all_lessons, lesson_named
from tracelab.learn.lesson import Chapter
from tracelab.learn.outcome import Fact, Outcome, equal, holds
from tracelab.learn.progress import Progress
from tracelab.learn.terminal_view import print_catalogue


def test_every_module_is_a_lesson_whose_slug_is_its_file_s_name() -> None:
    files = {path.stem for path in Path(tracelab.lessons.__path__[0]).glob("*.py")} - {"__init__"}
    assert {lesson.slug.replace("-", "_") for lesson in all_lessons()} == files


def test_lessons_are_in_order_of_chapter_and_number_and_no_place_is_taken_twice() -> None:
    places = [(list(Chapter).index(lesson.chapter), lesson.number) for lesson in all_lessons()]
    assert places == sorted(set(places))


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_list_of_lessons_fits_and_no_line_ends_in_spaces(width: int) -> None:
    stream = io.StringIO()
    print_catalogue(Console(file=stream, width=width), all_lessons(), Progress(frozenset({"retry"})))
    lines = stream.getvalue().splitlines()
    assert [line for line in lines if line != line.rstrip() or cell_len(line) > width] == []
    assert any(line.startswith("  ✔  retry ") for line in lines)


@pytest.mark.parametrize(
    ("typed", "meant"), [("deadlin", "deadline"), ("n-plus-1", "n-plus-one"), ("retries", "retry")]
)
def test_a_mistyped_name_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(UnknownLessonError, match=f"'{typed}' is not a lesson; did you mean {meant}"):
        lesson_named(typed)


def test_a_name_near_to_none_is_answered_with_the_list() -> None:
    with pytest.raises(UnknownLessonError, match="lab learn lists them"):
        lesson_named("quantum")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "yes"),
        (None, "none"),
        ([], "none"),
        ([4, 4], "4, 4"),
        ({"b", "a"}, "a, b"),
        ({"order-b": 5, "order-a": 5}, "order-a 5, order-b 5"),
        (("OK", False), "OK, no"),
        ("as it is", "as it is"),
    ],
)
def test_facts_are_shown_in_words(value: object, words: str) -> None:
    assert equal("fact", value, value) == Fact("fact", words, words, True)


def test_an_outcome_passes_only_if_it_has_facts_and_all_hold() -> None:
    assert not Outcome(()).passed
    assert Outcome((equal("two", 2, 2), holds("more", "more than 1", 2, True))).passed
    assert not Outcome((equal("two", 2, 2), equal("three", 3, 2))).passed
