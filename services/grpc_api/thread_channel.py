"""A synchronous channel with the face of grpc.aio's: what is awaited of its calls blocks the thread.

A thread in a blocking call cannot be woken, but no call begins for one that is over: who works for nobody ends there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

import grpc

from services.grpc_api.thread_calls import current_call


class ThreadChannel:
    """What generated stubs, and who owns the channel, ask of one. Calls with a stream of requests stay synchronous."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self.stream_unary = channel.stream_unary
        self.stream_stream = channel.stream_stream

    def unary_unary(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        """Return a multi-callable whose answer is awaited."""
        multi_callable = self._channel.unary_unary(*arguments, **options)

        async def call(request: Any, **details: Any) -> Any:
            _check_wanted()
            return multi_callable(request, **details)

        return call

    def unary_stream(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        """Return a multi-callable whose answers are iterated asynchronously."""
        multi_callable = self._channel.unary_stream(*arguments, **options)

        def call(request: Any, **details: Any) -> _Responses:
            _check_wanted()
            return _Responses(multi_callable(request, **details))

        return call

    async def close(self) -> None:
        """Close the channel; calls that it has in flight end CANCELLED."""
        self._channel.close()


def _check_wanted() -> None:
    served = current_call.get()
    if served is not None and served.is_over:
        raise asyncio.CancelledError


class _Responses:
    """A call whose answers are a stream."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._call)
        except StopIteration:
            raise StopAsyncIteration from None

    def cancel(self) -> None:
        """End the call, if it has not."""
        self._call.cancel()
