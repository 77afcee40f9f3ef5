"""A lesson's exercise: the file that the learner edits, and the run that checks it."""

from __future__ import annotations

import ast
import asyncio
import inspect
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Lesson
from tracelab.learn.outcome import Outcome
from tracelab.learn.telemetry import connect, without_telemetry

CHECK_BOUND_S: Final = 60.0
"""Many times what a check takes; no less than what a slow machine may need to start its processes."""


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


def check(
    lesson: Lesson, source: str, where: str, home: Path, environ: Mapping[str, str], *, within_s: float = CHECK_BOUND_S
) -> Outcome:
    """Run the learner's source, then the lesson's check of what it defines. Blocks; ends what it started.

    The source is the learner's own, on the learner's own machine, and runs with all that it may do there. Main thread
    only. What has not ended after `within_s` is stopped, be it a loop that never awaits; ExerciseError says where.
    """
    if lesson.try_it.check is None:
        raise ExerciseError(f"the exercise of {lesson.slug} is not one that the tool checks", "--hint and --solution")
    stopped = threading.Event()
    timer = threading.Timer(within_s, _stop_a_loop, (where, stopped))
    timer.daemon = True
    timer.start()
    try:
        return _checked(lesson, source, where, home, environ, within_s)
    except KeyboardInterrupt as error:
        if not stopped.is_set():
            raise
        raise _endless(_place(where, _line_in(error, where)), within_s) from error
    finally:
        timer.cancel()


def _checked(
    lesson: Lesson, source: str, where: str, home: Path, environ: Mapping[str, str], within_s: float
) -> Outcome:
    names: dict[str, object] = {"__name__": f"exercise_{lesson.slug}"}
    try:
        exec(compile(source, where, "exec"), names)  # noqa: S102  running the learner's file is what was asked for
    except (Exception, SystemExit) as error:
        raise _at_fault(error, where, getattr(error, "lineno", None) or _line_in(error, where)) from error
    missing = [name for name in _defined_by(lesson.try_it.starter) if name not in names]
    if missing:
        raise ExerciseError(f"{where} does not define {missing[0]}", "define it, or delete the file to begin again")
    try:
        return asyncio.run(_check(lesson, names, where, home, environ, within_s))
    except (Exception, SystemExit) as error:
        line = _line_in(error, where)
        if line is None:
            raise
        raise _at_fault(error, where, line) from error


async def answer_of(names: Mapping[str, object], signature: str, *arguments: object) -> Any:
    """Call the learner's coroutine function, `name(parameters)`, and return its answer.

    ExerciseError where it is no function, does not take these arguments, or gives nothing to await.
    """
    name = signature.partition("(")[0]
    function = names.get(name)
    if not callable(function):
        raise ExerciseError(f"{name} is no function", f"define it: async def {signature}")
    try:
        with suppress(ValueError):  # some builtins have no signature to look at
            inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise ExerciseError(
            f"{name} cannot be called as {signature}: {error}", f"define it: async def {signature}"
        ) from error
    answer = function(*arguments)
    if not inspect.isawaitable(answer):
        raise ExerciseError(f"{name} returned {type(answer).__name__}, not a coroutine", f"write async def {signature}")
    answer = await answer
    if inspect.iscoroutine(answer):
        answer.close()
        raise ExerciseError(f"{name} returned a coroutine that nobody awaited", "an await is missing before a call")
    return answer


def _at_fault(error: BaseException, where: str, line: int | None) -> ExerciseError:
    said = error.msg if isinstance(error, SyntaxError) else error  # its text names the line again
    return ExerciseError(
        f"{_place(where, line)}: {type(error).__name__}: {said}", "mend the file, or delete it to begin again"
    )


def _place(where: str, line: int | None) -> str:
    return f"{where}:{line}" if line else where


def _line_in(error: BaseException, where: str) -> int | None:
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


async def _check(
    lesson: Lesson, names: Mapping[str, object], where: str, home: Path, environ: Mapping[str, str], within_s: float
) -> Outcome:
    assert lesson.try_it.check is not None
    lab = Lab(home, without_telemetry(environ), connect)
    try:
        with _interruptible(where):
            async with asyncio.timeout(within_s) as bound:
                return await lesson.try_it.check(lab, names)
    except TimeoutError as error:
        if not bound.expired():
            raise
        raise _endless(where, within_s) from error
    finally:
        await lab.close()


def _endless(place: str, within_s: float) -> ExerciseError:
    return ExerciseError(f"{place}: not done after {within_s:g} s", "it loops for ever, or waits for what never comes")


def _stop_a_loop(where: str, stopped: threading.Event) -> None:
    """Interrupt the main thread if it is in the learner's file: what waits instead is ended by the event loop."""
    main = threading.main_thread()
    if main.ident is None or not _runs(where, sys._current_frames().get(main.ident)):
        return
    stopped.set()
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)
    else:
        signal.pthread_kill(main.ident, signal.SIGINT)  # wakes a blocking call, too


@contextmanager
def _interruptible(where: str) -> Iterator[None]:
    """Let an interrupt end the learner's code at once where it never awaits; asyncio alone would wait for its end."""
    gently = signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if _runs(where, frame) or not callable(gently):
            raise KeyboardInterrupt
        gently(number, frame)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, gently)


def _runs(where: str, frame: FrameType | None) -> bool:
    """Whether a frame, or one that called it, is of this file."""
    while frame is not None:
        if frame.f_code.co_filename == where:
            return True
        frame = frame.f_back
    return False
