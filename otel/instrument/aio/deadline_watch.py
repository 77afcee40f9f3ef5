"""Looks after the calls of a server shortly before their deadlines: once for all that are due at about the same time.

A timer of one's own for each call, which nearly always ends long before, is the dearest part of following its ending.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import Final, Protocol

# Some calls share a look, which comes a fifth of a deadline's slack early at most.
STEP_S: Final = 0.01


class WatchedCall(Protocol):
    """A call that wants to look once more before its deadline."""

    def deadline_is_near(self) -> None:
        """Take that look."""


class DeadlineWatch:
    """Calls by the moment of their look, in steps; belongs to one event loop, keeps no call that has left its set."""

    def __init__(self) -> None:
        self._due: dict[int, set[WatchedCall]] = {}

    def add(self, loop: asyncio.AbstractEventLoop, look_in_s: float, call: WatchedCall) -> set[WatchedCall]:
        """Let `call` look in `look_in_s`, or up to a step before; return the set that it leaves when it has ended."""
        step = int((loop.time() + look_in_s) / STEP_S)
        due = self._due.get(step)
        if due is None:
            due = self._due[step] = set()
            # An empty context: a timer stays in its loop for long, and would hold the call in whose context it began.
            loop.call_at(step * STEP_S, self._look, step, context=contextvars.Context())
        due.add(call)
        return due

    def _look(self, step: int) -> None:
        for call in self._due.pop(step):
            call.deadline_is_near()
