"""A breakdown in the digits that a reader sees: whole units that add up in every row and every column. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from tracelab.compare.explanation.decomposition import Decomposition, Row, whole_by_largest_remainder
from tracelab.compare.explanation.milliseconds import NS_PER_MS, decimals_for


@dataclass(frozen=True, slots=True)
class ShownRow:
    """One row in whole units of the last digit shown."""

    row: Row
    baseline: int
    variant: int

    @property
    def difference(self) -> int:
        """Variant minus baseline, as printed."""
        return self.variant - self.baseline


@dataclass(frozen=True, slots=True)
class ShownBreakdown:
    """All rows with `decimals` of a millisecond; the difference of a row is that of its printed times."""

    decimals: int
    rows: tuple[ShownRow, ...]

    @property
    def baseline(self) -> int:
        """The sum of the baseline's column."""
        return sum(row.baseline for row in self.rows)

    @property
    def variant(self) -> int:
        """The sum of the variant's column."""
        return sum(row.variant for row in self.rows)

    @property
    def difference(self) -> int:
        """The sum of the differences."""
        return self.variant - self.baseline

    def nanoseconds(self, units: int) -> Fraction:
        """What so many units are in nanoseconds."""
        return units * Fraction(NS_PER_MS, 10**self.decimals)


def shown(decomposition: Decomposition) -> ShownBreakdown:
    """Round a breakdown so that what a reader adds up agrees."""
    largest_ns = max(decomposition.baseline_ns, decomposition.variant_ns)
    decimals = decimals_for(max(abs(decomposition.difference_ns), largest_ns / 100))
    unit = Fraction(NS_PER_MS, 10**decimals)
    rows = decomposition.rows
    baseline = whole_by_largest_remainder([row.baseline_ns for row in rows], unit)
    variant = whole_by_largest_remainder([row.variant_ns for row in rows], unit)
    return ShownBreakdown(decimals, tuple(map(ShownRow, rows, baseline, variant)))
