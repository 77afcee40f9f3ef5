"""Calls far above the others: never removed, always counted, the worst named with their traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracelab.compare.statistics.quantiles import Quantile, order_statistic
from tracelab.compare.statistics.sample import OK, Sample

WORST_COUNT = 5
_QUARTILES = (Quantile("q1", 1, 4), Quantile("q3", 3, 4))
_MIN_CALLS = 20


@dataclass(frozen=True, slots=True)
class Outliers:
    """How many calls lie above `fence_ns` = Q3 + 3 * IQR, and the five worst of them, the slowest first."""

    fence_ns: int
    count: int
    worst: tuple[Sample, ...]


def find_outliers(samples: Sequence[Sample]) -> Outliers | None:
    """The outliers of one variant's successful calls; None with fewer than 20 of them."""
    answered = sorted((sample for sample in samples if sample.code == OK), key=lambda sample: sample.latency_ns)
    if len(answered) < _MIN_CALLS:
        return None
    latencies = [sample.latency_ns for sample in answered]
    first, third = (order_statistic(latencies, quartile) for quartile in _QUARTILES)
    fence_ns = third + 3 * (third - first)
    beyond = [sample for sample in reversed(answered) if sample.latency_ns > fence_ns]
    return Outliers(fence_ns, len(beyond), tuple(beyond[:WORST_COUNT]))
