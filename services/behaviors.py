"""One way to stand around a handler, whatever its kind of RPC.

An interceptor says once, as a `CallScope`, what it does around a call and its messages; `wrap` lifts that to the four
kinds. A wrapped streaming handler stays an async generator, because the untouched OpenTelemetry library drives nothing
else; the inner generator is closed before the scope ends, in the same task and context where one task drives both.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeAlias

import grpc

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class CallScope:
    """What happens around one call and at its messages; this one does nothing.

    What is raised in `received` or `sent` fails the call as if the handler had raised it. `received` also gets an
    UnparsableRequest; the outermost scope must refuse it, since no handler can take it.
    """

    async def __aenter__(self) -> Self:
        """Take note that the call begins."""
        return self

    async def received(self, message: Any, /) -> None:
        """Take note of a request message before the handler gets it."""

    async def sent(self, message: Any, /) -> None:
        """Take note that gRPC took a response message; for a single response that is when the handler returned it."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_back: TracebackType | None, /
    ) -> None:
        """Take note of how the handler ended."""


Around: TypeAlias = Callable[[Context], CallScope]
Continuation: TypeAlias = "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]"


def wrap(handler: Handler, around: Around) -> Handler:
    """Return a handler of the same kind that runs inside `around(context)`; messages are shown to its scope."""
    behaviour = behavior_of(handler)
    kind = (handler.request_streaming, handler.response_streaming)
    wrapped = {
        (False, False): _unary_unary,
        (False, True): _unary_stream,
        (True, False): _stream_unary,
        (True, True): _stream_stream,
    }[kind]
    return _made(handler, wrapped(behaviour, around), _lenient(handler))


def like(handler: Handler, behaviour: Callable[..., Any]) -> Handler:
    """Return a handler like `handler` with another behaviour."""
    return _made(handler, behaviour, handler.request_deserializer)


def _made(handler: Handler, behaviour: Callable[..., Any], parse: Callable[[bytes], Any] | None) -> Handler:
    build = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[bool(handler.request_streaming), bool(handler.response_streaming)]
    # The stub of `grpc` types these four for synchronous behaviours only.
    made: Handler = build(behaviour, parse, handler.response_serializer)
    return made


class UnparsableRequest:
    """Stands for a request message whose bytes its contract can't read."""


def _lenient(handler: Handler) -> Callable[[bytes], Any] | None:
    """Let an unreadable message reach the scope: gRPC itself would answer UNKNOWN with the exception's text."""
    deserializer = handler.request_deserializer
    if deserializer is None:
        return None

    def parse(message: bytes) -> Any:
        try:
            return deserializer(message)
        except Exception:  # parsers raise what they like
            return UnparsableRequest()

    return parse


class WrappedHandlers:
    """The handlers of one server, each wrapped once: tracing, further out, keeps what it made of the same handler."""

    def __init__(self) -> None:
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    def wrap(self, method: str, handler: Handler, around: Around) -> Handler:
        """Return `handler` wrapped in `around`, which must be the same for every call of `method`."""
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = self._wrapped[method] = (handler, wrap(handler, around))
        return known[1]


def behavior_of(handler: Handler) -> Callable[..., Any]:
    """Return the one behaviour that a handler has."""
    behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    if behaviour is None:
        raise TypeError("a handler without a behaviour")
    return behaviour


def _unary_unary(behaviour: Callable[..., Any], around: Around) -> Callable[..., Any]:
    async def run(request: Any, context: Context) -> Any:
        async with around(context) as scope:
            await scope.received(request)
            return await _one_response(scope, behaviour(request, context))

    return run


def _stream_unary(behaviour: Callable[..., Any], around: Around) -> Callable[..., Any]:
    async def run(requests: AsyncIterator[Any], context: Context) -> Any:
        async with around(context) as scope:
            return await _one_response(scope, behaviour(_noting(scope, requests), context))

    return run


def _unary_stream(behaviour: Callable[..., Any], around: Around) -> Callable[..., Any]:
    async def run(request: Any, context: Context) -> AsyncGenerator[Any, None]:
        async with around(context) as scope:
            await scope.received(request)
            async with aclosing(behaviour(request, context)) as responses:
                async for response in responses:
                    yield response
                    await scope.sent(response)

    return run


def _stream_stream(behaviour: Callable[..., Any], around: Around) -> Callable[..., Any]:
    async def run(requests: AsyncIterator[Any], context: Context) -> AsyncGenerator[Any, None]:
        async with around(context) as scope, aclosing(behaviour(_noting(scope, requests), context)) as responses:
            async for response in responses:
                yield response
                await scope.sent(response)

    return run


async def _one_response(scope: CallScope, responding: Any) -> Any:
    response = await responding
    await scope.sent(response)
    return response


async def _noting(scope: CallScope, requests: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    async for request in requests:
        await scope.received(request)
        yield request
