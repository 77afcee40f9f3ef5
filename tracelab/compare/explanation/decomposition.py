"""Where a difference went: the typical calls of two variants, operation by operation, adding up exactly.

Pure. A median is not additive, the mean of a band of calls is: rows are means over the calls whose latency lies between
the 40th and the 60th percentile (or from p95 up), kept as fractions, so that nothing is lost in rounding.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tracelab.compare.explanation.trace_parts import PartKey, TraceParts
from tracelab.compare.statistics.quantiles import MIN_BLOCKS, P95, Quantile, block_draws, widened
from tracelab.compare.statistics.sample import OK, Sample

FOLD_BELOW = Fraction(1, 100)
"""Rows whose share of the slower variant's typical call changes less than this become one."""
MIN_TAIL_CALLS = 20
OUTSIDE = PartKey("", "outside the trace", "")
_BAND = (Quantile("p40", 40, 100), Quantile("p60", 60, 100))
_DRAWS = 500


@dataclass(frozen=True, slots=True)
class Band:
    """Which calls stand for a variant: a name for the reader, and the samples."""

    label: str
    samples: tuple[Sample, ...]


def typical_calls(samples: Sequence[Sample]) -> Band:
    """The successful calls between the 40th and the 60th percentile of latency, both included."""
    answered = _answered(samples)
    if not answered:
        return Band("typical", ())
    first, last = (quantile.rank(len(answered)) for quantile in _BAND)
    return Band("typical", tuple(answered[first - 1 : last]))


def tail_calls(samples: Sequence[Sample]) -> Band:
    """The successful calls from p95 up; none if they are fewer than 20."""
    answered = _answered(samples)
    slow = answered[P95.rank(len(answered)) - 1 :] if answered else []
    return Band("slowest", tuple(slow) if len(slow) >= MIN_TAIL_CALLS else ())


