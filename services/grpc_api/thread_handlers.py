"""Handlers that are written for grpc.aio, as `grpc.server` calls them: each runs in the pool thread that calls it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Self, cast

import grpc

from services.behaviors import Context, Continuation, Handler, behavior_of, like
from services.grpc_api.stepping import finish, responses_of
from services.grpc_api.thread_calls import ThreadCall, ThreadContext, current_call


class ThreadInterceptor(grpc.ServerInterceptor):
    """Runs interceptors that are written for grpc.aio, outermost first, and makes the handler synchronous.

    To be the innermost of its server's. gRPC calls it in its serving thread.
    """

    def __init__(self, interceptors: Sequence[grpc.aio.ServerInterceptor]) -> None:
        self._interceptors = tuple(interceptors)
        self._synchronous: dict[str, tuple[Handler, Handler]] = {}

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return what gRPC calls in the pool; an unknown method stays unknown."""

        async def innermost(details: grpc.HandlerCallDetails) -> Handler | None:
            return continuation(details)

        ask: Continuation = innermost
        for interceptor in reversed(self._interceptors):
            ask = partial(interceptor.intercept_service, ask)
        handler = finish(ask(handler_call_details))
        return None if handler is None else self._made_once(handler_call_details.method, handler)

    def _made_once(self, method: str, handler: Handler) -> Handler:
        known = self._synchronous.get(method)
        if known is None or known[0] is not handler:
            known = self._synchronous[method] = (handler, synchronous(handler))
        return known[1]


def synchronous(handler: Handler) -> Handler:
    """Return a handler that does in its thread what `handler` does on an event loop."""
    made = _streaming if handler.response_streaming else _unary
    return like(handler, made(behavior_of(handler), bool(handler.request_streaming)))


def _unary(behavior: Callable[..., Any], has_request_stream: bool) -> Callable[..., Any]:
    def run(request: Any, context: grpc.ServicerContext) -> Any:
        with _call_of(context) as call:
            return finish(behavior(*_arguments(request, context, call, has_request_stream)))

    return run


def _streaming(behavior: Callable[..., Any], has_request_stream: bool) -> Callable[..., Any]:
    def run(request: Any, context: grpc.ServicerContext) -> Generator[Any, None, None]:
        with _call_of(context) as call:
            yield from responses_of(behavior(*_arguments(request, context, call, has_request_stream)))

    return run


@contextmanager
def _call_of(context: grpc.ServicerContext) -> Iterator[ThreadCall]:
    call = ThreadCall(context)
    current_call.set(call)
    try:
        yield call
    finally:
        call.end()


def _arguments(
    request: Any, context: grpc.ServicerContext, call: ThreadCall, has_request_stream: bool
) -> tuple[Any, Context]:
    return _Requests(request, call) if has_request_stream else request, cast("Context", ThreadContext(context))


class _Requests:
    """gRPC's iterator of requests, as an asynchronous one: waiting for the next blocks the thread."""

    def __init__(self, requests: Any, call: ThreadCall) -> None:
        self._requests = requests
        self._call = call

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._requests)
        except StopIteration:
            raise StopAsyncIteration from None
        except grpc.RpcError:
            if self._call.is_over:  # gRPC's own way to say that the caller is gone
                raise asyncio.CancelledError from None
            raise
