"""How a comparison is measured: blocks of short runs, one of every variant, in an order drawn anew for each block.

No analysis repairs "A, then B": machines drift. Only interleaving does, and only a random order is safe from what
recurs (docs/compare.md has the measurements). The run stops when the intervals are narrow, or at a limit that was set
before; never because of what they say. One event loop, one task; cancelling it ends the measuring and keeps its blocks.
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import median

from tracelab.compare.measurement.pace import Pace, PaceMeter
from tracelab.compare.measurement.runs import Clock, ClosedLoop, Loop, OpenLoop, Run, Timing, Variant
from tracelab.compare.question.variant_options import Load
from tracelab.compare.statistics.analysis import AnalysisSettings, headline_intervals
from tracelab.compare.statistics.quantiles import Interval
from tracelab.compare.statistics.sample import Entry, Sample

LOOKS = (20, 30, 40, 60, 80, 100)
WARM_UP_CALLS = 100
WARM_UP_AGREEMENT = 0.20
WARM_UP_S = 5.0
_WARM_UP_RUN_CALLS = 10
_WARM_UP_RUN_S = 0.25
_RUN_LENGTHS = ((10_000_000, 10), (50_000_000, 5))
"""Below this warm-up median in nanoseconds a run has so many calls; slower ones have 2, with nothing dropped."""
_SLOW_RUN_CALLS = 2


class StopReason(Enum):
    """Why the measuring ended."""

    PRECISE = "every interval is narrow enough"
    ALL_BLOCKS = "all blocks measured"
    TIME = "time is up"
    INTERRUPTED = "cut short"


@dataclass(frozen=True, slots=True)
class ProtocolSettings:
    """What was asked for. `loads` says how an entry is called, if not by one worker; a slice is an open loop's run."""

    analysis: AnalysisSettings
    max_seconds: float = 60.0
    slice_s: float = 1.0
    max_in_flight: int = 500
    looks: tuple[int, ...] = LOOKS
    warm_up_calls: int = WARM_UP_CALLS
    loads: Mapping[str, Load] = field(default_factory=dict)

    def load_of(self, entry: Entry) -> Load:
        """How an entry is called."""
        return self.loads.get(entry.name, Load())


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Calls that were made and discarded before the first block; `settled` if the medians had come to agree."""

    calls_by_entry: Mapping[str, int]
    settled: bool
    slowest_median_ns: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the measuring is. `intervals` are those of the last look, by variant."""

    block_count: int
    elapsed_s: float
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    warming_up: bool = False


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured, and how.

    `run_calls` is the number of calls that one worker makes in a run, the dropped ones included. `restart_blocks` says
    how many blocks each restart contributed, in their order; one number where nothing was restarted.
    """

    entries: tuple[Entry, ...]
    samples: tuple[Sample, ...]
    block_count: int
    run_calls: int
    dropped_per_run: int
    warm_up: WarmUp
    looks: tuple[int, ...]
    stop_reason: StopReason
    duration_s: float
    pace: Mapping[str, Pace] = field(default_factory=dict)
    restart_blocks: tuple[int, ...] = ()

    @property
    def overloaded(self) -> dict[str, str]:
        """The entries whose open loop was not kept up with, and why."""
        return {name: pace.overload for name, pace in self.pace.items() if pace.overload}


def ignore_progress(progress: Progress) -> None:
    """Show nothing."""


async def measure(
    variants: Sequence[tuple[Entry, Variant]],
    settings: ProtocolSettings,
    clock: Clock,
    on_progress: Callable[[Progress], None] = ignore_progress,
) -> Measurement:
    """Warm up, then measure block by block until a stopping rule holds.

    A cancellation of the task ends the measuring: whole blocks are kept, the rest of the last one is not.
    """
    return await _Measuring(variants, settings, clock, on_progress).run()


class _Measuring:
    """The state of one measurement while it goes on."""

    def __init__(
        self,
        variants: Sequence[tuple[Entry, Variant]],
        settings: ProtocolSettings,
        clock: Clock,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._variants = variants
        self._entries = tuple(entry for entry, _ in variants)
        self._settings = settings
        self._clock = clock
        self._on_progress = on_progress
        self._order = random.Random(f"{settings.analysis.seed}:order")
        self._arrivals = random.Random(f"{settings.analysis.seed}:arrivals")
        self._samples: list[Sample] = []
        self._looks: list[int] = []
        self._intervals: Mapping[str, Interval] = {}
        self._meter = PaceMeter()
        self._block_count = 0
        self._warm_up = WarmUp({entry.name: 0 for entry in self._entries}, False, 0, 0.0)
        self._run_calls, self._drop = _RUN_LENGTHS[0][1], 1

    async def run(self) -> Measurement:
        begin_ns = self._clock.now_ns()
        try:
            await self._warm()
            self._run_calls, self._drop = run_length(self._warm_up.slowest_median_ns)
            gc.collect()
            begin_ns = self._clock.now_ns()
            stop_reason = await self._blocks(begin_ns)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            stop_reason = StopReason.INTERRUPTED
        return Measurement(
            entries=self._entries,
            samples=tuple(self._samples),
            block_count=self._block_count,
            run_calls=self._run_calls,
            dropped_per_run=self._drop,
            warm_up=self._warm_up,
            looks=tuple(self._looks),
            stop_reason=stop_reason,
            duration_s=(self._clock.now_ns() - begin_ns) / 1e9,
            pace=self._meter.paces(),
            restart_blocks=(self._block_count,),
        )

    async def _warm(self) -> None:
        """Call every variant in turn until all have settled, for 5 s at most."""
        begin_ns = self._clock.now_ns()
        medians: dict[str, list[float]] = {entry.name: [] for entry in self._entries}
        counts = dict.fromkeys(medians, 0)
        settled = False
        while not settled:
            for entry, variant in self._shuffled():
                concurrency = self._settings.load_of(entry).concurrency
                loop = ClosedLoop(_WARM_UP_RUN_CALLS, 0, concurrency, round(_WARM_UP_RUN_S * 1e9))
                run = await loop.run(variant, self._clock)
                medians[entry.name].append(median(timing.end_ns - timing.start_ns for timing in run.timings))
                counts[entry.name] += len(run.timings)
                if self._elapsed_s(begin_ns) >= WARM_UP_S and all(medians.values()):
                    break
            settled = min(counts.values()) >= self._settings.warm_up_calls and _agree(medians.values())
            slowest_ns = round(max(own[-1] for own in medians.values() if own))
            elapsed_s = self._elapsed_s(begin_ns)
            self._warm_up = WarmUp(dict(counts), settled, slowest_ns, elapsed_s)
            self._on_progress(Progress(0, elapsed_s, warming_up=True))
            if elapsed_s >= WARM_UP_S and all(medians.values()):
                return

    async def _blocks(self, begin_ns: int) -> StopReason:
        while True:
            block = await self._block(begin_ns)
            self._samples += block
            self._block_count += 1
            if self._block_count in self._settings.looks:
                self._looks.append(self._block_count)
                self._intervals = headline_intervals(
                    self._samples, self._entries, self._block_count, self._settings.analysis
                )
            elapsed_s = self._elapsed_s(begin_ns)
            self._on_progress(Progress(self._block_count, elapsed_s, self._intervals))
            if self._block_count in self._settings.looks and self._precise():
                return StopReason.PRECISE
            if self._block_count >= self._settings.looks[-1]:
                return StopReason.ALL_BLOCKS
            if elapsed_s + elapsed_s / self._block_count > self._settings.max_seconds:
                return StopReason.TIME

    async def _block(self, begin_ns: int) -> list[Sample]:
        samples: list[Sample] = []
        runs: list[tuple[Entry, Run]] = []
        for place, (entry, variant) in enumerate(self._shuffled()):
            loop = self._loop_of(entry)
            variant.begin_run(self._block_count * loop.sample_count - loop.dropped_count)
            run = await loop.run(variant, self._clock)
            runs.append((entry, run))
            samples += [
                _sample(entry, self._block_count, place, index, timing, begin_ns)
                for index, timing in enumerate(run.timings)
                if index >= run.dropped_count
            ]
        for entry, run in runs:
            self._meter.add(entry.name, run)
        return samples

    def _shuffled(self) -> list[tuple[Entry, Variant]]:
        variants = list(self._variants)
        self._order.shuffle(variants)
        return variants

    def _loop_of(self, entry: Entry) -> Loop:
        settings, load = self._settings, self._settings.load_of(entry)
        if load.rate_per_s is None:
            return ClosedLoop(self._run_calls, self._drop, load.concurrency)
        arrivals = self._arrivals if load.poisson else None
        return OpenLoop(load.rate_per_s, settings.slice_s, settings.max_in_flight, arrivals)

    def _precise(self) -> bool:
        precision = self._settings.analysis.criteria.precision
        return bool(self._intervals) and all(interval.half_width <= precision for interval in self._intervals.values())

    def _elapsed_s(self, begin_ns: int) -> float:
        return (self._clock.now_ns() - begin_ns) / 1e9


def run_length(slowest_median_ns: int) -> tuple[int, int]:
    """How many calls a run has, and how many of them are dropped, by the slowest variant's median when warm."""
    for below_ns, calls in _RUN_LENGTHS:
        if slowest_median_ns < below_ns:
            return calls, 1
    return _SLOW_RUN_CALLS, 0


def _agree(medians: Iterable[Sequence[float]]) -> bool:
    """Whether each variant's last two warm-up medians lie within 20 % of each other."""
    return all(len(own) >= 2 and max(own[-2:]) <= (1 + WARM_UP_AGREEMENT) * min(own[-2:]) for own in medians)


def _sample(entry: Entry, block: int, run: int, index: int, timing: Timing, begin_ns: int) -> Sample:
    return Sample(
        entry=entry.name,
        block=block,
        run=run,
        index=index,
        start_offset_ns=timing.start_ns - begin_ns,
        latency_ns=timing.end_ns - timing.intended_ns,
        service_ns=timing.end_ns - timing.start_ns,
        code=timing.outcome.code,
        trace_id=timing.outcome.trace_id,
    )
