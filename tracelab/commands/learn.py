"""`lab learn`: the lessons, one by one or all at once."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, cast

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read when grpc is imported: silences core's lines on stderr

import typer

from clients.discovery.home import home_of
from clients.errors import LabError, WrongUsageError
from clients.output import console, note, print_json
from tracelab.commands.options import JsonFlag
from tracelab.learn import exercise
from tracelab.learn import terminal_view as show
from tracelab.learn.all_lessons import fail_unless_all_passed, reports_of, run_all
from tracelab.learn.catalogue import UnknownLessonError, all_lessons, lesson_named, lessons_beginning
from tracelab.learn.html_site import write_site
from tracelab.learn.lab import LessonError
from tracelab.learn.lesson import Lesson, Letter
from tracelab.learn.outcome import Outcome
from tracelab.learn.progress import load_progress, save_progress
from tracelab.learn.scenario import outcome_to_json, run_lesson
from tracelab.stack import StackOptions

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def learn(
    name: Annotated[
        str,
        typer.Argument(
            metavar="LESSON", autocompletion=lessons_beginning, help="A lesson; without one, the list of them."
        ),
    ] = "",
    run_every: Annotated[bool, typer.Option("--all", help="Run every lesson and report the facts.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    predict: Annotated[str, typer.Option("--predict", metavar="a|b|c", help="Answer the question beforehand.")] = "",
    as_json: JsonFlag = False,
    try_it: Annotated[bool, typer.Option("--try", help="Check your version of the exercise.")] = False,
    hint: Annotated[bool, typer.Option("--hint", help="Print the exercise's hint.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="DIR", help="Run every lesson, or one, and write a static site.")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Serve the lessons on a page of this machine.")] = False,
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Port of --serve; 0 takes a free one.")
    ] = 8090,
    solution: Annotated[bool, typer.Option("--solution", help="Print a solution of the exercise.")] = False,
) -> None:
    """Learn how gRPC behaves: each lesson is a real scenario with its trace, its logs and facts that are checked.

    \b
    lab learn                    the chapters, and how far you are
    lab learn deadline           one lesson: predict, run, look, explain, try
    lab learn deadline --try     check your version of its exercise
    lab learn --all              run every lesson: are the facts still true?
    lab learn --html lessons/    the lessons and their traces as a static site
    lab learn --serve            the lessons on a page, with a run button each
    """
    if html is not None:
        _write_site(html, (_lesson(name),) if name else all_lessons())
    elif serve:
        _serve(port)
    elif run_every:
        run_all(as_json=as_json)
    elif not name:
        _list(as_json)
    else:
        lesson = _lesson(name)
        if hint or solution:
            print(lesson.try_it.hint if hint else lesson.try_it.solution)
        elif try_it:
            _check_exercise(lesson, as_json)
        else:
            _teach(lesson, _letter(predict), as_json=as_json, ask=not yes)


def _write_site(folder: Path, lessons: Sequence[Lesson]) -> None:
    reports = write_site(
        folder, lessons, reports_of(lessons, os.environ), lambda report: print(report.line, flush=True)
    )
    note(f"open {folder / 'index.html'}")
    fail_unless_all_passed(reports)


def _serve(port: int) -> None:
    # uvicorn is not loaded for a command that serves nothing.
    from tracelab.learn.page_server import PortInUseError, serve_lessons

    try:
        serve_lessons(port, os.environ, lambda address: print(f"the lessons: {address} (Ctrl-C ends)", flush=True))
    except PortInUseError as error:
        raise LabError(str(error), "choose another with --port, or --port 0") from error


def _lesson(name: str) -> Lesson:
    try:
        return lesson_named(name)
    except UnknownLessonError as error:
        raise WrongUsageError(str(error)) from error


def _letter(text: str) -> Letter | None:
    if text not in {"", *show.LETTERS}:
        raise WrongUsageError(f"--predict: {text!r} is not one of a, b, c")
    return cast("Letter", text) if text else None


def _list(as_json: bool) -> None:
    lessons, progress = all_lessons(), load_progress(_progress_file())
    if as_json:
        print_json(
            {
                "lessons": [
                    {
                        "slug": lesson.slug,
                        "chapter": lesson.chapter.value,
                        "question": lesson.question,
                        "done": lesson.slug in progress.done,
                        "solved": lesson.slug in progress.solved,
                    }
                    for lesson in lessons
                ]
            }
        )
    else:
        show.print_catalogue(console(), lessons, progress)


def _teach(lesson: Lesson, predicted: Letter | None, *, as_json: bool, ask: bool) -> None:
    out = console()
    if not as_json:
        show.print_question(out, lesson)
        if predicted is None and ask and sys.stdin.isatty():
            predicted = _ask()
        note("running it: real services, a few seconds")
    with _lesson_home(lesson.slug) as home:
        outcome = _run(lesson, home)
    if as_json:
        print_json(outcome_to_json(lesson, outcome))
    else:
        show.print_exhibits(out, outcome)
        show.print_explanation(out, lesson, outcome, predicted)
        show.print_way_back(out, outcome, StackOptions(home=home).store_file)
        show.print_exercise(out, lesson, str(exercise.exercise_file(lesson, home_of(os.environ))))
        if lesson.try_it.check is not None:
            exercise.prepare(lesson, home_of(os.environ))
    if not outcome.passed:
        raise LabError(_failure(lesson, outcome), "this gRPC behaves otherwise than the lesson says")
    if not as_json:  # a program that reads facts has learnt nothing
        progress = load_progress(_progress_file()).with_done(lesson.slug)
        save_progress(_progress_file(), progress)
        out.print()
        show.print_next(out, all_lessons(), progress)


def _run(lesson: Lesson, home: Path) -> Outcome:
    try:
        return run_lesson(lesson, home, os.environ)
    except LessonError as error:
        raise LabError(f"lesson {lesson.slug}: {error}") from error


def _failure(lesson: Lesson, outcome: Outcome) -> str:
    failed = next((fact for fact in outcome.facts if not fact.passed), None)
    if failed is None:
        return f"lesson {lesson.slug} showed no facts"
    return f"lesson {lesson.slug}: {failed.name}: wanted {failed.wanted}, saw {failed.seen}"


def _check_exercise(lesson: Lesson, as_json: bool) -> None:
    file = exercise.prepare(lesson, home_of(os.environ)) if lesson.try_it.check else Path(lesson.slug)
    source = file.read_text(encoding="utf-8") if lesson.try_it.check else ""
    with _lesson_home(lesson.slug) as home:
        outcome = exercise.check(lesson, source, str(file), home, os.environ)
    if as_json:
        print_json(outcome_to_json(lesson, outcome))
    else:
        show.print_facts(console(), outcome.facts)
    if not outcome.passed:
        raise LabError("not yet", f"edit {file} and try again; ./lab learn {lesson.slug} --hint")
    save_progress(_progress_file(), load_progress(_progress_file()).with_solved(lesson.slug))
    note(f"solved: {lesson.notice}")


def _ask() -> Letter | None:
    while True:
        try:
            answer = input("Your prediction (a, b or c)? ").strip().lower()
        except EOFError:
            print()  # whatever comes next begins a line of its own
            return None
        except KeyboardInterrupt:
            print()
            raise
        if answer in show.LETTERS:
            return answer
        print("a, b or c; Ctrl-C leaves")


@contextmanager
def _lesson_home(slug: str) -> Iterator[Path]:
    """A folder for one run, kept under `runs` so that its traces can be looked at again."""
    runs = home_of(os.environ) / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    yield Path(tempfile.mkdtemp(prefix=f"learn-{slug}-", dir=runs))


def _progress_file() -> Path:
    return home_of(os.environ) / "learn" / "progress.json"
