"""A lesson's exercise: the file that the learner edits, and the run that checks it."""

from __future__ import annotations

import ast
import asyncio
import traceback
from collections.abc import Mapping
from pathlib import Path

from clients.learn.lab import Lab
from clients.learn.lesson import Lesson, Outcome
from clients.learn.process import connect


class ExerciseError(RuntimeError):
    """The learner's file cannot be run; the text says where and why, and `hint` what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def exercise_file(lesson: Lesson, home: Path) -> Path:
    """Where the learner's version is kept."""
    return home / "learn" / f"{lesson.slug.replace('-', '_')}.py"


def prepare(lesson: Lesson, home: Path) -> Path:
    """Write the starter unless the learner has a version already; a version is never overwritten."""
    file = exercise_file(lesson, home)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(lesson.try_it.starter, encoding="utf-8")
    return file


def check(lesson: Lesson, source: str, where: str, home: Path, environ: Mapping[str, str]) -> Outcome:
    """Run the learner's source, then the lesson's check of what it defines. Blocks; ends what it started.

    The source is the learner's own, on the learner's own machine, and runs with all that it may do there.
    """
    if lesson.try_it.check is None:
        raise ExerciseError(f"the exercise of {lesson.slug} is not one that the tool checks", "--hint and --solution")
    names: dict[str, object] = {"__name__": f"exercise_{lesson.slug}"}
    try:
        exec(compile(source, where, "exec"), names)  # noqa: S102  running the learner's file is what was asked for
    except Exception as error:
        raise _at_fault(error, where, getattr(error, "lineno", None) or _line_in(error, where)) from error
    missing = [name for name in _defined_by(lesson.try_it.starter) if name not in names]
    if missing:
        raise ExerciseError(f"{where} does not define {missing[0]}", "define it, or delete the file to begin again")
    try:
        return asyncio.run(_check(lesson, names, home, environ))
    except Exception as error:
        line = _line_in(error, where)
        if line is None:
            raise
        raise _at_fault(error, where, line) from error


def _at_fault(error: Exception, where: str, line: int | None) -> ExerciseError:
    place = f"{where}:{line}" if line else where
    return ExerciseError(f"{place}: {type(error).__name__}: {error}", "mend the file, or delete it to begin again")


def _line_in(error: Exception, where: str) -> int | None:
    """The innermost line of the learner's file that `error` came through; None if it came through none."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == where]
    return lines[-1] if lines else None


def _defined_by(source: str) -> list[str]:
    """The names that a starter defines on its top level, imports left out: what its check looks for."""
    names = []
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(statement.name)
        elif isinstance(statement, ast.Assign):
            names += [target.id for target in statement.targets if isinstance(target, ast.Name)]
    return names


async def _check(lesson: Lesson, names: Mapping[str, object], home: Path, environ: Mapping[str, str]) -> Outcome:
    assert lesson.try_it.check is not None
    lab = Lab(home, environ, connect)
    try:
        return await lesson.try_it.check(lab, names)
    finally:
        await lab.close()
