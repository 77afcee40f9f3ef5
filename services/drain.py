"""When a server may be stopped so that no call is lost: the rules, apart from asyncio or threads.

gRPC's core ends CANCELLED what its transport has taken and no handler has begun when the server is stopped, and also
what arrives between the stop and the client's notice of it (its GOAWAY). So a server is stopped only when nothing is
on its way to a handler, and that is made true rather than hoped for:

1. LAME_DUCK: health says NOT_SERVING, so that callers who ask leave. Calls are served as before.
2. CLOSING: no new call begins, and no call that has ended is answered: both are held. A caller that waits for its
   answer sends nothing, so after a moment nothing comes in any more. That moment is when the server may be stopped. It
   lies in this phase, because a process that was held up had quiet before it too, and callers; and it has not come
   while core has more calls than came in here: a thread between the two may be held up alone.
3. STOPPED: the stop has begun, its GOAWAY is on every connection. Answers now follow it on the wire, so a caller
   learns that the server is gone before it learns how its call ended, and its next call goes elsewhere.

A held call that never began ends UNAVAILABLE; one that had ended gets the answer that it earned.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from dataclasses import dataclass

# A caller's next call is here within this time of its last answer: a round trip, and a busy caller's own work.
QUIET_S = 0.15
# Of the time that a stop may take, each of the two waits gets no more than this share. On a machine that is too busy
# for this process, time that it did not get does not count towards the bounds below, but towards this one.
WAIT_SHARE = 0.25
LONGEST_LAME_DUCK_S = 0.5
LONGEST_CLOSING_S = 0.5
# A loop or thread that wakes later than this was busy: what came in meanwhile was not seen yet.
LATE_S = 0.01
TICK_S = 0.005


class Phase(enum.Enum):
    """How far a server's stop has come."""

    SERVING = enum.auto()
    LAME_DUCK = enum.auto()
    CLOSING = enum.auto()
    STOPPED = enum.auto()


@dataclass(frozen=True, slots=True)
class WaitBound:
    """How long a wait for quiet may last: `awake_s` of time in which this process ran, `elapsed_s` in all."""

    awake_s: float
    elapsed_s: float

    @classmethod
    def within(cls, grace_s: float, awake_s: float) -> WaitBound:
        """Return a bound that leaves most of `grace_s` to the calls in hand."""
        elapsed_s = grace_s * WAIT_SHARE
        return cls(min(awake_s, elapsed_s), elapsed_s)


class Traffic:
    """When a call last came in or was answered, on `clock` (seconds); one thread, or under its owner's lock."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_s = clock()

    def note(self) -> None:
        """Take note that a call came in, or that an answer went out, to which the next call may follow."""
        self._last_s = self._clock()

    def quiet_for_s(self) -> float:
        """Return how long nothing has happened."""
        return self._clock() - self._last_s


class QuietWait:
    """One wait for quiet: ask `is_over` after each tick of `TICK_S` that was slept."""

    def __init__(self, traffic: Traffic, bound: WaitBound, clock: Callable[[], float] = time.monotonic) -> None:
        self._traffic = traffic
        self._clock = clock
        self._ticked_s = clock()
        self._awake_until_s = bound.awake_s
        self._until_s = self._ticked_s + bound.elapsed_s
        self._awake_s = 0.0

    def is_over(self, unseen_count: Callable[[], int] = lambda: 0) -> bool:
        """Tell whether it has been quiet for `QUIET_S`, or the bound is reached.

        `unseen_count` says how many calls are on their way to a handler; it is asked where all else is quiet. While
        there are any, the bound on time in which this process ran is none: each of them would be lost.
        """
        now_s = self._clock()
        tick_s = now_s - self._ticked_s
        if tick_s > TICK_S + LATE_S:
            self._traffic.note()
        self._ticked_s = now_s
        self._awake_s += min(tick_s, TICK_S + LATE_S)
        if now_s >= self._until_s:
            return True
        if self._awake_s < self._awake_until_s and self._traffic.quiet_for_s() < QUIET_S:
            return False
        if unseen_count() <= 0:
            return True
        self._traffic.note()
        return False
