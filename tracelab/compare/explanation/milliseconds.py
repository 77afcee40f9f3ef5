"""Nanoseconds as a reader sees them: milliseconds, three digits, one number of decimals in a table. Pure."""

from __future__ import annotations

import math
from fractions import Fraction

NS_PER_MS = 1_000_000
MAX_DECIMALS = 3


def decimals_for(largest_ns: Fraction | float) -> int:
    """How many decimals of a millisecond give a value of this size three digits."""
    size_ms = abs(float(largest_ns)) / NS_PER_MS
    if size_ms <= 0:
        return MAX_DECIMALS
    return min(MAX_DECIMALS, max(0, 2 - math.floor(math.log10(size_ms) + 1e-12)))


def written_ms(value_ns: Fraction | float, decimals: int) -> str:
    """The value in milliseconds, without a unit; a minus sign is a real one."""
    text = f"{float(value_ns) / NS_PER_MS:,.{decimals}f}"
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return text.replace("-", "\N{MINUS SIGN}")


def short_ms(value_ns: Fraction | float) -> str:
    """The value in milliseconds with three digits."""
    return written_ms(value_ns, decimals_for(value_ns))
