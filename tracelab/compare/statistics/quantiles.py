"""Quantiles that are calls, and intervals of their ratios that hold on a noisy machine.

Everything here is pure. A quantile is an order statistic, so it has a trace; its rank is computed in integers.
Intervals come from a bootstrap over blocks, widened by t: of all methods tried under drift, autocorrelation,
neighbours and periodic noise it alone kept its promise (docs/compare.md; tests/unit/compare/test_simulation.py).
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import TypeVar

Value = TypeVar("Value")

DRAWS = 2_000
CALLS_BEYOND = 10
"""A quantile is shown if at least this many calls lie beyond it."""
MIN_BLOCKS = 8
"""The interval was simulated down to this many blocks; with fewer there is none."""
_EXACT_T_BELOW = 12
"""Cornish-Fisher is right to 0.001 from this many degrees of freedom on, at the levels that four variants need."""


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile as the fraction `numerator / denominator`, so that ranks are exact (0.07 * 100 is not 7 in floats)."""

    label: str
    numerator: int
    denominator: int

    def rank(self, count: int) -> int:
        """The number, from 1, of the order statistic: ceil(p * count). ValueError without a call."""
        if count < 1:
            raise ValueError("a quantile needs at least one call")
        return max(1, -(-count * self.numerator // self.denominator))

    @property
    def calls_needed(self) -> int:
        """The fewest calls that leave 10 beyond the quantile: 20 for the median, 200 for p95, 1,000 for p99."""
        return -(-CALLS_BEYOND * self.denominator // (self.denominator - self.numerator))


MEDIAN = Quantile("median", 1, 2)
P95 = Quantile("p95", 95, 100)
P99 = Quantile("p99", 99, 100)
P999 = Quantile("p99.9", 999, 1000)
QUANTILES = (MEDIAN, P95, P99, P999)
QUANTILE_BY_LABEL = {quantile.label: quantile for quantile in QUANTILES}


def order_statistic(ascending: Sequence[Value], quantile: Quantile) -> Value:
    """The element that *is* the quantile of a sorted, non-empty sequence."""
    return ascending[quantile.rank(len(ascending)) - 1]


@dataclass(frozen=True, slots=True)
class Pool:
    """The calls of one variant over all blocks: values ascending, each with the block that it comes from."""

    values: tuple[int, ...]
    block_of: tuple[int, ...]
    block_count: int

    @classmethod
    def of(cls, blocks: Sequence[Sequence[int]]) -> Pool:
        """Pool the calls of `blocks`; blocks may be empty or differ in size."""
        pairs = sorted((value, number) for number, block in enumerate(blocks) for value in block)
        return cls(tuple(value for value, _ in pairs), tuple(number for _, number in pairs), len(blocks))

    def quantiles_of_draw(self, multiplicities: Sequence[int], quantiles: Sequence[Quantile]) -> list[int] | None:
        """The quantiles after taking each block so many times; None if that leaves no call."""
        seen = list(accumulate(map(multiplicities.__getitem__, self.block_of)))
        if not seen or not seen[-1]:
            return None
        return [self.values[bisect_left(seen, quantile.rank(seen[-1]))] for quantile in quantiles]


def block_draws(block_count: int, draws: int, generator: random.Random) -> Iterator[list[int]]:
    """Draw `block_count` blocks with replacement, `draws` times: how often each block was taken."""
    numbers = range(block_count)
    for _ in range(draws):
        multiplicities = [0] * block_count
        for number in generator.choices(numbers, k=block_count):
            multiplicities[number] += 1
        yield multiplicities


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its limits. `error_rate` is how often such an interval misses the truth (0.05 for 95 %)."""

    estimate: float
    low: float
    high: float
    error_rate: float

    @property
    def half_width(self) -> float:
        """Of a ratio: 0.05 means that the limits lie a factor of 1.05 from their middle."""
        return math.sqrt(self.high / self.low) - 1

    def inverse(self) -> Interval:
        """The same statement about the inverse ratio."""
        return Interval(1 / self.estimate, 1 / self.high, 1 / self.low, self.error_rate)

    def excludes(self, value: float) -> bool:
        """Whether `value` lies outside the limits."""
        return not self.low <= value <= self.high


def ratio_intervals(
    baseline: Pool, variant: Pool, quantiles: Sequence[Quantile], *, error_rate: float, seed: str, draws: int = DRAWS
) -> list[Interval]:
    """Intervals of variant / baseline for each quantile, from the same draws of blocks for both sides.

    ValueError where a side has no call. Cost: about 0.1 s for 2,000 draws of 300 and 300 calls.
    """
    generator = random.Random(seed)
    estimates = [
        math.log(order_statistic(variant.values, quantile) / order_statistic(baseline.values, quantile))
        for quantile in quantiles
    ]
    drawn: list[list[float]] = [[] for _ in quantiles]
    for multiplicities in block_draws(baseline.block_count, draws, generator):
        below = baseline.quantiles_of_draw(multiplicities, quantiles)
        above = variant.quantiles_of_draw(multiplicities, quantiles)
        if below is not None and above is not None:
            for logs, one, other in zip(drawn, below, above, strict=True):
                logs.append(math.log(other / one))
    limits = (
        widened(estimate, logs, error_rate=error_rate, block_count=baseline.block_count)
        for estimate, logs in zip(estimates, drawn, strict=True)
    )
    return [
        Interval(math.exp(estimate), math.exp(low), math.exp(high), error_rate)
        for estimate, (low, high) in zip(estimates, limits, strict=True)
    ]


def widened(estimate: float, drawn: Sequence[float], *, error_rate: float, block_count: int) -> tuple[float, float]:
    """Percentile limits of bootstrap draws, widened around the estimate for the small number of blocks."""
    ascending = sorted(drawn)
    low = min(estimate, linear_percentile(ascending, error_rate / 2))
    high = max(estimate, linear_percentile(ascending, 1 - error_rate / 2))
    factor = widening(error_rate, block_count)
    return estimate - (estimate - low) * factor, estimate + (high - estimate) * factor


def widening(error_rate: float, block_count: int) -> float:
    """How much wider than the percentile limits an interval from so many blocks has to be."""
    tail = 1 - error_rate / 2
    ratio = t_quantile(tail, block_count - 1) / NormalDist().inv_cdf(tail)
    return ratio * math.sqrt(block_count / (block_count - 1))


def linear_percentile(ascending: Sequence[float], share: float) -> float:
    """The value at `share` of a sorted sequence, linear between neighbours. For draws, never for calls."""
    place = share * (len(ascending) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (ascending[above] - ascending[below]) * (place - below)


def t_quantile(share: float, degrees: int) -> float:
    """The quantile of Student's t; by Cornish-Fisher from 12 degrees of freedom on, below by bisection."""
    if degrees < _EXACT_T_BELOW:
        return _t_by_bisection(share, degrees)
    z, v = NormalDist().inv_cdf(share), degrees
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


def _t_by_bisection(share: float, degrees: int) -> float:
    low, high = -1e4, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_cumulative(middle, degrees) < share else (low, middle)
    return (low + high) / 2


def _t_cumulative(value: float, degrees: int) -> float:
    """The distribution function, by the finite series of Abramowitz and Stegun 26.7.3 and 26.7.4."""
    angle = math.atan(value / math.sqrt(degrees))
    cosine = math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for step in range(3 if odd else 2, degrees - 1, 2):
        term *= cosine**2 * (step - 1) / step
        total += term
    within = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return (1 + within) / 2


def mean_interval_of_logs(logs: Sequence[float], error_rate: float) -> Interval:
    """Student's interval of a ratio from independent log ratios: restarts, or several saved runs. Needs two."""
    count = len(logs)
    mean = math.fsum(logs) / count
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in logs) / (count - 1))
    reach = t_quantile(1 - error_rate / 2, count - 1) * spread / math.sqrt(count)
    return Interval(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach), error_rate)
