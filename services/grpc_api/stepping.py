"""Runs coroutines that never suspend, in the thread that calls: no event loop, no task."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Generator
from typing import TypeVar

Result = TypeVar("Result")


class SuspendedError(RuntimeError):
    """A coroutine waited for an event loop where there is none."""


def finish(work: Awaitable[Result]) -> Result:
    """Run `work` to its end and return what it gives; what it waits for must block instead of suspending.

    Raises what it raises, and SuspendedError if it suspends all the same.
    """
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: Result = end.value
        return result
    if isinstance(steps, Generator):
        steps.close()
    raise SuspendedError(f"{work!r} waits for an event loop, and the synchronous API has none")


def responses_of(generator: AsyncGenerator[Result, None]) -> Generator[Result, None, None]:
    """Give what an asynchronous generator gives; it is closed when this one is."""
    try:
        while True:
            try:
                response = finish(anext(generator))
            except StopAsyncIteration:
                return
            yield response
    finally:
        finish(generator.aclose())
