from __future__ import annotations

import asyncio
from collections import Counter
from itertools import groupby

import pytest

from tests.unit.compare.scripted import ScriptedClock, ScriptedVariant, World, entries
from tracelab.compare.measurement.block_design import (
    LOOKS,
    Measurement,
    Progress,
    ProtocolSettings,
    StopReason,
    measure,
    run_length,
)
from tracelab.compare.measurement.runs import ClosedLoop, OpenLoop, Outcome, Variant
from tracelab.compare.statistics.analysis import AnalysisSettings
from tracelab.compare.statistics.sample import Entry, Role
from tracelab.compare.statistics.verdict import Criteria

MILLISECOND = 1_000_000


def settings(seed: int = 1, **fields: object) -> ProtocolSettings:
    return ProtocolSettings(AnalysisSettings(seed, draws=200), **fields)  # type: ignore[arg-type]  # fields by name


async def measured(
    latencies_ns: dict[str, int], asked: ProtocolSettings, log: list[str] | None = None, wobble: bool = False
) -> Measurement:
    clock = ScriptedClock()
    world = World("w", 10_000)
    variants: list[tuple[Entry, Variant]] = []
    for entry in entries(*(name for name in latencies_ns if name != "a")):
        base_ns = latencies_ns[entry.name.removesuffix(" (twin)")]

        def latency_ns(number: int, base_ns: int = base_ns) -> int:
            return world.latency_ns(base_ns) if wobble else base_ns

        script = ScriptedVariant(clock, latency_ns, name=entry.name, log=log if log is not None else [])
        variants.append((entry, script))
    return await measure(variants, asked, clock)


async def test_steady_latencies_stop_at_the_first_look() -> None:
    measurement = await measured({"a": 2 * MILLISECOND, "b": 3 * MILLISECOND}, settings())
    assert measurement.stop_reason is StopReason.PRECISE
    assert measurement.block_count == 20
    assert measurement.looks == (20,)


async def test_unsteady_latencies_stop_at_a_look_or_at_the_last_block() -> None:
    asked = ProtocolSettings(AnalysisSettings(3, draws=100, criteria=Criteria(precision=0.0001)), max_seconds=1e6)
    measurement = await measured({"a": MILLISECOND, "b": MILLISECOND}, asked, wobble=True)
    assert measurement.stop_reason is StopReason.ALL_BLOCKS
    assert measurement.block_count == 100
    assert measurement.looks == LOOKS


async def test_the_time_limit_ends_the_measuring_between_looks() -> None:
    asked = ProtocolSettings(AnalysisSettings(3, draws=100, criteria=Criteria(precision=0.0001)), max_seconds=1.0)
    measurement = await measured({"a": MILLISECOND, "b": MILLISECOND}, asked, wobble=True)
    assert measurement.stop_reason is StopReason.TIME
    assert measurement.duration_s <= 1.0


async def test_every_block_has_one_run_of_each_and_their_order_is_drawn_anew() -> None:
    log: list[str] = []
    measurement = await measured({"a": 2 * MILLISECOND, "b": 3 * MILLISECOND}, settings(), log)
    orders = set()
    for block in range(measurement.block_count):
        own = [sample for sample in measurement.samples if sample.block == block]
        assert Counter(sample.entry for sample in own) == {"a": 9, "b": 9, "a (twin)": 9}
        orders.add(tuple(name for name, _ in groupby(sample.entry for sample in own)))
    assert len(orders) > 3


async def test_the_same_seed_repeats_the_order_and_another_one_does_not() -> None:
    logs: list[list[str]] = [[], [], []]
    for seed, log in zip((7, 7, 8), logs, strict=True):
        await measured({"a": 2 * MILLISECOND, "b": 3 * MILLISECOND}, settings(seed), log)
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


async def test_the_first_call_of_a_run_is_no_sample() -> None:
    measurement = await measured({"a": 2 * MILLISECOND}, settings())
    assert {sample.index for sample in measurement.samples} == set(range(1, 10))


@pytest.mark.parametrize(("median_ms", "expected"), [(9.9, (10, 1)), (10, (5, 1)), (49, (5, 1)), (50, (2, 0))])
def test_slow_calls_have_shorter_runs(median_ms: float, expected: tuple[int, int]) -> None:
    assert run_length(round(median_ms * MILLISECOND)) == expected


async def test_the_slowest_variant_decides_the_run_length_of_all() -> None:
    measurement = await measured({"a": MILLISECOND, "b": 60 * MILLISECOND}, settings())
    assert (measurement.run_calls, measurement.dropped_per_run) == (2, 0)
    assert Counter(sample.entry for sample in measurement.samples if sample.block == 0) == {
        "a": 2,
        "b": 2,
        "a (twin)": 2,
    }


async def test_warming_up_makes_a_hundred_calls_of_each_and_discards_them() -> None:
    measurement = await measured({"a": MILLISECOND, "b": 2 * MILLISECOND}, settings())
    assert measurement.warm_up.settled
    assert dict(measurement.warm_up.calls_by_entry) == {"a": 100, "b": 100, "a (twin)": 100}


