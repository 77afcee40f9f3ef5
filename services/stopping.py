"""When to stop: SIGTERM, Ctrl-C and, on Windows, Ctrl-Break become one event of the event loop, or
what a main thread without a loop waits for.

The first signal asks for a graceful stop; the second ends the process at once with exit code 130. The end of standard
input can ask for a stop as well: a process that a parent holds by a pipe so outlives no parent, however that died.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from queue import Empty, SimpleQueue
from types import FrameType

EXIT_INTERRUPTED = 130
# A Windows event loop that waits for the network does not see a signal before it wakes (grpc#26887).
WAKE_INTERVAL_S = 0.2

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name))


@asynccontextmanager
async def stop_signals() -> AsyncIterator[asyncio.Event]:
    """Yield an event that the first stop signal sets; the handlers that were there come back afterwards.

    Main thread only, as Python handles signals nowhere else.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(EXIT_INTERRUPTED)
        stop.set()

    try:
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, on_signal)
    except NotImplementedError:
        async with _signals_without_loop_support(loop, on_signal):
            yield stop
        return
    try:
        yield stop
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


@contextmanager
def blocking_stop_signals() -> Iterator[SignalQueue]:
    """Yield what the first stop signal asks, without an event loop; the handlers that were there come back afterwards.

    Main thread only, as Python handles signals nowhere else.
    """
    queue = SignalQueue()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if queue.was_asked:
            os._exit(EXIT_INTERRUPTED)
        queue.ask()

    before = {number: signal.signal(number, on_signal) for number in STOP_SIGNALS}
    try:
        yield queue
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class SignalQueue:
    """A wish to stop that a signal handler may utter while the same thread waits for it: a simple queue allows that."""

    def __init__(self) -> None:
        self._asked: SimpleQueue[None] = SimpleQueue()
        self.was_asked = False

    def ask(self) -> None:
        """Ask for a stop."""
        self.was_asked = True
        self._asked.put(None)

    async def wait(self) -> None:
        """Block until somebody asked."""
        while True:
            with suppress(Empty):  # on Windows a thread that waits without end hears no signal
                self._asked.get(timeout=WAKE_INTERVAL_S)
                return


def stop_at_end_of_stdin(ask: Callable[[], None]) -> None:
    """Call `ask` when standard input ends, in a thread of its own; what comes before is ignored."""

    def read_to_the_end() -> None:
        with suppress(OSError):  # closed: that is an end too
            while os.read(0, 1024):
                pass
        ask()

    threading.Thread(target=read_to_the_end, name="end-of-stdin", daemon=True).start()


@asynccontextmanager
async def _signals_without_loop_support(
    loop: asyncio.AbstractEventLoop, on_signal: Callable[[], None]
) -> AsyncIterator[None]:
    """Do the same where the loop cannot: on Windows."""

    def from_interpreter(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(on_signal)

    before = {number: signal.signal(number, from_interpreter) for number in STOP_SIGNALS}
    waker = asyncio.create_task(_stay_awake(), name="wake-for-signals")
    try:
        yield
    finally:
        waker.cancel()
        with suppress(asyncio.CancelledError):
            await waker
        for number, handler in before.items():
            signal.signal(number, handler)


async def _stay_awake() -> None:
    while True:  # there is nothing to wait for: waking is the purpose
        await asyncio.sleep(WAKE_INTERVAL_S)
