"""One run: consecutive calls of one variant, timed by the client's clock, in a closed or an open loop.

The code around the awaited call is the same for every variant, and outside every interceptor. A run is drained before
it returns, so variants never overlap. Everything here runs on the event loop of the caller.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tracelab.compare.statistics.sample import OK

_SPIN_BELOW_S = 0.0015
"""The event loop sleeps in whole milliseconds; what is left is waited for by yielding."""


class Clock(Protocol):
    """The measuring clock, in nanoseconds from an arbitrary origin."""

    def now_ns(self) -> int:
        """The monotonic time."""

    def cpu_ns(self) -> int:
        """What this process has computed so far; 0 if it is not known."""

    async def sleep_until_ns(self, moment_ns: int) -> None:
        """Wait until `now_ns` has reached a moment."""


class MachineClock:
    """`perf_counter_ns`, and the event loop's sleep."""

    def now_ns(self) -> int:
        """The monotonic time."""
        return time.perf_counter_ns()

    def cpu_ns(self) -> int:
        """What this process has computed so far, in all threads."""
        return time.process_time_ns()

    async def sleep_until_ns(self, moment_ns: int) -> None:
        """Sleep to just before the moment, then yield until it is there."""
        left_s = (moment_ns - self.now_ns()) / 1e9
        if left_s > _SPIN_BELOW_S:
            await asyncio.sleep(left_s - _SPIN_BELOW_S)
        while self.now_ns() < moment_ns:  # an Event cannot be set by the passing of time
            await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: the name of its gRPC status code, and its trace ("" if it was not recorded)."""

    code: str = OK
    trace_id: str = ""


class Variant(Protocol):
    """A way to make one call. It is set up before the first one and stays up; a failed call is an outcome."""

    def begin_run(self, place: int) -> None:
        """Hear that a run begins with the request of that place in the sequence, if each call has a request of its own.

        The places of the runs of a block are the same for every variant; a place may be negative.
        """

    async def call(self) -> Outcome:
        """Make one call and wait for its end."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One call by the clock. `intended_ns` is `start_ns`, unless an open loop wanted it to start earlier."""

    intended_ns: int
    start_ns: int
    end_ns: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Run:
    """The calls of one run in order of their start, how many belong to no sample, and what the generator did.

    `planned_count` is how many calls should have started; fewer did where too many were in flight.
    """

    timings: tuple[Timing, ...]
    dropped_count: int
    planned_count: int
    cpu_ns: int = 0
    is_open: bool = False

    @property
    def duration_ns(self) -> int:
        """From the first start to the last end."""
        if not self.timings:
            return 0
        return max(timing.end_ns for timing in self.timings) - self.timings[0].start_ns

    @property
    def pace_ratio(self) -> float:
        """Actual by wanted rate: the lower of the pace of starting and the pace of finishing; 1.0 for a closed loop."""
        if not self.is_open:
            return 1.0
        if len(self.timings) < self.planned_count:
            return len(self.timings) / self.planned_count
        wanted_ns = self.timings[-1].intended_ns - self.timings[0].intended_ns if self.timings else 0
        if wanted_ns <= 0:
            return 1.0
        ends = sorted(timing.end_ns for timing in self.timings)
        started_ns = self.timings[-1].start_ns - self.timings[0].start_ns
        return min(1.0, wanted_ns / max(started_ns, 1), wanted_ns / max(ends[-1] - ends[0], 1))


class Loop(Protocol):
    """How the calls of a run follow one another."""

    @property
    def dropped_count(self) -> int:
        """How many calls of a run are no samples; they come first."""

    @property
    def sample_count(self) -> int:
        """How many samples a run shall have."""

    async def run(self, variant: Variant, clock: Clock) -> Run:
        """Make the calls of one run and wait for the last."""


async def _timed(variant: Variant, clock: Clock, intended_ns: int | None = None) -> Timing:
    start_ns = clock.now_ns()
    outcome = await variant.call()
    end_ns = clock.now_ns()
    return Timing(start_ns if intended_ns is None else intended_ns, start_ns, end_ns, outcome)


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """`calls` calls by each of `concurrency` workers, each as soon as its worker's last one ended.

    Of each worker the first `drop` calls are no samples: they pay for what the run before left behind.
    """

    calls: int
    drop: int = 0
    concurrency: int = 1
    stop_after_ns: int | None = None
    """A worker starts no further call after this long; for warming up."""

    @property
    def dropped_count(self) -> int:
        """How many calls of a run are no samples: each worker's first ones, and workers start together."""
        return self.drop * self.concurrency

    @property
    def sample_count(self) -> int:
        """How many samples a run shall have."""
        return (self.calls - self.drop) * self.concurrency

    async def run(self, variant: Variant, clock: Clock) -> Run:
        """Make the calls of one run and wait for the last."""
        cpu_ns, begin_ns = clock.cpu_ns(), clock.now_ns()
        stop_ns = None if self.stop_after_ns is None else begin_ns + self.stop_after_ns
        if self.concurrency == 1:
            timings = await self._work(variant, clock, stop_ns)
        else:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(self._work(variant, clock, stop_ns)) for _ in range(self.concurrency)]
            timings = sorted(
                (timing for worker in workers for timing in worker.result()), key=lambda timing: timing.start_ns
            )
        return Run(tuple(timings), self.dropped_count, len(timings), clock.cpu_ns() - cpu_ns)

    async def _work(self, variant: Variant, clock: Clock, stop_ns: int | None) -> list[Timing]:
        timings: list[Timing] = []
        for _ in range(self.calls):
            timings.append(await _timed(variant, clock))
            if stop_ns is not None and timings[-1].end_ns >= stop_ns:
                break
        return timings


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Calls that start at times fixed in advance, each a task of its own, however long the others take.

    `rate_per_s` for `slice_s` seconds; evenly spaced or, with a `generator`, as a Poisson process. Nothing more is
    started once `max_in_flight` calls are outstanding: the run then shows fewer calls than planned.
    """

    rate_per_s: float
    slice_s: float = 1.0
    max_in_flight: int = 500
    generator: random.Random | None = None

    @property
    def dropped_count(self) -> int:
        """How many calls of a run are no samples: none."""
        return 0

    @property
    def sample_count(self) -> int:
        """How many samples a run shall have."""
        return max(1, round(self.rate_per_s * self.slice_s))

    def offsets_ns(self) -> Sequence[int]:
        """When the calls of one slice start, from its beginning."""
        count = self.sample_count
        if self.generator is None:
            return [round(number * 1e9 / self.rate_per_s) for number in range(count)]
        # Given their number, the arrivals of a Poisson process are uniform over the slice.
        return sorted(round(self.generator.random() * self.slice_s * 1e9) for _ in range(count))

    async def run(self, variant: Variant, clock: Clock) -> Run:
        """Start the calls of one slice on time and wait for the last."""
        cpu_ns, offsets_ns = clock.cpu_ns(), self.offsets_ns()
        begin_ns = clock.now_ns()
        in_flight: set[asyncio.Task[Timing]] = set()
        started: list[asyncio.Task[Timing]] = []
        async with asyncio.TaskGroup() as group:
            for offset_ns in offsets_ns:
                await clock.sleep_until_ns(begin_ns + offset_ns)
                if len(in_flight) >= self.max_in_flight:
                    break
                task = group.create_task(_timed(variant, clock, begin_ns + offset_ns))
                in_flight.add(task)
                task.add_done_callback(in_flight.discard)
                started.append(task)
        return Run(tuple(task.result() for task in started), 0, len(offsets_ns), clock.cpu_ns() - cpu_ns, True)
