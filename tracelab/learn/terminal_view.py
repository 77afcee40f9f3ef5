"""Shows a lesson on a terminal: the question, what was seen, the facts, and what to notice and to try."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Final

from rich.console import Console
from rich.text import Text

from clients.screen.text import typed_path
from otel.analysis.reading import TraceReading
from otel.analysis.rpc import operation
from tracelab.learn.lesson import Chapter, Lesson, Letter
from tracelab.learn.outcome import Exhibit, Fact, Outcome
from tracelab.learn.progress import Progress
from tracelab.render.sequence_diagram import SequenceDiagram
from tracelab.render.waterfall import Waterfall

LETTERS: Final[tuple[Letter, Letter, Letter]] = ("a", "b", "c")
HELD: Final = "✔"
FAILED: Final = "✘"


def print_catalogue(console: Console, lessons: Sequence[Lesson], progress: Progress) -> None:
    """Print the chapters with what is done, and which lesson comes next."""
    following = progress.next_lesson(lessons)
    for number, chapter in enumerate(Chapter, start=1):
        console.print(Text(f"Chapter {number}: {chapter.value}", "bold"))
        own = [lesson for lesson in lessons if lesson.chapter is chapter]
        width = max((len(lesson.slug) for lesson in own), default=0)
        for lesson in own:
            mark = "★" if lesson.slug in progress.solved else HELD if lesson.slug in progress.done else "·"
            style = "bold" if following is not None and lesson.slug == following.slug else ""
            head = Text.assemble(f"  {mark}  ", (lesson.slug.ljust(width), style), "  ")
            first, *rest = wrap(lesson.question, max(20, console.width - len(head)))
            console.print(Text.assemble(head, (first, "dim")))
            for line in rest:
                console.print(Text(" " * len(head) + line, "dim"))
    done = len(progress.done & {lesson.slug for lesson in lessons})
    console.print(Text(f"\n{done} of {len(lessons)} done ({HELD} run, ★ exercise solved)"))
    print_next(console, lessons, progress)


def print_next(console: Console, lessons: Sequence[Lesson], progress: Progress) -> None:
    """Print which lesson comes next, if one does."""
    following = progress.next_lesson(lessons)
    if following is not None:
        console.print(Text(f"next: ./lab learn {following.slug}"))


def print_question(console: Console, lesson: Lesson) -> None:
    """Print the question and its three answers."""
    _print_text(console, lesson.question, style="bold")
    for letter, choice in zip(LETTERS, lesson.prediction.choices, strict=True):
        _print_text(console, f"{letter}) {choice}", indent=2, hanging=3)
    console.print()


def print_exhibits(console: Console, outcome: Outcome) -> None:
    """Print each trace of the outcome in the form that shows it best, with what to notice on it."""
    for exhibit in outcome.exhibits:
        console.rule(exhibit.title, characters="─", align="left")
        reading = TraceReading(exhibit.trace, exhibit.logs)
        if exhibit.form == "sequence":
            console.print(SequenceDiagram(reading))
        else:
            console.print(Waterfall(reading, marks=exhibit.marks))
        _print_marks(console, exhibit, reading)
        console.print()


def _print_marks(console: Console, exhibit: Exhibit, reading: TraceReading) -> None:
    if exhibit.form != "sequence":
        return
    for span, _ in reading.forest.depth_first():
        if span.span_id in exhibit.marks:
            said = f"→ {span.service_name} {operation(span)}: {exhibit.marks[span.span_id]}"
            _print_text(console, said, indent=2, hanging=2)


def print_explanation(console: Console, lesson: Lesson, outcome: Outcome, predicted: Letter | None) -> None:
    """Print the facts with what was seen, whether the prediction held, what to notice, and why it is so."""
    print_facts(console, outcome.facts)
    if predicted is not None:
        answer = lesson.prediction.answer
        judged = "right:" if predicted == answer else f"no, it is {answer}:"
        console.print()
        _print_text(console, f"You said {predicted}: {judged} {lesson.prediction.choices[LETTERS.index(answer)]}.")
    console.print()
    _print_text(console, f"Notice: {lesson.notice}", style="bold")
    console.print()
    _print_text(console, lesson.explain, indent=2)
    console.print()
    _print_text(console, f"Read on: {lesson.source}", hanging=2, style="dim")


def print_way_back(console: Console, outcome: Outcome, store: Path) -> None:
    """Print the command that shows the outcome's trace again, from the store that the lesson left."""
    if outcome.exhibits:
        trace_id = outcome.exhibits[0].trace.trace_id[:8] if len(outcome.exhibits) == 1 else "ID"
        console.print(Text(f"Look again: ./lab trace {trace_id} --store {typed_path(store)}", "dim"), soft_wrap=True)


def _print_text(console: Console, text: str, *, indent: int = 0, hanging: int = 0, style: str = "") -> None:
    """Print a paragraph, wrapped; lines after the first stand `hanging` cells further in."""
    for line in _lines(console, text, indent, hanging):
        console.print(Text(line, style))


def _lines(console: Console, text: str, indent: int, hanging: int) -> list[str]:
    """A paragraph's lines at the console's width. A name such as `lost-context` is never broken at its hyphen."""
    before = " " * indent
    return wrap(
        " ".join(text.split()),
        console.width,
        initial_indent=before,
        subsequent_indent=before + " " * hanging,
        break_on_hyphens=False,
        break_long_words=False,
    )


def print_facts(console: Console, facts: Sequence[Fact]) -> None:
    """Print one line for each fact: held or not, the claim, what was seen, and what was wanted where it differs."""
    for fact in facts:
        mark, style = (HELD, "green") if fact.passed else (FAILED, "bold red")
        wanted = "" if fact.passed else f" (wanted: {fact.wanted})"
        first, *others = _lines(console, f"{mark} {fact.name}: {fact.seen}{wanted}", 0, 2)
        console.print(Text.assemble((first[:1], style), (first[1:], "" if fact.passed else "bold")))
        for line in others:
            console.print(Text(line, "" if fact.passed else "bold"))


def print_exercise(console: Console, lesson: Lesson, file: str) -> None:
    """Print what to try, and how the tool checks it where it can."""
    console.print(Text("\nTry it", "bold"))
    _print_text(console, lesson.try_it.task, indent=2)
    if lesson.try_it.check is None:
        console.print(Text(f"  ./lab learn {lesson.slug} --hint, then --solution", "dim"))
    else:
        steps = f"edit {file}, then ./lab learn {lesson.slug} --try (--hint, --solution)"
        _print_text(console, steps, indent=2, hanging=2, style="dim")