def _answered(samples: Sequence[Sample]) -> list[Sample]:
    return sorted(
        (sample for sample in samples if sample.code == OK), key=lambda s: (s.latency_ns, s.block, s.run, s.index)
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One operation's part of the typical call on both sides: mean nanoseconds, and mean number of spans.

    `low_ns` and `high_ns` bound the difference with 95 % certainty, None where there are too few blocks.
    """

    key: PartKey
    baseline_ns: Fraction
    variant_ns: Fraction
    baseline_count: Fraction
    variant_count: Fraction
    low_ns: float | None = None
    high_ns: float | None = None

    @property
    def difference_ns(self) -> Fraction:
        """Variant minus baseline."""
        return self.variant_ns - self.baseline_ns


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The difference between two variants' typical calls. `rows` add up to it exactly, whatever was folded.

    `rows` is ordered by the size of the difference; the last one may stand for `folded_count` operations.
    """

    baseline: str
    variant: str
    band_label: str
    baseline_calls: int
    variant_calls: int
    baseline_ns: Fraction
    variant_ns: Fraction
    rows: tuple[Row, ...]
    folded_count: int
    incomplete_count: int

    @property
    def difference_ns(self) -> Fraction:
        """Variant minus baseline."""
        return self.variant_ns - self.baseline_ns


def decompose(
    baseline: Band,
    variant: Band,
    traces: Mapping[str, TraceParts],
    *,
    block_count: int,
    seed: str,
) -> Decomposition | None:
    """Explain the difference between two bands; None where a side has no complete trace.

    Calls whose trace is missing or incomplete are left out and counted.
    """
    sides = [_Side.of(band, traces, block_count) for band in (baseline, variant)]
    below, above = sides
    if not below.call_count or not above.call_count:
        return None
    limits = _Limits(below, above, block_count, seed)
    keys = sorted({*below.sums_ns, *above.sums_ns})
    rows = [
        Row(key, below.mean_ns(key), above.mean_ns(key), below.mean_count(key), above.mean_count(key)) for key in keys
    ]
    largest_ns = max(below.total_ns, above.total_ns)
    shown = [row for row in rows if abs(row.difference_ns) >= FOLD_BELOW * largest_ns]
    folded = [row for row in rows if abs(row.difference_ns) < FOLD_BELOW * largest_ns]
    ordered = [
        limits.bound(row, [row.key]) for row in sorted(shown, key=lambda row: (-abs(row.difference_ns), row.key))
    ]
    if folded:
        ordered.append(limits.bound(_fold(folded), [row.key for row in folded]))
    return Decomposition(
        baseline=baseline.samples[0].entry,
        variant=variant.samples[0].entry,
        band_label=baseline.label,
        baseline_calls=below.call_count,
        variant_calls=above.call_count,
        baseline_ns=below.total_ns,
        variant_ns=above.total_ns,
        rows=tuple(ordered),
        folded_count=len(folded),
        incomplete_count=below.incomplete_count + above.incomplete_count,
    )


def _fold(rows: Sequence[Row]) -> Row:
    operations = f"{len(rows)} operation{'' if len(rows) == 1 else 's'}"
    return Row(
        PartKey("", f"other, {operations}", ""),
        sum((row.baseline_ns for row in rows), Fraction()),
        sum((row.variant_ns for row in rows), Fraction()),
        Fraction(),
        Fraction(),
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """One band's sums: by key, and by key and block for the draws."""

    call_count: int
    incomplete_count: int
    sums_ns: Mapping[PartKey, int]
    counts: Mapping[PartKey, int]
    block_sums_ns: Mapping[PartKey, Sequence[int]]
    block_calls: Sequence[int]

    @classmethod
    def of(cls, band: Band, traces: Mapping[str, TraceParts], block_count: int) -> _Side:
        sums_ns: dict[PartKey, int] = {}
        counts: dict[PartKey, int] = {}
        block_sums_ns: dict[PartKey, list[int]] = {}
        block_calls = [0] * block_count
        call_count = 0
        for sample in band.samples:
            trace = traces.get(sample.trace_id)
            if trace is None or not trace.complete:
                continue
            call_count += 1
            block_calls[sample.block] += 1
            parts = {key: (part.critical_ns, part.span_count) for key, part in trace.parts}
            parts[OUTSIDE] = (sample.latency_ns - trace.root_duration_ns, 0)
            for key, (critical_ns, span_count) in parts.items():
                sums_ns[key] = sums_ns.get(key, 0) + critical_ns
                counts[key] = counts.get(key, 0) + span_count
                block_sums_ns.setdefault(key, [0] * block_count)[sample.block] += critical_ns
        return cls(call_count, len(band.samples) - call_count, sums_ns, counts, block_sums_ns, block_calls)

    @property
    def total_ns(self) -> Fraction:
        return Fraction(sum(self.sums_ns.values()), self.call_count)

    def mean_ns(self, key: PartKey) -> Fraction:
        return Fraction(self.sums_ns.get(key, 0), self.call_count)

    def mean_count(self, key: PartKey) -> Fraction:
        return Fraction(self.counts.get(key, 0), self.call_count)


class _Limits:
    """Intervals of rows, all from the same draws of blocks."""

    def __init__(self, below: _Side, above: _Side, block_count: int, seed: str) -> None:
        self._below, self._above, self._block_count = below, above, block_count
        generator = random.Random(seed)
        self._draws = list(block_draws(block_count, _DRAWS, generator)) if block_count >= MIN_BLOCKS else []

    def bound(self, row: Row, keys: Sequence[PartKey]) -> Row:
        """The row with the limits of its difference; `keys` are what it stands for."""
        below, above = self._sums(self._below, keys), self._sums(self._above, keys)
        drawn = []
        for draw in self._draws:
            one, other = _mean(draw, below, self._below.block_calls), _mean(draw, above, self._above.block_calls)
            if one is not None and other is not None:
                drawn.append(other - one)
        if not drawn:
            return row
        low, high = widened(float(row.difference_ns), drawn, error_rate=0.05, block_count=self._block_count)
        return Row(
            row.key, row.baseline_ns, row.variant_ns, row.baseline_count, row.variant_count, low_ns=low, high_ns=high
        )

    def _sums(self, side: _Side, keys: Iterable[PartKey]) -> list[int]:
        columns = [side.block_sums_ns[key] for key in keys if key in side.block_sums_ns]
        return [sum(values) for values in zip(*columns, strict=True)] if columns else [0] * self._block_count


def _mean(draw: Sequence[int], sums: Sequence[int], calls: Sequence[int]) -> float | None:
    count = sum(map(int.__mul__, draw, calls))
    return sum(map(int.__mul__, draw, sums)) / count if count else None


def whole_by_largest_remainder(values: Sequence[Fraction], unit: Fraction) -> list[int]:
    """Round each value to whole units so that they still add up to their rounded sum."""
    floors = [math.floor(value / unit) for value in values]
    missing = round(sum(values, Fraction()) / unit) - sum(floors)
    by_remainder = sorted(range(len(values)), key=lambda place: (floors[place] - values[place] / unit, place))
    for place in by_remainder[:missing]:
        floors[place] += 1
    return floors
