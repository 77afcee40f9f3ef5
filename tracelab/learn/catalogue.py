"""Finds the lessons: every module of `tracelab.lessons` that has a `LESSON`."""

from __future__ import annotations

import importlib
import pkgutil
from difflib import get_close_matches
from typing import Final

from tracelab.learn.lesson import Chapter, Lesson

LESSONS_PACKAGE: Final = "tracelab.lessons"  # by name: lessons know what they are made of, never the other way round
_CHAPTERS: Final = list(Chapter)


class UnknownLessonError(LookupError):
    """No lesson has that name; the text says which are near."""


def all_lessons() -> tuple[Lesson, ...]:
    """Every lesson, by chapter and number. Imports every lesson module: a lesson does nothing at import."""
    package = importlib.import_module(LESSONS_PACKAGE)
    names = (module.name for module in pkgutil.iter_modules(package.__path__, f"{LESSONS_PACKAGE}."))
    lessons: list[Lesson] = [importlib.import_module(name).LESSON for name in names]
    return tuple(sorted(lessons, key=lambda lesson: (_CHAPTERS.index(lesson.chapter), lesson.number)))


def lessons_beginning(start: str) -> list[str]:
    """The slugs that begin with `start`, by chapter and number."""
    return [lesson.slug for lesson in all_lessons() if lesson.slug.startswith(start)]


def lesson_named(slug: str) -> Lesson:
    """The lesson of that slug; UnknownLessonError with the nearest names where there is none."""
    lessons = {lesson.slug: lesson for lesson in all_lessons()}
    if slug in lessons:
        return lessons[slug]
    near = get_close_matches(slug, lessons, n=1)
    hint = f"did you mean {near[0]}?" if near else "./lab learn lists them"
    raise UnknownLessonError(f"'{slug}' is not a lesson; {hint}")
