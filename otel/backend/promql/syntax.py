"""The part of PromQL that RED panels need, as values that write themselves as text again.

Numbers, selectors (instant and range), rate, irate, increase, histogram_quantile, sum, avg, min, max and count with
`by` or `without`, and + - * / between them, one to one. Everything else is refused with a sentence.
Source: prometheus.io/docs, "Querying basics", "Operators" and "Functions".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

MAX_QUERY_CHARACTERS = 8192
RANGE_FUNCTIONS = ("rate", "irate", "increase")
QUANTILE_FUNCTION = "histogram_quantile"
FUNCTIONS = (*RANGE_FUNCTIONS, QUANTILE_FUNCTION)
AGGREGATORS = ("sum", "avg", "min", "max", "count")
# How tightly each binds.
OPERATORS = {"+": 1, "-": 1, "*": 2, "/": 2}
DURATION_UNITS_MS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
    "y": 365 * 86_400_000,
}


class PromqlError(Exception):
    """A query that cannot be read or is outside the subset; `position` counts characters from 0."""

    def __init__(self, position: int, text: str) -> None:
        super().__init__(f"1:{position + 1}: parse error: {text}")
        self.position = position


@dataclass(frozen=True, slots=True)
class Number:
    """A literal."""

    value: float

    def __str__(self) -> str:
        if math.isinf(self.value):
            return "Inf" if self.value > 0 else "-Inf"
        return "NaN" if math.isnan(self.value) else repr(self.value)


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on a label; `operator` is one of = != =~ !~."""

    label: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{_quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class Selector:
    """Series by conditions, the name among them as `__name__`; with a range all their samples in it."""

    matchers: tuple[Matcher, ...]
    range_ms: int = 0

    def __str__(self) -> str:
        conditions = ", ".join(map(str, self.matchers))
        return f"{{{conditions}}}" + (f"[{duration_text(self.range_ms)}]" if self.range_ms else "")


@dataclass(frozen=True, slots=True)
class Call:
    """A function of `FUNCTIONS`."""

    function: str
    arguments: tuple[Expression, ...]

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.arguments))})"


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One of `AGGREGATORS` over groups of equal labels: `labels` alone, or all but those."""

    operator: str
    labels: tuple[str, ...]
    without: bool
    argument: Expression

    def __str__(self) -> str:
        grouping = f" {'without' if self.without else 'by'} ({', '.join(self.labels)})"
        return f"{self.operator}{grouping if self.labels or self.without else ''}({self.argument})"


@dataclass(frozen=True, slots=True)
class Binary:
    """An arithmetic operation; two vectors meet where their labels are equal: all, only `labels`, or all but those."""

    operator: str
    left: Expression
    right: Expression
    labels: tuple[str, ...] = ()
    is_on: bool = False

    def __str__(self) -> str:
        matching = ""
        if self.is_on or self.labels:
            matching = f"{'on' if self.is_on else 'ignoring'} ({', '.join(self.labels)}) "
        return f"({self.left} {self.operator} {matching}{self.right})"


Expression: TypeAlias = Number | Selector | Call | Aggregation | Binary


def is_scalar(expression: Expression) -> bool:
    """Say whether an expression is a number rather than a vector."""
    if isinstance(expression, Binary):
        return is_scalar(expression.left) and is_scalar(expression.right)
    return isinstance(expression, Number)


def duration_text(duration_ms: int) -> str:
    """Write a duration in its largest whole unit."""
    fitting = [unit for unit, size in DURATION_UNITS_MS.items() if duration_ms % size == 0]
    return f"{duration_ms // DURATION_UNITS_MS[fitting[-1]]}{fitting[-1]}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
