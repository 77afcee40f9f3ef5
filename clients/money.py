"""Money as a person writes it (`40.0`) and as the contracts carry it (minor units of the one currency)."""

from __future__ import annotations

import re
from typing import Final

MINOR_UNITS: Final = 100
MOST_MINOR_UNITS: Final = 1_000_000_000_000  # of one order, by the contract

_FORM: Final = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]{1,2}))?")


def format_money(minor_units: int) -> str:
    """Write minor units as a person reads them: 7500 is `75.0`, 7525 is `75.25`."""
    sign = "-" if minor_units < 0 else ""
    whole, rest = divmod(abs(minor_units), MINOR_UNITS)
    decimals = f"{rest:02d}"
    return f"{sign}{whole}.{decimals[:-1] if decimals.endswith('0') else decimals}"


def parse_money(text: str) -> int:
    """Read `40`, `40.0` or `40.25` as minor units. ValueError, with the sentence for the person, for anything else."""
    found = _FORM.fullmatch(text.strip())
    if not found or len(text) > 100:  # Python refuses to read thousands of digits
        raise ValueError(f"{_shown(text)} is not an amount such as 40.0: digits, and at most two decimals")
    sign, whole, decimals = found.groups()
    minor_units = int(whole) * MINOR_UNITS + int(f"{decimals or '0':<02}")
    return -minor_units if sign == "-" else minor_units


def parse_amount(text: str) -> int:
    """Read the amount of an order in minor units; ValueError also for one that no order may have."""
    minor_units = parse_money(text)
    if not 1 <= minor_units <= MOST_MINOR_UNITS:
        raise ValueError(f"must be {format_money(1)} to {format_money(MOST_MINOR_UNITS)}, is {text.strip()}")
    return minor_units


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
