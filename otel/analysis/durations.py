"""Durations as people read them: one unit for what is compared, three digits, parts that add up as printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_UNITS = ((1_000, "ns"), (1_000_000, "µs"), (10_000_000_000, "ms"), (0, "s"))
_NS_PER = {"ns": 1, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class DurationScale:
    """A unit and how many decimals to print of it."""

    unit: str
    decimals: int

    def number(self, duration_ns: float) -> str:
        """Print a duration without its unit, rounded half up as `total` and the page do."""
        unit_ns = _NS_PER[self.unit]
        return _decimal(int((2 * duration_ns * 10**self.decimals + unit_ns) // (2 * unit_ns)), self.decimals)

    def text(self, duration_ns: float) -> str:
        """Print a duration with its unit."""
        return f"{self.number(duration_ns)} {self.unit}"

    def parts(self, durations_ns: Sequence[int]) -> list[str]:
        """Print parts so that they add up, digit by digit, to their printed sum (largest remainder)."""
        steps_per = 10**self.decimals
        unit_ns = _NS_PER[self.unit]
        scaled = [duration_ns * steps_per for duration_ns in durations_ns]
        steps = [value // unit_ns for value in scaled]
        missing = (2 * sum(scaled) + unit_ns) // (2 * unit_ns) - sum(steps)
        by_remainder = sorted(range(len(steps)), key=lambda index: (-(scaled[index] % unit_ns), index))
        for index in by_remainder[:missing]:
            steps[index] += 1
        return [_decimal(step, self.decimals) for step in steps]

    def total(self, durations_ns: Sequence[int]) -> str:
        """Print the sum of parts, rounded half up, without its unit."""
        return self.parts([sum(durations_ns)])[0]


def scale_for(largest_ns: int, least_decimals: int = 0) -> DurationScale:
    """Choose the unit and the decimals for durations up to `largest_ns`: three digits of the largest, or more."""
    size = abs(largest_ns)
    unit = next(name for limit, name in _UNITS if size < limit or not limit)
    whole = size // _NS_PER[unit]
    return DurationScale(unit, 0 if unit == "ns" else max(least_decimals, 3 - len(str(whole))))


def duration_text(duration_ns: int) -> str:
    """Print one duration by itself, `14.2 ms`."""
    return scale_for(duration_ns).text(duration_ns)


def _decimal(steps: int, decimals: int) -> str:
    sign, digits = ("-" if steps < 0 else ""), str(abs(steps)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else sign + digits
