"""What the functions of PromQL's subset compute. Pure.

Sources: prometheus/promql/functions.go (`extrapolatedRate`, `instantValue`) and quantile.go (`BucketQuantile`), of
Prometheus 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from otel.backend.metrics.buckets import quantile

# How far a series may end from the edge of its range, in intervals between its samples, and still go on to there.
EXTRAPOLATION_INTERVALS = 1.1


def increase(times_ms: Sequence[int], values: Sequence[float], begin_ms: int, end_ms: int) -> float | None:
    """Return how much a counter grew in a range, restarts counted, extended to the edges that it comes near to."""
    if len(values) < 2:
        return None
    grown = values[-1] - values[0] + sum(before for before, value in pairwise(values) if value < before)
    sampled_ms = times_ms[-1] - times_ms[0]
    between_ms = sampled_ms / (len(values) - 1)
    to_begin_ms, to_end_ms = float(times_ms[0] - begin_ms), float(end_ms - times_ms[-1])
    if to_begin_ms >= between_ms * EXTRAPOLATION_INTERVALS:
        to_begin_ms = between_ms / 2
    if grown > 0 and values[0] >= 0:
        # A counter cannot have been below zero.
        to_begin_ms = min(to_begin_ms, sampled_ms * (values[0] / grown))
    if to_end_ms >= between_ms * EXTRAPOLATION_INTERVALS:
        to_end_ms = between_ms / 2
    return grown * (sampled_ms + to_begin_ms + to_end_ms) / sampled_ms


def rate(times_ms: Sequence[int], values: Sequence[float], begin_ms: int, end_ms: int) -> float | None:
    """Return `increase` by second of the range."""
    grown = increase(times_ms, values, begin_ms, end_ms)
    return None if grown is None else grown / ((end_ms - begin_ms) / 1000)


def irate(times_ms: Sequence[int], values: Sequence[float], _begin_ms: int, _end_ms: int) -> float | None:
    """Return the increase by second between the last two samples of a range."""
    if len(values) < 2:
        return None
    grown = values[-1] - values[-2] if values[-1] >= values[-2] else values[-1]
    return grown / ((times_ms[-1] - times_ms[-2]) / 1000)


RANGE_FUNCTIONS: dict[str, Callable[[Sequence[int], Sequence[float], int, int], float | None]] = {
    "rate": rate,
    "irate": irate,
    "increase": increase,
}


def histogram_quantile(share: float, buckets: Sequence[tuple[float, float]]) -> float:
    """Return a quantile of buckets given as upper bound and cumulative count; NaN where the one to +Inf is missing."""
    ordered = sorted(buckets)
    if len(ordered) < 2 or ordered[-1][0] != math.inf:
        return quantile(share, (), (0.0,))
    counts = []
    below = 0.0
    for _, cumulative in ordered:
        # What is lost between two scrapes can make a bucket less than the one inside it.
        counts.append(max(0.0, cumulative - below))
        below = max(below, cumulative)
    return quantile(share, tuple(bound for bound, _ in ordered[:-1]), counts)


def divided(left: float, right: float) -> float:
    """Divide as PromQL does: by zero too."""
    if right:
        return left / right
    if left == 0 or math.isnan(left) or math.isnan(right):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": divided,
}
AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": math.fsum,
    "avg": lambda values: math.fsum(values) / len(values),
    "min": lambda values: min(values, key=lambda value: (math.isnan(value), value)),
    "max": lambda values: max(values, key=lambda value: (not math.isnan(value), value)),
    "count": lambda values: float(len(values)),
}
