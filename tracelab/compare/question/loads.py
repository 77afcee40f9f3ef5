"""How hard a variant is called: by so many workers, or at a rate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """A closed loop of `concurrency` workers or, with a rate, an open loop: evenly spaced, or `poisson`."""

    concurrency: int = 1
    rate_per_s: float | None = None
    poisson: bool = False
