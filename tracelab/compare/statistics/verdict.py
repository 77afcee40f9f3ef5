"""What an interval says in words: faster, slower, no measurable difference, or not resolved.

Pure. A ratio always is variant / baseline, so above 1 means slower. Every answer is a result, none an error.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum

from tracelab.compare.question.errors import UsageError
from tracelab.compare.statistics.quantiles import Interval

FLOOR = 0.02
"""What differs less on one machine in one run is not called a difference."""
MARGIN = 0.10
"""What lies wholly within is called no measurable difference."""
PRECISION = 0.05
_TIMES_FROM = 1.5
"""From this ratio on a difference is said as "3.1x", below in per cent."""
_BLOCKS_STEP = 10


class VerdictKind(Enum):
    """The possible answers."""

    FASTER = "faster"
    SLOWER = "slower"
    NO_DIFFERENCE = "no measurable difference"
    NOT_RESOLVED = "not resolved"
    NOT_COMPARABLE = "not comparable"
    COULD_NOT_KEEP_UP = "could not keep up"


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer and its wording."""

    kind: VerdictKind
    text: str


@dataclass(frozen=True, slots=True)
class Criteria:
    """Where a difference begins, where it is too small to matter, and how narrow an interval is wanted."""

    floor: float = FLOOR
    margin: float = MARGIN
    precision: float = PRECISION


def judge(interval: Interval, block_count: int, criteria: Criteria) -> Verdict:
    """Say what `interval` (of variant / baseline, from `block_count` blocks) means."""
    if interval.low > 1 + criteria.floor:
        return Verdict(VerdictKind.SLOWER, _difference(interval, "slower"))
    if interval.high < 1 / (1 + criteria.floor):
        return Verdict(VerdictKind.FASTER, _difference(interval.inverse(), "faster"))
    if interval.high < 1 + criteria.margin and interval.low > 1 / (1 + criteria.margin):
        bound = max(interval.high - 1, 1 / interval.low - 1)
        return Verdict(VerdictKind.NO_DIFFERENCE, f"no measurable difference: |Δ| < {_bound(bound)} %")
    more = blocks_to_resolve(interval, block_count, criteria)
    text = f"not resolved: {_between(interval)}; about {more:,} more blocks would tell"
    return Verdict(VerdictKind.NOT_RESOLVED, text)


def not_comparable(reason: str) -> Verdict:
    """There is no answer, and why."""
    return Verdict(VerdictKind.NOT_COMPARABLE, f"not comparable: {reason}")


def too_few_blocks(block_count: int, needed: int) -> Verdict:
    """A run that was cut short before an interval could be had."""
    blocks = f"{block_count} block{'' if block_count == 1 else 's'}"
    return Verdict(VerdictKind.NOT_RESOLVED, f"not resolved: {blocks} measured, an interval needs {needed}")


def blocks_to_resolve(interval: Interval, block_count: int, criteria: Criteria) -> int:
    """About how many more blocks would tell: they grow with (half-width / wanted half-width) squared.

    Wanted is the precision or, where an estimate between floor and margin asks for more, what that one needs.
    """
    estimate = abs(math.log(interval.estimate))
    wanted = max(math.log1p(criteria.margin) - estimate, estimate - math.log1p(criteria.floor))
    wanted = min(math.log1p(criteria.precision), wanted)
    needed = block_count * (math.log1p(interval.half_width) / wanted) ** 2 - block_count
    return max(1, math.ceil(needed / _BLOCKS_STEP)) * _BLOCKS_STEP


def _difference(interval: Interval, word: str) -> str:
    if interval.estimate >= _TIMES_FROM:
        digits = 0 if interval.low >= 20 else 1 if interval.high - interval.low >= 0.2 else 2
        low, high = f"{interval.low:.{digits}f}", f"{interval.high:.{digits}f}"
        return f"{interval.estimate:.{digits}f}x {word} [{low}, {high}]"
    estimate, low_, high_ = ((value - 1) * 100 for value in (interval.estimate, interval.low, interval.high))
    digits = 0 if high_ - low_ >= 2 else 1
    return f"{estimate:.{digits}f} % {word} [{low_:.{digits}f}, {high_:.{digits}f}]"


def _between(interval: Interval) -> str:
    low, high = _side(interval.low), _side(interval.high)
    return f"between {low} and {high}"


def _side(ratio: float) -> str:
    """One end of an interval, e.g. "9 % faster"; faster divides slow by fast."""
    word, factor = ("faster", 1 / ratio) if ratio < 1 else ("slower", ratio)
    if factor >= _TIMES_FROM:
        return f"{factor:.1f}x {word}"
    share = (factor - 1) * 100
    return f"{share:.{0 if share >= 2 else 1}f} % {word}"


def _bound(share: float) -> str:
    """A bound that is never rounded down."""
    return f"{math.ceil(share * 1000 - 1e-9) / 10:.1f}"


@dataclass(frozen=True, slots=True)
class Gate:
    """What `--fail-if` asks for: the exit status is 1 only if the whole interval lies beyond `share`."""

    kind: VerdictKind
    share: float

    def trips(self, interval: Interval | None) -> bool:
        """Whether `interval` of variant / baseline is beyond the gate for certain; without one it never is."""
        if interval is None:
            return False
        beyond = interval if self.kind is VerdictKind.SLOWER else interval.inverse()
        return beyond.low > 1 + self.share


def parse_gate(text: str) -> Gate:
    """Read `slower:10%` or `faster:10%`; UsageError for anything else."""
    match = re.fullmatch(r"(slower|faster):(\d+(?:\.\d+)?)\s*%", text.strip())
    if match is None:
        raise UsageError(f"--fail-if: '{text}' is not like slower:10%", "slower or faster, a colon, a per cent")
    return Gate(VerdictKind(match[1]), float(match[2]) / 100)
