"""What a run of a lesson showed: facts that were checked, and traces to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from otel.analysis.model import LogRecord, Trace


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
