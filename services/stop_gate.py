"""The gate at which calls are let in, and wait while their server stops, as `services.drain` says.

Stands inside the errors interceptor, so that a refusal is a status with its reason, a line and a span like any other,
and outside the witness and the faults, which see only calls that began.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn, Self

import grpc

from services.admission import Admission
from services.behaviors import CallScope, Context, Continuation, Handler, WrappedHandlers
from services.drain import LONGEST_CLOSING_S, LONGEST_LAME_DUCK_S, TICK_S, Phase, QuietWait, Traffic, WaitBound
from services.errors import UnavailableError
from services.grpc_api.aio import AIO
from services.grpc_api.ports import Api
from services.health import EndingHealthServicer

if TYPE_CHECKING:
    from types import TracebackType

# Health and reflection are answered in every phase; they are counted all the same.
UNGATED_PREFIX = "/grpc."
# A held call keeps at least this share of what is left of its deadline, so that holding never uses it up.
HELD_SHARE = 0.5


class StopGate(grpc.aio.ServerInterceptor):
    """Lets calls pass while the server serves, and holds them while it closes. Belongs to one server of `api`.

    `admission` says which calls may begin while the server serves. `known_count` calls of any method are in the hands
    of handlers, or held here; `held_count` calls wait here now; `refused_count` were never begun, since it closed.
    """

    def __init__(self, admission: Admission, api: Api = AIO) -> None:
        self.admission = admission
        self.lock = threading.Lock()  # for the counts, which many threads may change
        self._api = api
        self._traffic = Traffic()
        self.quiet_for_s = self._traffic.quiet_for_s
        self._phase = Phase.SERVING
        self._stopped = api.event()
        self._wrapped = WrappedHandlers()
        self.known_count = 0
        self.held_count = 0
        self.refused_count = 0

    async def intercept_service(
        self,
        continuation: Continuation,
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Count the call and let its handler wait at the gate."""
        self._traffic.note()
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return None
        if method.startswith(UNGATED_PREFIX):
            return self._wrapped.wrap(method, handler, lambda _context: _Known(self))
        passage = _UncountedPassage if handler.response_streaming else _Passage
        return self._wrapped.wrap(method, handler, lambda context: passage(self, context))

    async def lame_duck(self, bound: WaitBound) -> None:
        """Serve on until nothing comes in any more, or until `bound`."""
        self._phase = Phase.LAME_DUCK
        wait = QuietWait(self._traffic, bound)
        while not wait.is_over():
            await self._api.sleep(TICK_S)

    async def close(self, bound: WaitBound, taken_count: Callable[[], int] = lambda: 0) -> None:
        """Hold what comes in and what ends from now on; return when it is quiet, or at `bound`.

        `taken_count` says how many calls gRPC's core has taken: it is not quiet while it has more than came in here.
        """
        self._phase = Phase.CLOSING
        self._traffic.note()  # what was quiet before may have been this process alone
        wait = QuietWait(self._traffic, bound)
        while not wait.is_over(lambda: taken_count() - self.known_count):
            await self._api.sleep(TICK_S)

    async def stop(self, begin_stop: Callable[[], Awaitable[Awaitable[Any]]], on_stopped: Callable[[], None]) -> None:
        """Stop the server by `begin_stop`; once it has begun with core's shutdown, answer what is held."""
        stopping = await begin_stop()
        self._phase = Phase.STOPPED
        self._stopped.set()
        on_stopped()
        await stopping

    @property
    def is_shut(self) -> bool:
        """Whether no new call begins."""
        return self._phase in {Phase.CLOSING, Phase.STOPPED}

    async def hold(self, context: Context) -> None:
        """Wait until the stop has begun, but never so long that the call's deadline passes here."""
        # Unlike the stub says, grpc.aio gives None where the caller set no deadline.
        left_s: float | None = context.time_remaining()
        with self.lock:
            self.held_count += 1
        try:
            # If that is over first, it is answered before the stop: its caller's next call may still come in.
            await self._api.wait(self._stopped, None if left_s is None else left_s * HELD_SHARE)
        finally:
            with self.lock:
                self.held_count -= 1

    def count_known(self, change: int) -> None:
        """Take note that a call came into Python's hands (1) or left them (-1)."""
        with self.lock:
            self.known_count += change

    def answered(self) -> None:
        """Take note that an answer goes out."""
        self._traffic.note()


async def stop_gracefully(
    server: grpc.aio.Server,
    gate: StopGate,
    health: EndingHealthServicer,
    grace_s: float,
    on_closing: Callable[[], None],
    api: Api = AIO,
    taken_count: Callable[[], int] = lambda: 0,
) -> None:
    """Stop a server as `services.drain` says, within `grace_s` in all; `on_closing` ends what has no end of its own.

    `taken_count` says how many calls gRPC's core has taken and not ended, of any method.
    """
    cut_off_s = time.monotonic() + grace_s
    await health.enter_graceful_shutdown()
    await gate.lame_duck(WaitBound.within(grace_s, LONGEST_LAME_DUCK_S))
    on_closing()
    await gate.close(WaitBound.within(grace_s, LONGEST_CLOSING_S), taken_count)
    await gate.stop(lambda: api.begin_stop(server, max(cut_off_s - time.monotonic(), 0.0)), health.end_watches)


class _Known(CallScope):
    """One call in Python's hands, from its beginning to its end."""

    __slots__ = ("_gate",)

    def __init__(self, gate: StopGate) -> None:
        self._gate = gate

    async def __aenter__(self) -> Self:
        self._gate.count_known(1)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self._gate.count_known(-1)


class _Passage(_Known):
    """One call at the gate: on its way in, and on its way out."""

    __slots__ = ("_context",)

    def __init__(self, gate: StopGate, context: Context) -> None:
        super().__init__(gate)
        self._context = context

    async def __aenter__(self) -> Self:
        self._gate.count_known(1)
        try:
            if self._gate.is_shut:
                await self._refuse()
            self._begin()
        except BaseException:
            self._gate.count_known(-1)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None
    ) -> None:
        self._end()
        try:
            if self._gate.is_shut and not isinstance(error, (asyncio.CancelledError, GeneratorExit)):
                await self._gate.hold(self._context)
        finally:
            self._gate.count_known(-1)
        self._gate.answered()

    async def _refuse(self) -> NoReturn:
        with self._gate.lock:
            self._gate.refused_count += 1
        await self._gate.hold(self._context)
        self._gate.answered()
        raise server_stopping()

    def _begin(self) -> None:
        with self._gate.lock:
            self._gate.admission.begin(self._context.time_remaining())

    def _end(self) -> None:
        with self._gate.lock:
            self._gate.admission.end()


class _UncountedPassage(_Passage):
    """A call whose answers are a stream: it may last as long as its caller likes."""

    __slots__ = ()

    def _begin(self) -> None:
        self._gate.admission.check_deadline(self._context.time_remaining())

    def _end(self) -> None:
        pass


def server_stopping() -> UnavailableError:
    """Say that no call begins here any more."""
    return UnavailableError("SERVER_STOPPING", "the service is stopping and did not begin this call; call again")
