"""What a learner has done, kept in one small JSON file of LAB_HOME."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tracelab.learn.lesson import Lesson

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """Slugs of the lessons that were run to the end, and of those whose exercise was solved."""

    done: frozenset[str] = field(default_factory=frozenset)
    solved: frozenset[str] = field(default_factory=frozenset)

    def with_done(self, slug: str) -> Progress:
        """The same, with this lesson done."""
        return Progress(self.done | {slug}, self.solved)

    def with_solved(self, slug: str) -> Progress:
        """The same, with this lesson's exercise solved."""
        return Progress(self.done, self.solved | {slug})

    def next_lesson(self, lessons: Sequence[Lesson]) -> Lesson | None:
        """The first lesson that is not done, or None when all are."""
        return next((lesson for lesson in lessons if lesson.slug not in self.done), None)


def load_progress(file: Path) -> Progress:
    """Read `file`; an absent, damaged or foreign one counts as no progress, since nothing but convenience is lost."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Progress()
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
        return Progress()
    return Progress(_slugs(content.get("done")), _slugs(content.get("solved")))


def _slugs(value: object) -> frozenset[str]:
    return frozenset(slug for slug in value if isinstance(slug, str)) if isinstance(value, list) else frozenset()


def save_progress(file: Path, progress: Progress) -> None:
    """Write `file` whole: a reader sees the old content or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {"schema": _SCHEMA, "done": sorted(progress.done), "solved": sorted(progress.solved)}
    draft = file.with_suffix(".tmp")
    draft.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    draft.replace(file)
