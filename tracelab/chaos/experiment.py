"""What an experiment is: a promise, a harm done to real processes, and what was counted afterwards. Values alone."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracelab.chaos.bench import Bench


@dataclass(frozen=True, slots=True)
class Count:
    """One thing that was counted; `held` says whether it is as promised, None where nothing was promised of it.

    `is_timed` tells what a busy machine alone can break.
    """

    name: str
    value: int | float
    held: bool | None = None
    is_timed: bool = False


@dataclass(frozen=True, slots=True)
class Experiment:
    """`run` does the harm on a bench of its own and gives the counts.

    `without` says how the promise was seen broken: which protection was taken away, and what was counted then.
    """

    slug: str
    promise: str
    harm: str
    without: str
    run: Callable[[Bench], Coroutine[object, object, tuple[Count, ...]]]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an experiment; `error` where it could not be carried out, which is no promise kept."""

    experiment: Experiment
    counts: tuple[Count, ...]
    duration_s: float
    error: str = ""

    @property
    def held(self) -> bool:
        """Whether everything was as promised."""
        return not self.error and all(count.held is not False for count in self.counts)


def equal(name: str, value: int, promised: int) -> Count:
    """Count something that is promised to be exactly this."""
    return Count(name, value, value == promised)


def at_least(name: str, value: float, promised: float, *, is_timed: bool = False) -> Count:
    """Count something that is promised to be this or more."""
    return Count(name, value, value >= promised, is_timed)


def at_most(name: str, value: float, promised: float, *, is_timed: bool = False) -> Count:
    """Count something that is promised to be this or less."""
    return Count(name, value, value <= promised, is_timed)
