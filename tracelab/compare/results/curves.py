"""The curves that plots are drawn from: quantiles, cumulative shares and medians over time. Pure, in nanoseconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.statistics.quantiles import MEDIAN, P95, P99, P999
from tracelab.compare.statistics.sample import OK, Role, Sample, of_entry

DRAWN_ROLES = (Role.BASELINE, Role.VARIANT)
QUANTILE_TICKS = (MEDIAN, P95, P99, P999)


@dataclass(frozen=True, slots=True)
class QuantilePoint:
    """A call at its place among the others: `depth` is log10(1 / (1 - p)): 0 at the fastest, 1 at p90, 2 at p99."""

    depth: float
    latency_ns: int
    trace_id: str


def tick_text(tick: float) -> str:
    """A tick's label, in at most three digits and a comma."""
    return f"{tick:,.0f}" if tick >= 1_000 else f"{tick:.3g}"


def places(run: ComparisonRun) -> dict[str, int]:
    """The place of each variant, which has its mark and its colour, of those that there is something to draw of."""
    overloaded = run.measurement.overloaded
    drawn = enumerate(drawn_entries(run))
    return {name: place for place, name in drawn if name not in overloaded and answered_samples(run, name)}


def drawn_entries(run: ComparisonRun) -> list[str]:
    """The names of what is drawn, the baseline first."""
    return [entry.name for entry in run.measurement.entries if entry.role in DRAWN_ROLES]


def quantile_curve(run: ComparisonRun, name: str) -> list[QuantilePoint]:
    """One point for each successful call, fastest first; p is (rank - 1/2) / n, so that the slowest has a place."""
    answered = answered_samples(run, name)
    count = len(answered)
    return [
        QuantilePoint(math.log10(count / (count - rank - 0.5)), sample.latency_ns, sample.trace_id)
        for rank, sample in enumerate(answered)
    ]


def answered_samples(run: ComparisonRun, name: str) -> list[Sample]:
    """The successful calls of a variant, fastest first."""
    samples = (sample for sample in of_entry(run.measurement.samples, name) if sample.code == OK)
    return sorted(samples, key=lambda sample: (sample.latency_ns, sample.block, sample.index))


def block_medians(run: ComparisonRun, name: str) -> list[tuple[int, float]]:
    """The median of each block that has calls, by block number."""
    blocks: dict[int, list[int]] = {}
    for sample in answered_samples(run, name):
        blocks.setdefault(sample.block, []).append(sample.latency_ns)
    return [(block, median(latencies)) for block, latencies in sorted(blocks.items())]


def depth_of(numerator: int, denominator: int) -> float:
    """Where a quantile lies on the axis."""
    return math.log10(denominator / (denominator - numerator))


def nice_ticks(low: float, high: float) -> list[float]:
    """Powers of ten and their doubles and fives within a logarithmic axis, or its ends where there is none."""
    if not 0 < low < high:
        return [low] if low > 0 else []
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
    within = [tick for tick in ticks if low <= tick <= high]
    return within if len(within) >= 2 else [low, high]


def span_of(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis that holds all values, with a little room on a logarithmic scale."""
    low, high = min(values), max(values)
    return low / 1.05, high * 1.05
