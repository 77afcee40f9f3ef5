"""Runs a client's calls to their end, or to a signal: then they are cancelled in order, and their spans still end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

T = TypeVar("T")

_ENDING: Final = ("SIGTERM", "SIGHUP")


def run_until_signal(calls: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a new event loop.

    SIGTERM and SIGHUP cancel it, and SystemExit with 128 + the signal's number comes once it has ended; Ctrl-C works as
    in asyncio.run. Where a loop takes no signals (Windows, another thread) they are left as they are.
    """
    received: list[int] = []

    async def run() -> T:
        task = asyncio.current_task()
        assert task is not None

        def end(number: int) -> None:
            received.append(number)
            task.cancel()

        loop = asyncio.get_running_loop()
        for number in numbers:
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, end, number)
        return await calls

    numbers = [signal.Signals[name] for name in _ENDING if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        if received:
            raise SystemExit(128 + received[0]) from None
        raise
    finally:
        for number, handler in before.items():
            with suppress(ValueError, TypeError):  # not the main thread; a handler that Python did not set
                signal.signal(number, handler)
