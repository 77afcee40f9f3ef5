"""Durations as a person types them: `250ms`, `1.5s`, `10m`, `2h`, `7d`."""

from __future__ import annotations

import re
from typing import Final

from clients.errors import WrongUsageError

_NS_PER: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}
_LIMIT_NS: Final = 2**63  # what the query APIs take, and no clock has
_FORM: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")


def duration_ns(text: str, option: str) -> int:
    """Read one duration in nanoseconds; WrongUsageError names the option."""
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise WrongUsageError(f"{option}: {text!r} is not a duration such as 250ms, 1.5s or 10m")
    duration = float(found[1]) * _NS_PER[found[2]]
    if duration >= _LIMIT_NS:
        raise WrongUsageError(f"{option}: more than 290 years")
    return round(duration)
