"""When a server may be stopped: quiet ends a wait, noise and a late look do not, and the bound always does."""

from __future__ import annotations

import pytest

from services.drain import QUIET_S, TICK_S, QuietWait, Traffic, WaitBound

ONE_SECOND = WaitBound(1.0, 1.0)


class HandWoundClock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def ticks_until_over(wait: QuietWait, clock: HandWoundClock, traffic: Traffic, noisy_ticks: int = 0) -> int:
    for tick in range(10_000):
        if wait.is_over():
            return tick
        clock.now_s += TICK_S
        if tick < noisy_ticks:
            traffic.note()
    raise AssertionError("the wait is never over")


def test_a_server_that_has_been_quiet_need_not_wait() -> None:
    clock = HandWoundClock()
    traffic = Traffic(clock)
    clock.now_s += 2 * QUIET_S
    assert QuietWait(traffic, ONE_SECOND, clock).is_over()


def test_a_wait_is_over_when_the_last_call_is_a_moment_ago() -> None:
    clock = HandWoundClock()
    traffic = Traffic(clock)
    quiet_ticks = round(QUIET_S / TICK_S)
    assert ticks_until_over(QuietWait(traffic, ONE_SECOND, clock), clock, traffic, noisy_ticks=7) in {
        7 + quiet_ticks,
        8 + quiet_ticks,  # the sum of ticks may fall short of the moment by a rounding
    }


def test_a_wait_in_which_calls_are_on_their_way_to_a_handler_begins_anew_with_each_look() -> None:
    clock = HandWoundClock()
    wait = QuietWait(Traffic(clock), ONE_SECOND, clock)
    looks_s: list[float] = []

    def unseen_count() -> int:
        looks_s.append(clock.now_s)
        return 2 - len(looks_s)

    while not wait.is_over(unseen_count):
        clock.now_s += TICK_S
    assert len(looks_s) == 2
    assert looks_s[1] - looks_s[0] >= QUIET_S


def test_calls_that_never_come_keep_a_server_no_longer_than_the_whole() -> None:
    clock = HandWoundClock()
    wait = QuietWait(Traffic(clock), WaitBound(awake_s=0.5, elapsed_s=1.0), clock)
    while not wait.is_over(lambda: 1):
        clock.now_s += TICK_S
    assert 101.0 <= clock.now_s <= 101.0 + 2 * TICK_S


def test_a_wait_under_calls_without_end_is_over_at_its_bound() -> None:
    clock = HandWoundClock()
    traffic = Traffic(clock)
    wait = QuietWait(traffic, ONE_SECOND, clock)
    ticks_until_over(wait, clock, traffic, noisy_ticks=10_000)
    assert 101.0 <= clock.now_s <= 101.0 + 2 * TICK_S


def test_a_look_that_comes_late_is_no_quiet_because_what_came_in_meanwhile_was_not_seen() -> None:
    clock = HandWoundClock()
    wait = QuietWait(Traffic(clock), ONE_SECOND, clock)
    clock.now_s += 2 * QUIET_S
    assert not wait.is_over()


def test_time_that_the_process_did_not_get_counts_only_towards_the_whole() -> None:
    clock = HandWoundClock()
    wait = QuietWait(Traffic(clock), WaitBound(awake_s=1.0, elapsed_s=60.0), clock)
    for _ in range(20):
        clock.now_s += 1.0
        assert not wait.is_over()


def test_a_process_that_gets_hardly_any_time_waits_no_longer_than_the_whole() -> None:
    clock = HandWoundClock()
    wait = QuietWait(Traffic(clock), WaitBound(awake_s=1.0, elapsed_s=10.0), clock)
    clock.now_s += 10.0
    assert wait.is_over()


@pytest.mark.parametrize("grace_s", [0.0, 0.1, 1.0, 5.0, 60.0])
def test_most_of_the_grace_is_left_to_the_calls_in_hand(grace_s: float) -> None:
    bound = WaitBound.within(grace_s, awake_s=0.5)
    assert bound.awake_s <= bound.elapsed_s <= grace_s / 4
