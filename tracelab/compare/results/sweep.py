"""How each variant's cost grows with the number of users or of calls at once; by users as a fitted slope. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tracelab.compare.explanation.trace_parts import TraceParts
from tracelab.compare.question.method_call import SERVER_KEY
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.statistics.quantiles import MEDIAN, MIN_BLOCKS, Pool, block_draws, order_statistic, widened
from tracelab.compare.statistics.sample import Role, of_entry, ranked_latencies

_DRAWS = 1_000
_ERROR_RATE = 0.05
SWEPT_WORDS = {"users": "users", "concurrency": "at once", "n": "as n"}
"""What follows a number of each kind."""


@dataclass(frozen=True, slots=True)
class Slope:
    """What one more user costs: nanoseconds of the median per user, with 95 % limits (None with too few blocks)."""

    variant: str
    per_step_ns: float
    base_ns: float
    low_ns: float | None
    high_ns: float | None


@dataclass(frozen=True, slots=True)
class Sweep:
    """The same comparison at several numbers of what `by` names, an option, in the order asked for."""

    numbers: tuple[int, ...]
    runs: tuple[ComparisonRun, ...]
    by: str = "users"

    @property
    def names(self) -> list[str]:
        """The variants, the baseline first."""
        entries = self.runs[0].measurement.entries
        return [entry.name for entry in entries if entry.role in (Role.BASELINE, Role.VARIANT)]

    @property
    def is_of_ours(self) -> bool:
        """Whether our own services were called, whose RPCs are known."""
        return SERVER_KEY not in self.runs[0].options.get(self.names[0], {})

    def median_ns(self, name: str) -> list[float]:
        """The median at each number; 0 where no call succeeded."""
        pools = [_pool(run, name) for run in self.runs]
        return [float(order_statistic(pool.values, MEDIAN)) if pool.values else 0.0 for pool in pools]

    def slopes(self) -> list[Slope]:
        """The slope of each variant by users or n; none where some number of them has no successful call."""
        if self.by == "concurrency":  # what one more call at once costs depends on how many there are
            return []
        return [slope for name in self.names if (slope := self._slope(name)) is not None]

    def _slope(self, name: str) -> Slope | None:
        pools = [_pool(run, name) for run in self.runs]
        if not all(pool.values for pool in pools):
            return None
        base_ns, per_step_ns = fitted(self.numbers, self.median_ns(name))
        if min(pool.block_count for pool in pools) < MIN_BLOCKS:
            return Slope(name, per_step_ns, base_ns, None, None)
        drawn = self._drawn(name, pools)
        block_count = min(pool.block_count for pool in pools)
        low, high = widened(per_step_ns, drawn, error_rate=_ERROR_RATE, block_count=block_count)
        return Slope(name, per_step_ns, base_ns, low, high)

    def _drawn(self, name: str, pools: Sequence[Pool]) -> list[float]:
        generator = random.Random(f"{self.runs[0].settings.analysis.seed}:slope:{name}")
        columns = []
        for pool in pools:
            draws = block_draws(pool.block_count, _DRAWS, generator)
            columns.append([found[0] if (found := pool.quantiles_of_draw(draw, [MEDIAN])) else None for draw in draws])
        slopes = []
        for medians in zip(*columns, strict=True):
            known = [float(value) for value in medians if value is not None]
            if len(known) == len(self.numbers):
                slopes.append(fitted(self.numbers, known)[1])
        return slopes


def fitted(users: Sequence[int], medians_ns: Sequence[float]) -> tuple[float, float]:
    """Intercept and slope by least squares of relative errors: a slow point weighs no more than a fast one."""
    weights = [1 / median_ns**2 for median_ns in medians_ns]
    total = sum(weights)
    mean_users = sum(weight * count for weight, count in zip(weights, users, strict=True)) / total
    mean_ns = sum(weight * median_ns for weight, median_ns in zip(weights, medians_ns, strict=True)) / total
    spread = sum(weight * (count - mean_users) ** 2 for weight, count in zip(weights, users, strict=True))
    together = sum(
        weight * (count - mean_users) * (median_ns - mean_ns)
        for weight, count, median_ns in zip(weights, users, medians_ns, strict=True)
    )
    slope = together / spread
    return mean_ns - slope * mean_users, slope


def calls_per_operation(run: ComparisonRun, name: str, operation: str) -> float | None:
    """How many server spans of an operation a typical call has; None with tracing off."""
    traces: list[TraceParts] = [
        parts
        for sample in of_entry(run.measurement.samples, name)
        if (parts := run.traces.get(sample.trace_id)) is not None and parts.complete
    ]
    if not traces:
        return None
    counts = [
        sum(part.span_count for key, part in parts.parts if key.operation == operation and key.kind == "server")
        for parts in traces
    ]
    return sum(counts) / len(counts)


def _pool(run: ComparisonRun, name: str) -> Pool:
    measurement = run.measurement
    return Pool.of(ranked_latencies(of_entry(measurement.samples, name), measurement.block_count))
