"""What a service asks of the API that it is served by: ways to wait, to do things side by side, a server, channels."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias, TypeVar

import grpc

from otel.instrument import Telemetry
from services.behaviors import Context
from services.options import ApiName

ChannelOptions: TypeAlias = Sequence[tuple[str, str | int]]

Result = TypeVar("Result")


class Event(Protocol):
    """Something that happens once, or again after `clear`."""

    def set(self) -> None:
        """Let everybody who waits go on."""

    def clear(self) -> None:
        """Let those who come from now on wait."""

    async def wait(self) -> Any:
        """Wait until it is set; raises CancelledError if the call that waits is over first."""


class StopRequest(Protocol):
    """What asks a service to stop."""

    def ask(self) -> None:
        """Ask, from any thread."""

    async def wait(self) -> Any:
        """Wait until somebody asked."""


class Background(Protocol):
    """Work that goes on beside a call."""

    async def cancel(self) -> None:
        """End it, where that can be done; in a thread it ends with its call."""


class Api(Protocol):
    """One of the two APIs. What a method awaits may suspend on an event loop only where `name` is `aio`."""

    @property
    def name(self) -> ApiName:
        """What it is called on a command line."""

    def event(self) -> Event:
        """Make an event."""

    async def wait(self, event: Event, timeout_s: float | None) -> None:
        """Wait for an event, at most so long (None: for ever). Raises CancelledError as `Event.wait` does."""

    async def sleep(self, delay_s: float) -> None:
        """Wait so long. Raises CancelledError as `Event.wait` does."""

    def is_cancelled(self, context: Context) -> bool:
        """Tell whether a call is over, cut short, although its handler goes on."""

    async def gather(self, works: Sequence[Callable[[], Awaitable[Result]]], limit: int) -> list[Result]:
        """Do all works, `limit` at once, and return what they gave, in their order.

        The first failure is raised; what has not begun then never does.
        """

    def start(self, work: Coroutine[Any, Any, None], name: str) -> Background:
        """Start work beside the call, in its context."""

    def server(
        self,
        telemetry: Telemetry,
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        channel_options: ChannelOptions,
        max_concurrent_calls: int,
    ) -> grpc.aio.Server:
        """Make a traced server that takes handlers written for grpc.aio."""

    async def begin_stop(self, server: grpc.aio.Server, grace_s: float) -> Awaitable[Any]:
        """Begin to stop a server of this API; when this returns core's shutdown has begun. Await the rest."""

    def channel(
        self,
        telemetry: Telemetry,
        address: str,
        channel_options: ChannelOptions,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        forwards_faults: bool,
    ) -> grpc.aio.Channel:
        """Open a traced channel for stubs with the faces of grpc.aio, in the clear without `credentials`.

        `forwards_faults` where no tracing does.
        """

    def stop_request(self) -> AbstractAsyncContextManager[StopRequest]:
        """Hear stop signals while the block runs. Main thread only."""

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run a service to its end."""