async def test_warming_up_goes_on_until_the_medians_agree() -> None:
    clock = ScriptedClock()
    script = ScriptedVariant(clock, lambda number: MILLISECOND * (150 - number if number < 145 else 5) // 5)
    measurement = await measure([(Entry("a", Role.BASELINE), script)], settings(), clock)
    assert measurement.warm_up.settled
    assert measurement.warm_up.calls_by_entry["a"] > 150


async def test_warming_up_ends_after_five_seconds_and_says_that_it_did_not_settle() -> None:
    measurement = await measured({"a": 400 * MILLISECOND, "b": 700 * MILLISECOND}, settings())
    assert not measurement.warm_up.settled
    assert measurement.warm_up.duration_s < 5 + 0.7


async def test_a_cancelled_measuring_keeps_its_whole_blocks() -> None:
    clock = ScriptedClock()
    task: asyncio.Task[Measurement]

    def latency_ns(number: int) -> int:
        if number == 100 + 10 * 7 + 3:
            task.cancel()
        return MILLISECOND

    class Yielding(ScriptedVariant):
        async def call(self) -> Outcome:
            outcome = await super().call()
            await asyncio.sleep(0)
            return outcome

    script = Yielding(clock, latency_ns)
    task = asyncio.create_task(measure([(Entry("a", Role.BASELINE), script)], settings(), clock))
    measurement = await task
    assert measurement.stop_reason is StopReason.INTERRUPTED
    assert measurement.block_count == 7
    assert {sample.block for sample in measurement.samples} == set(range(7))


async def test_progress_tells_blocks_and_the_intervals_of_the_last_look() -> None:
    seen: list[Progress] = []
    clock = ScriptedClock()
    variants = [(entry, ScriptedVariant(clock, lambda n: MILLISECOND)) for entry in entries("b")]
    await measure(variants, settings(), clock, seen.append)
    assert [progress.block_count for progress in seen if not progress.warming_up] == list(range(1, 21))
    assert seen[-2].intervals == {}
    assert set(seen[-1].intervals) == {"b"}


async def test_workers_of_a_closed_loop_make_their_calls_at_once() -> None:
    clock = ScriptedClock()

    class Sleeping(ScriptedVariant):
        async def call(self) -> Outcome:
            self.called.append(self.clock.now_ns())
            await self.clock.sleep_until_ns(self.clock.now_ns() + 100)
            return Outcome()

    script = Sleeping(clock, lambda n: 0)
    run = await clock.drive(ClosedLoop(calls=3, drop=1, concurrency=4).run(script, clock))
    assert Counter(script.called) == {0: 4, 100: 4, 200: 4}
    assert run.dropped_count == 4
    assert [timing.start_ns for timing in run.timings[: run.dropped_count]] == [0] * 4


class StallingServer(ScriptedVariant):
    """Answers in 1 ms, but nothing in the first 250 ms of each second."""

    async def call(self) -> Outcome:
        now_ns = self.clock.now_ns()
        self.called.append(now_ns)
        until_ns = max(now_ns, now_ns // 10**9 * 10**9 + 250 * MILLISECOND) + MILLISECOND
        await self.clock.sleep_until_ns(until_ns)
        return Outcome()


async def test_an_open_loop_counts_from_the_intended_start_and_sees_the_stall_that_a_closed_one_hides() -> None:
    clock = ScriptedClock()
    opened = await clock.drive(OpenLoop(200).run(StallingServer(clock, lambda n: 0), clock))
    latencies = sorted(timing.end_ns - timing.intended_ns for timing in opened.timings)
    assert len(latencies) == 200
    assert latencies[-2] > 200 * MILLISECOND  # p99 of 200

    clock = ScriptedClock()
    closed = await clock.drive(ClosedLoop(200).run(StallingServer(clock, lambda n: 0), clock))
    latencies = sorted(timing.end_ns - timing.start_ns for timing in closed.timings)
    assert latencies[-2] == MILLISECOND


async def test_an_open_loop_starts_no_more_than_may_be_in_flight() -> None:
    clock = ScriptedClock()

    class Stuck(ScriptedVariant):
        async def call(self) -> Outcome:
            await self.clock.sleep_until_ns(10**10)
            return Outcome()

    run = await clock.drive(OpenLoop(100, max_in_flight=8).run(Stuck(clock, lambda n: 0), clock))
    assert (len(run.timings), run.planned_count) == (8, 100)
    assert run.pace_ratio == pytest.approx(0.08)


async def test_an_open_loop_notices_a_server_that_finishes_slower_than_calls_start() -> None:
    clock = ScriptedClock()

    class OneAtATime(ScriptedVariant):
        free_ns = 0

        async def call(self) -> Outcome:
            self.free_ns = max(self.free_ns, self.clock.now_ns()) + 10 * MILLISECOND
            await self.clock.sleep_until_ns(self.free_ns)
            return Outcome()

    run = await clock.drive(OpenLoop(200).run(OneAtATime(clock, lambda n: 0), clock))
    assert run.pace_ratio == pytest.approx(0.5, abs=0.01)


async def test_a_constant_long_latency_is_no_lack_of_pace() -> None:
    clock = ScriptedClock()

    class Slow(ScriptedVariant):
        async def call(self) -> Outcome:
            await self.clock.sleep_until_ns(self.clock.now_ns() + 400 * MILLISECOND)
            return Outcome()

    run = await clock.drive(OpenLoop(200).run(Slow(clock, lambda n: 0), clock))
    assert run.pace_ratio == pytest.approx(1.0)
