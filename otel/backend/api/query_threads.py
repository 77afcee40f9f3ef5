"""How a query reaches the store: in a few threads of its own, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from starlette.requests import Request

from otel.backend.ports import TelemetryStore

# More would only compete for the interpreter's lock.
QUERY_THREADS = 4

P = ParamSpec("P")
T = TypeVar("T")


class Asking:
    """The store as the query routes see it: `await asking(function, …)` runs `function` in a query thread."""

    def __init__(self, store: TelemetryStore) -> None:
        self.store = store
        self._threads = ThreadPoolExecutor(QUERY_THREADS, thread_name_prefix="store-query")

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` in a query thread and return what it returns."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Let running queries end; no more may follow."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def asking_of(request: Request) -> Asking:
    """Return the application's `Asking`."""
    asking = request.app.state.asking
    assert isinstance(asking, Asking)
    return asking
