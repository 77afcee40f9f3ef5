"""A lesson's texts on a terminal: wrapped so that nothing to type is broken, and with a way back to its traces."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from otel.analysis.example import example_trace
from tracelab.learn.catalogue import lesson_named
from tracelab.learn.outcome import Exhibit, Outcome, equal
from tracelab.learn.terminal_view import print_exercise, print_facts, print_way_back


def screen(width: int = 60) -> Console:
    return Console(file=StringIO(), width=width)


def printed(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_long_fact_goes_on_below_its_own_text() -> None:
    console = screen(40)
    print_facts(console, (equal("what the watcher read, in order", "acknowledged, end", "end"),))
    assert printed(console) == (
        "✘ what the watcher read, in order: end\n"
        "  (wanted: acknowledged, end)\n"
    )  # fmt: skip


@pytest.mark.parametrize("width", range(40, 80))
def test_no_name_of_a_lesson_is_broken_at_its_hyphen(width: int) -> None:
    console = screen(width)
    print_exercise(console, lesson_named("lost-context"), "learn/lost_context.py")
    assert "lost-context" in printed(console)


@pytest.mark.parametrize("exhibit_count", [1, 2])
def test_the_command_that_shows_a_trace_again_stands_on_one_line(exhibit_count: int) -> None:
    trace, _ = example_trace()
    exhibits = tuple(Exhibit(str(number), trace) for number in range(exhibit_count))
    console = screen()
    print_way_back(console, Outcome((), exhibits), Path.cwd() / "runs" / "learn a lesson" / "telemetry.sqlite")
    named = trace.trace_id[:8] if exhibit_count == 1 else "ID"
    assert printed(console) == f"Look again: ./lab trace {named} --store 'runs/learn a lesson/telemetry.sqlite'\n"


def test_an_outcome_without_a_trace_has_no_way_back() -> None:
    console = screen()
    print_way_back(console, Outcome(()), Path("telemetry.sqlite"))
    assert printed(console) == ""
