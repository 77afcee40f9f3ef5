"""A call in its thread: whatever waits there is woken when the call is over, as a cancelled task would be."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import grpc

# gRPC runs each RPC in a context of its own, so what is set there is seen by that call alone, and by what it starts.
current_call: ContextVar[ThreadCall | None] = ContextVar("tracelab_thread_call", default=None)
# Without a deadline gRPC says that 9.2e18 s are left.
NO_DEADLINE_S = 1e9


class ThreadCall:
    """Whether one call is over, and who is to be woken then; safe in any thread."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context: grpc.ServicerContext | None = context
        self._lock = threading.Lock()
        self._waiting: set[threading.Event] = set()
        self._is_watched = False

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for its answer any more."""
        context = self._context
        return context is None or not context.is_active()

    def end(self) -> None:
        """Let go of gRPC's side, which holds this in turn: core would keep the call until both are collected."""
        self._context = None

    def wake_at_end(self, waiter: threading.Event) -> None:
        """Set `waiter` when the call is over; at once if it is. gRPC is asked to tell at the first of them only."""
        context = self._context
        with self._lock:
            self._waiting.add(waiter)
            is_first, self._is_watched = not self._is_watched, True
        if context is None or (is_first and not context.add_callback(self._wake)) or self.is_over:
            self._wake()

    def forget(self, waiter: threading.Event) -> None:
        """No longer set `waiter`."""
        with self._lock:
            self._waiting.discard(waiter)

    def _wake(self) -> None:
        with self._lock:
            for waiter in self._waiting:
                waiter.set()


class ThreadEvent:
    """An event that blocks the thread that waits for it; safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[threading.Event] = set()
        self._is_set = False

    def set(self) -> None:
        """Fulfil `Event.set`."""
        with self._lock:
            self._is_set = True
            for waiter in self._waiting:
                waiter.set()

    def clear(self) -> None:
        """Fulfil `Event.clear`."""
        with self._lock:
            self._is_set = False

    async def wait(self) -> None:
        """Fulfil `Event.wait`."""
        self.block(None)

    def block(self, timeout_s: float | None) -> None:
        """Block until it is set, at most `timeout_s`. Raises CancelledError if the thread's call is over first."""
        waiter = threading.Event()
        with self._lock:
            if self._is_set:
                return
            self._waiting.add(waiter)
        call = current_call.get()
        if call is not None:
            call.wake_at_end(waiter)
        try:
            waiter.wait(timeout_s)
        finally:
            with self._lock:
                self._waiting.discard(waiter)
            if call is not None:
                call.forget(waiter)
        if call is not None and call.is_over:
            raise asyncio.CancelledError


class ThreadContext:
    """gRPC's context of a call with the face that it has on grpc.aio, as far as services use it."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def time_remaining(self) -> float | None:
        """Return the seconds that are left, None without a deadline."""
        left_s = self._context.time_remaining()
        return None if left_s is None or left_s > NO_DEADLINE_S else left_s

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> None:
        """End the call; raises AbortError."""
        if trailing_metadata:
            self._context.set_trailing_metadata(trailing_metadata)
        try:
            self._context.abort(code, details)
        except Exception as error:  # gRPC raises a bare one
            raise grpc.aio.AbortError("aborted") from error

    async def abort_with_status(self, status: grpc.Status) -> None:
        """End the call with a whole status; raises AbortError."""
        try:
            self._context.abort_with_status(status)
        except Exception as error:  # gRPC raises a bare one
            raise grpc.aio.AbortError("aborted") from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)
