"""Calls look before their deadlines, and some of them by one timer."""

from __future__ import annotations

import asyncio
from typing import Any

from otel.instrument.aio.deadline_watch import STEP_S, DeadlineWatch


class Call:
    """Notes when it looked."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.looked_s: list[float] = []

    def deadline_is_near(self) -> None:
        self.looked_s.append(self._loop.time())


class CountingLoop:
    """A loop's clock, standing still, and its timers."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, Any]] = []

    def time(self) -> float:
        return 100.0

    def call_at(self, when_s: float, callback: Any, *arguments: Any, context: Any) -> None:
        assert len(context) == 0
        self.timers.append((when_s, lambda: callback(*arguments)))


def test_calls_that_are_due_together_share_a_timer_that_is_early_by_less_than_a_step() -> None:
    watch, loop = DeadlineWatch(), CountingLoop()
    any_loop: Any = loop
    calls = [Call(any_loop) for _ in range(3)]

    for call, look_in_s in zip(calls, (5.001, 5.009, 6.0), strict=True):
        watch.add(any_loop, look_in_s, call)

    assert len(loop.timers) == 2
    assert 0.0 <= 105.001 - loop.timers[0][0] < STEP_S
    for _, look in loop.timers:
        look()
    assert [call.looked_s for call in calls] == [[100.0]] * 3


def test_a_call_that_has_left_does_not_look() -> None:
    watch, loop = DeadlineWatch(), CountingLoop()
    any_loop: Any = loop
    gone, there = Call(any_loop), Call(any_loop)

    due = watch.add(any_loop, 5.0, gone)
    watch.add(any_loop, 5.0, there)
    due.discard(gone)
    loop.timers[0][1]()

    assert (gone.looked_s, there.looked_s) == ([], [100.0])


async def test_a_look_comes_before_its_moment() -> None:
    loop = asyncio.get_running_loop()
    call, begun_s = Call(loop), loop.time()
    DeadlineWatch().add(loop, 0.05, call)
    while not call.looked_s:
        await asyncio.sleep(0)
    assert call.looked_s[0] >= begun_s + 0.05 - 2 * STEP_S
