"""Whether something grows: the slope of a line through points in time, with an interval. Pure.

Theil and Sen: the median of the slopes of all pairs, which a few wild points do not move; its interval by the ranks of
Kendall's tau, ties in it corrected for (Sen, JASA 1968). Neighbours in time are taken as independent: where they are
not, as with memory that is given back late, the interval is somewhat narrow.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import Final

CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Slope:
    """Units of y for each of x: the likeliest, and the ends of its interval."""

    estimate: float
    low: float
    high: float


def theil_sen(x: Sequence[float], y: Sequence[float], confidence: float = CONFIDENCE) -> Slope:
    """Fit a slope to at least two points of different x. O(n² log n) in points."""
    pairs = [(i, j) for i in range(len(x)) for j in range(i + 1, len(x)) if x[i] != x[j]]
    slopes = sorted((y[j] - y[i]) / (x[j] - x[i]) for i, j in pairs)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    reach = z * math.sqrt(max(_variance(len(x)) - _of_ties(x) - _of_ties(y), 0.0))
    low = max(round((len(slopes) - reach) / 2) - 1, 0)
    high = min(round((len(slopes) + reach) / 2), len(slopes) - 1)
    return Slope(median(slopes), slopes[low], slopes[high])


def _variance(count: int) -> float:
    return count * (count - 1) * (2 * count + 5) / 18


def _of_ties(values: Sequence[float]) -> float:
    return sum(_variance(count) for count in Counter(values).values())
