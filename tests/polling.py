"""The one poller of the tests: wait for a condition to a deadline, and report the last value seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL_S = 0.02


def eventually(probe: Callable[[], T], *, until: Callable[[T], bool] = bool, within_s: float = 10.0) -> T:
    """Call `probe` until `until` holds for its value and return that value; AssertionError with the last one seen."""
    deadline_s = time.monotonic() + within_s
    while True:
        seen = probe()
        if until(seen):
            return seen
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {within_s} s; last seen: {seen!r}")
        time.sleep(INTERVAL_S)


async def eventually_async(
    probe: Callable[[], Awaitable[T]], *, until: Callable[[T], bool] = bool, within_s: float = 10.0
) -> T:
    """Do as `eventually` does, for a probe that is awaited."""
    deadline_s = time.monotonic() + within_s
    while True:
        seen = await probe()
        if until(seen):
            return seen
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {within_s} s; last seen: {seen!r}")
        await asyncio.sleep(INTERVAL_S)
