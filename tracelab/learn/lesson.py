"""What a lesson is made of: a question, a scenario, facts that are checked, and something to try.

A lesson is one module of `tracelab/lessons` with a `LESSON`. Everything that shows or checks lessons (terminal, page,
JSON, tests) reads these values and nothing else, so adding a lesson changes no other file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal, TypeAlias

from tracelab.learn.lab import Lab
from tracelab.learn.outcome import Outcome

Letter: TypeAlias = Literal["a", "b", "c"]


class Chapter(Enum):
    """The four chapters, in order; the value is the heading."""

    READ_A_TRACE = "Read a trace"
    SHAPES_OF_WORK = "Shapes of work"
    WHEN_CALLS_FAIL = "When calls fail"
    RUNNING_IT = "Running it"


@dataclass(frozen=True, slots=True)
class Prediction:
    """Three answers to the lesson's question, of which one is right."""

    choices: tuple[str, str, str]
    answer: Letter


@dataclass(frozen=True, slots=True)
class TryIt:
    """A change to make after the lesson.

    Where `check` is given the tool checks it: `starter` is the file that the learner edits (its facts are red as it
    stands), `solution` a text of that file that turns them green. Else `task`, `hint` and `solution` are text alone.
    """

    task: str
    hint: str
    solution: str
    starter: str = ""
    check: Callable[[Lab, Mapping[str, object]], Awaitable[Outcome]] | None = None


@dataclass(frozen=True, slots=True)
class Lesson:
    """One lesson. `number` orders it within its chapter; `source` names the gRPC guide and the proposal behind it."""

    slug: str
    chapter: Chapter
    number: int
    question: str
    prediction: Prediction
    run: Callable[[Lab], Awaitable[Outcome]]
    notice: str
    explain: str
    source: str
    try_it: TryIt
