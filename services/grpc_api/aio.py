"""grpc.aio: one event loop, one task for each call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import grpc

from otel.instrument import Telemetry
from services.behaviors import Context
from services.fault_forwarding import fault_forwarders
from services.grpc_api.ports import Background, ChannelOptions, Event, StopRequest
from services.options import ApiName
from services.stopping import stop_signals

Result = TypeVar("Result")


class AioApi:
    """Fulfils `Api` by asyncio. Holds nothing; what it makes belongs to the running loop."""

    name: ApiName = "aio"

    def event(self) -> asyncio.Event:
        """Fulfil `Api.event`."""
        return asyncio.Event()

    async def wait(self, event: Event, timeout_s: float | None) -> None:
        """Fulfil `Api.wait`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await event.wait()

    async def sleep(self, delay_s: float) -> None:
        """Fulfil `Api.sleep`."""
        await asyncio.sleep(delay_s)

    def is_cancelled(self, context: Context) -> bool:  # noqa: ARG002 - the task knows
        """Fulfil `Api.is_cancelled`."""
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    async def gather(self, works: Sequence[Callable[[], Awaitable[Result]]], limit: int) -> list[Result]:
        """Fulfil `Api.gather`; the first failure cancels the others."""
        room = asyncio.Semaphore(limit)

        async def in_turn(work: Callable[[], Awaitable[Result]]) -> Result:
            async with room:
                return await work()

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(in_turn(work)) for work in works]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    def start(self, work: Coroutine[Any, Any, None], name: str) -> Background:
        """Fulfil `Api.start`."""
        return _Task(asyncio.create_task(work, name=name))

    def server(
        self,
        telemetry: Telemetry,
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        channel_options: ChannelOptions,
        max_concurrent_calls: int,  # noqa: ARG002 - a call in hand takes no thread here
    ) -> grpc.aio.Server:
        """Fulfil `Api.server`."""
        return telemetry.server(interceptors=interceptors, options=channel_options)

    async def begin_stop(self, server: grpc.aio.Server, grace_s: float) -> Awaitable[None]:
        """Fulfil `Api.begin_stop`."""
        stopping = asyncio.create_task(server.stop(grace_s), name="stop-server")
        await asyncio.sleep(0)  # the task was made before this, so its first step, core's shutdown, runs first
        return stopping

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
        interceptors = fault_forwarders() if forwards_faults else ()
        return telemetry.channel(address, credentials, options=channel_options, interceptors=interceptors)

    @asynccontextmanager
    async def stop_request(self) -> AsyncIterator[StopRequest]:
        """Fulfil `Api.stop_request`."""
        async with stop_signals() as stop:
            yield _EventRequest(stop, asyncio.get_running_loop())

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Fulfil `Api.run`."""
        asyncio.run(main)


class _Task:
    """A task as `Background`."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    async def cancel(self) -> None:
        """Cancel it and wait for its end."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


class _EventRequest:
    """An event of the loop as `StopRequest`."""

    def __init__(self, stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
        self._stop = stop
        self._loop = loop

    def ask(self) -> None:
        """Set the event."""
        with suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)

    async def wait(self) -> None:
        """Wait for the event."""
        await self._stop.wait()


AIO = AioApi()
