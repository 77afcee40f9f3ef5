"""A small comparison inside a lesson, by the method of `lab compare`: interleaved blocks, intervals, a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tracelab.compare.measurement.block_design import ProtocolSettings, StopReason, measure
from tracelab.compare.measurement.runs import MachineClock, Outcome
from tracelab.compare.statistics.analysis import Analysis, AnalysisSettings, analyse
from tracelab.compare.statistics.quantiles import MEDIAN
from tracelab.compare.statistics.sample import Entry, Role
from tracelab.compare.statistics.verdict import Criteria, VerdictKind

LOOKS = (12, 24, 48, 96)
PRECISION = 0.25
"""Enough to tell a factor of 1.5; a lesson compares nothing finer."""
MAX_SECONDS = 6.0
WARM_UP_CALLS = 20
SEED = 1


@dataclass(frozen=True, slots=True)
class _Calling:
    """One way to make a call; an error ends the lesson."""

    make: Callable[[], Awaitable[object]]

    def begin_run(self, place: int) -> None:
        """Do nothing: each call is like the next."""

    async def call(self) -> Outcome:
        """Make one call."""
        await self.make()
        return Outcome()


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found. Names are those that `compare` was given."""

    analysis: Analysis

    def text(self, name: str) -> str:
        """The verdict on a variant in words, such as `2.1x slower [1.9, 2.3]`."""
        return next(one.verdict.text for one in self.analysis.headlines if one.variant == name and one.verdict)

    def agrees_with_slower(self, name: str) -> bool:
        """Whether a variant is slower than the baseline, or the machine is too busy to tell."""
        kinds = {one.verdict.kind for one in self.analysis.headlines if one.variant == name and one.verdict}
        return kinds <= {VerdictKind.SLOWER, VerdictKind.NOT_RESOLVED}

    def median_us(self, name: str) -> float:
        """The median of an entry's calls in microseconds; for a person, never for a fact."""
        sample = self.analysis.summary_of(name).value_of(MEDIAN).sample
        return sample.latency_ns / 1e3 if sample is not None else float("nan")


async def compare(calls: Mapping[str, Callable[[], Awaitable[object]]]) -> Compared:
    """Compare ways to make a call by their medians, for 6 s at most; the first is the baseline. Ends when cancelled."""
    settings = ProtocolSettings(
        AnalysisSettings(SEED, criteria=Criteria(precision=PRECISION)),
        max_seconds=MAX_SECONDS,
        looks=LOOKS,
        warm_up_calls=WARM_UP_CALLS,
    )
    roles = [Role.BASELINE, *[Role.VARIANT] * (len(calls) - 1)]
    variants = [(Entry(name, role), _Calling(make)) for (name, make), role in zip(calls.items(), roles, strict=True)]
    measured = await measure(variants, settings, MachineClock())
    if measured.stop_reason is StopReason.INTERRUPTED:
        raise asyncio.CancelledError  # measuring keeps what it has; a lesson ends where it is interrupted
    return Compared(analyse(measured.samples, measured.entries, measured.restart_blocks, settings.analysis))
