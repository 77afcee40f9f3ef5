"""A clock that only moves when a scripted variant makes it, and worlds that make latencies: no test here waits."""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tracelab.compare.measurement.runs import Outcome
from tracelab.compare.statistics.sample import Entry, Role, Sample

T = TypeVar("T")
KEPT = math.exp(-1 / 50)
RENEWED = math.sqrt(1 - KEPT**2)
"""How much of its state a machine keeps from call to call, and how much is new."""


@dataclass
class ScriptedClock:
    """Time as the script says. `drive` lets several tasks sleep on it at once."""

    time_ns: int = 0
    sleepers: list[tuple[int, int, asyncio.Future[None]]] = field(default_factory=list)
    count: int = 0

    def now_ns(self) -> int:
        return self.time_ns

    def cpu_ns(self) -> int:
        return 0

    def advance(self, duration_ns: int) -> None:
        self.time_ns += duration_ns

    async def sleep_until_ns(self, moment_ns: int) -> None:
        if moment_ns <= self.time_ns:
            return
        self.count += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self.sleepers, (moment_ns, self.count, future))
        await future

    async def drive(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work`, moving time to the next sleeper whenever nothing else can go on."""
        task = asyncio.ensure_future(work)
        while not task.done():
            for _ in range(10):
                await asyncio.sleep(0)
            if self.sleepers and not task.done():
                moment_ns, _, future = heapq.heappop(self.sleepers)
                self.time_ns = max(self.time_ns, moment_ns)
                if not future.done():
                    future.set_result(None)
        return task.result()


@dataclass
class ScriptedVariant:
    """Answers its n-th call (from 0) with a latency in nanoseconds and an outcome, and notes when it was called."""

    clock: ScriptedClock
    latency_ns: Callable[[int], int]
    outcome: Callable[[int], Outcome] = lambda number: Outcome()
    called: list[int] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    name: str = ""

    def begin_run(self, place: int) -> None:
        """Do nothing: each call is like the next."""

    async def call(self) -> Outcome:
        number = len(self.called)
        self.called.append(self.clock.now_ns())
        self.log.append(self.name)
        self.clock.advance(self.latency_ns(number))
        return self.outcome(number)


def entries(*variants: str, twin: bool = True) -> list[Entry]:
    """A baseline "a", its twin, and variants."""
    made = [Entry("a", Role.BASELINE), *(Entry(name, Role.VARIANT) for name in variants)]
    return [*made, Entry("a (twin)", Role.TWIN)] if twin else made


def samples_of(entry: str, blocks: list[list[int]]) -> list[Sample]:
    """Samples with the given latencies, by block."""
    return [
        Sample(entry, block, 0, index, 0, latency_ns, latency_ns)
        for block, latencies in enumerate(blocks)
        for index, latency_ns in enumerate(latencies)
    ]


@dataclass
class World:
    """A machine as LAB A2 has it: latency = state x noise, 3 % of calls with a heavy tail."""

    seed: str
    total_calls: int
    kind: str = "quiet"

    def __post_init__(self) -> None:
        self.noise = random.Random(self.seed)
        self.level = self.noise.gauss(0, 0.1)
        self.phase = self.noise.random() * 2 * math.pi
        self.neighbour_from = self.noise.random() * 0.8
        self.drift = self.noise.choice((-1, 1)) * 0.15
        self.call_number = 0

    def latency_ns(self, base_ns: int = 1_000_000) -> int:
        """The next call's latency."""
        place = self.call_number / self.total_calls
        self.call_number += 1
        self.level = KEPT * self.level + RENEWED * self.noise.gauss(0, 0.1)
        state = 1.0
        if self.kind in {"autocorrelated", "all"}:
            state *= math.exp(self.level)
        if self.kind in {"drift", "all"}:
            state *= 1 + self.drift * (2 * place - 1)
        if self.kind in {"neighbour", "all"} and self.neighbour_from <= place < self.neighbour_from + 0.2:
            state *= 1.3
        if self.kind == "periodic":
            state *= 1 + 0.15 * math.sin(2 * math.pi * self.call_number / 20 + self.phase)
        noise = math.exp(self.noise.gauss(0, 0.2))
        if self.noise.random() < 0.03:
            noise *= self.noise.paretovariate(1.5)
        return max(1, round(base_ns * state * noise))
