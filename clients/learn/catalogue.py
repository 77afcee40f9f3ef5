"""Finds the lessons: every module of `clients.lessons` that has a `LESSON`."""

from __future__ import annotations

import importlib
import pkgutil
from difflib import get_close_matches

import clients.lessons
from clients.learn.lesson import Chapter, Lesson

_CHAPTERS = list(Chapter)


class UnknownLessonError(LookupError):
    """No lesson has that name; the text says which are near."""


def all_lessons() -> tuple[Lesson, ...]:
    """Every lesson, by chapter and number. Imports every lesson module: a lesson does nothing at import."""
    names = (module.name for module in pkgutil.iter_modules(clients.lessons.__path__))
    lessons: list[Lesson] = [importlib.import_module(f"clients.lessons.{name}").LESSON for name in names]
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
