"""What a lesson is made of: a question, a scenario, facts that are checked, and something to try.

A lesson is one module of `clients/lessons` with a `LESSON`. Everything that shows or checks lessons (terminal, page,
JSON, tests) reads these values and nothing else, so adding a lesson changes no other file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias

from otel.analysis.model import LogRecord, Trace

if TYPE_CHECKING:
    from clients.learn.lab import Lab

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
class Fact:
    """One claim of the lesson, and what was seen.

    `name` is the claim as a sentence; `wanted` and `seen` are short texts of counts, orders, ids, codes or ratios
    inside one run, never a bare time.
    """

    name: str
    wanted: str
    seen: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A trace to look at. `marks` says, by span id, what to notice on that span."""

    title: str
    trace: Trace
    logs: tuple[LogRecord, ...] = ()
    marks: Mapping[str, str] = field(default_factory=dict)
    form: Literal["waterfall", "sequence"] = "waterfall"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of a lesson showed."""

    facts: tuple[Fact, ...]
    exhibits: tuple[Exhibit, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every fact held; a lesson without facts proves nothing and does not pass."""
        return bool(self.facts) and all(fact.passed for fact in self.facts)


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


def equal(name: str, wanted: object, seen: object) -> Fact:
    """A fact that holds when what was seen equals what was wanted."""
    return Fact(name, in_words(wanted), in_words(seen), wanted == seen)


def holds(name: str, wanted: str, seen: object, passed: bool) -> Fact:
    """A fact whose condition is not equality: `wanted` says it in words."""
    return Fact(name, wanted, in_words(seen), passed)


def in_words(value: object) -> str:
    """A value as a person reads it: `yes`, `none`, `4, 4`, `order-a 5, order-b 5`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{in_words(key)} {in_words(each)}" for key, each in sorted(value.items())) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(in_words, value)) or "none"
    if isinstance(value, set | frozenset):
        return ", ".join(sorted(map(in_words, value))) or "none"
    return "none" if value is None else str(value)
