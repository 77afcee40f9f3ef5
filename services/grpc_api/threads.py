"""The synchronous API: `grpc.server` with its pool of threads, one for each call, and blocking channels.

The pool has a thread for every call that admission lets in, so no call waits for one where nobody could see it, and
`STREAM_THREADS` more: a stream that the service sends holds its thread as long as it lasts.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from typing import Any, TypeVar, cast

import grpc

from otel.instrument import Telemetry
from otel.instrument.runtime_metrics import MeasuredThreadPool
from services.behaviors import Context
from services.fault_forwarding import sync_fault_forwarders
from services.grpc_api.ports import Background, ChannelOptions, Event, StopRequest
from services.grpc_api.stepping import finish
from services.grpc_api.thread_calls import ThreadEvent
from services.grpc_api.thread_channel import ThreadChannel
from services.grpc_api.thread_handlers import ThreadInterceptor
from services.options import ApiName
from services.stopping import blocking_stop_signals

STREAM_THREADS = 128
SIDE_THREADS = 64  # for what calls do side by side, all of them together

Result = TypeVar("Result")


class ThreadServer:
    """A `grpc.server` with the face of grpc.aio's, as far as a service uses it. Owns its pool."""

    def __init__(self, server: grpc.Server, pool: ThreadPoolExecutor) -> None:
        self.server = server
        self.pool = pool
        self.add_generic_rpc_handlers = server.add_generic_rpc_handlers
        self.add_registered_method_handlers = server.add_registered_method_handlers
        self.add_insecure_port = server.add_insecure_port
        self.add_secure_port = server.add_secure_port

    async def start(self) -> None:
        """Take calls."""
        self.server.start()


class ThreadApi:
    """Fulfils `Api` by threads; safe in any of them."""

    name: ApiName = "sync"

    def __init__(self) -> None:
        self._side_pool = ThreadPoolExecutor(SIDE_THREADS, thread_name_prefix="side-by-side")

    def event(self) -> ThreadEvent:
        """Fulfil `Api.event`."""
        return ThreadEvent()

    async def wait(self, event: Event, timeout_s: float | None) -> None:
        """Fulfil `Api.wait`."""
        cast("ThreadEvent", event).block(timeout_s)

    async def sleep(self, delay_s: float) -> None:
        """Fulfil `Api.sleep`."""
        ThreadEvent().block(delay_s)

    def is_cancelled(self, context: Context) -> bool:
        """Fulfil `Api.is_cancelled`."""
        return not cast("grpc.ServicerContext", context).is_active()

    async def gather(self, works: Sequence[Callable[[], Awaitable[Result]]], limit: int) -> list[Result]:
        """Fulfil `Api.gather`; what has begun is waited for: a thread can't be cancelled."""
        results: dict[int, Result] = {}
        waiting = iter(enumerate(works))
        failures: list[BaseException] = []
        lock = threading.Lock()
        workers = [
            self._side_pool.submit(copy_context().run, _work_through, waiting, results, failures, lock)
            for _ in range(min(limit, len(works)))
        ]
        wait(workers)
        if failures:
            raise failures[0]
        return [results[number] for number in range(len(works))]

    def start(self, work: Coroutine[Any, Any, None], name: str) -> Background:
        """Fulfil `Api.start`."""
        threading.Thread(target=copy_context().run, args=(_finish_or_leave, work), name=name, daemon=True).start()
        return _Thread()

    def server(
        self,
        telemetry: Telemetry,
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        channel_options: ChannelOptions,
        max_concurrent_calls: int,
    ) -> grpc.aio.Server:
        """Fulfil `Api.server`."""
        size = max_concurrent_calls + STREAM_THREADS
        is_measured = telemetry.settings.runtime_metrics
        pool = MeasuredThreadPool(telemetry.meter, size, "call") if is_measured else ThreadPoolExecutor(size, "call")
        traced = [*telemetry.sync.server_interceptors(), ThreadInterceptor(interceptors)]
        server = grpc.server(pool, interceptors=traced, options=list(channel_options))
        return cast("grpc.aio.Server", ThreadServer(server, pool))

    async def begin_stop(self, server: grpc.aio.Server, grace_s: float) -> Awaitable[None]:
        """Fulfil `Api.begin_stop`."""
        own = cast("ThreadServer", server)
        stopped = own.server.stop(grace_s)

        async def rest() -> None:
            stopped.wait()
            own.pool.shutdown(wait=False)

        return rest()

    def channel(
        self,
        telemetry: Telemetry,
        address: str,
        channel_options: ChannelOptions,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        forwards_faults: bool,
    ) -> grpc.aio.Channel:
        """Fulfil `Api.channel`."""
        interceptors = sync_fault_forwarders() if forwards_faults else ()
        channel = telemetry.sync.channel(address, credentials, options=channel_options, interceptors=interceptors)
        return cast("grpc.aio.Channel", ThreadChannel(channel))

    @asynccontextmanager
    async def stop_request(self) -> AsyncIterator[StopRequest]:
        """Fulfil `Api.stop_request`."""
        with blocking_stop_signals() as stop:
            yield stop

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Fulfil `Api.run`."""
        try:
            finish(main)
        finally:
            self._side_pool.shutdown(wait=False)


def _work_through(
    waiting: Iterator[tuple[int, Callable[[], Awaitable[Result]]]],
    results: dict[int, Result],
    failures: list[BaseException],
    lock: threading.Lock,
) -> None:
    """Take one work after the other until there is none, or one has failed."""
    while not failures:
        with lock:
            number, work = next(waiting, (-1, None))
        if work is None:
            return
        try:
            results[number] = finish(work())
        except BaseException as error:  # whatever it is, the call's own thread shall raise it
            failures.append(error)


def _finish_or_leave(work: Coroutine[Any, Any, None]) -> None:
    with suppress(asyncio.CancelledError):  # its call is over
        finish(work)


class _Thread:
    """A thread as `Background`: it reads what its call is sent, and so ends with it."""

    async def cancel(self) -> None:
        """Leave it."""
