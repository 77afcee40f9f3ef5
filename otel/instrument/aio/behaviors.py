"""Wraps the behavior of a method, once per method, in the form that grpc.aio expects of each kind.

The call at hand is found in a context variable, which the interceptor set in the RPC's own task. Only a plain `def`
behavior, which gRPC runs in a thread where context variables do not arrive, is wrapped once per call.
"""

from __future__ import annotations

import contextlib
import contextvars
import inspect
from collections.abc import Iterator
from typing import Any, Final

import grpc
from grpc._cython import cygrpc

from otel.instrument.aio.server_call import ServerCall, current_server_call
from otel.instrument.aio.unobserved import UnobservedCall
from otel.instrument.method_handlers import Behavior, Deserializer, Serializer, behavior_of, with_behavior

_NO_MORE: Final = object()
AnyCall = ServerCall | UnobservedCall


def is_plain(behavior: Behavior) -> bool:
    """Say whether gRPC runs `behavior` in a thread: it is no coroutine function and no async generator."""
    return not (_is_coroutine(behavior) or inspect.isasyncgenfunction(behavior))


def traced_handler(handler: Any, call: AnyCall | None = None) -> Any:
    """Return a method handler that notes how each call of `handler` goes.

    For a plain `def` behavior `call` is needed and the result is good for that call only.
    """
    behavior = behavior_of(handler)
    if is_plain(behavior):
        if call is None:
            raise ValueError("a plain def behavior is wrapped per call")
        if handler.request_streaming:
            call.reads_requests(UnseenRequests())
        traced = _plain(behavior, call, response_streaming=handler.response_streaming)
    elif inspect.isasyncgenfunction(behavior):
        traced = _async_generator(behavior, handler.request_streaming)
    else:
        traced = _coroutine(behavior, handler.request_streaming)
    return with_behavior(
        handler,
        traced,
        _deserializer(handler.request_deserializer, in_stream=handler.request_streaming),
        _serializer(handler.response_serializer, in_stream=handler.response_streaming),
    )


def _is_coroutine(behavior: Behavior) -> bool:
    # grpc.aio also takes an object whose `__call__` is a coroutine function.
    return inspect.iscoroutinefunction(behavior) or inspect.iscoroutinefunction(type(behavior).__call__)


def _coroutine(behavior: Behavior, request_streaming: bool) -> Behavior:
    """Wrap a unary answer, or a reader/writer whose result gRPC ignores."""

    async def traced(request_or_iterator: Any, context: Any) -> Any:
        call = current_server_call.get()
        call.reached(context)
        arguments = (
            _watched(request_or_iterator, context, call) if request_streaming else (request_or_iterator, context)
        )
        try:
            response = await behavior(*arguments)
        except BaseException as error:
            call.left(error)
            raise
        call.left()
        return response

    return traced


def _async_generator(behavior: Behavior, request_streaming: bool) -> Behavior:
    """Wrap a streaming answer as a writer: exceptions and cancels land in this one frame, in the RPC's context."""

    async def traced(request_or_iterator: Any, context: Any) -> None:
        call = current_server_call.get()
        call.reached(context)
        arguments = (
            _watched(request_or_iterator, context, call) if request_streaming else (request_or_iterator, context)
        )
        responses = behavior(*arguments)
        try:
            try:
                async for response in responses:
                    await context.write(response)
            finally:
                await responses.aclose()
        except BaseException as error:
            call.left(error)
            raise
        call.left()

    return traced


def _plain(behavior: Behavior, call: AnyCall, *, response_streaming: bool) -> Behavior:
    task_context = contextvars.copy_context()

    def traced_unary(request_or_iterator: Any, context: Any) -> Any:
        observed = ObservedContext(context)
        call.reached(observed, in_thread=True)
        try:
            response = task_context.run(behavior, request_or_iterator, observed)
        except BaseException as error:
            task_context.run(call.left, error)
            raise
        call.left()
        return response

    def traced_stream(request_or_iterator: Any, context: Any) -> Iterator[Any]:
        observed = ObservedContext(context)
        call.reached(observed, in_thread=True)
        try:
            responses = iter(task_context.run(behavior, request_or_iterator, observed))
            while (response := task_context.run(next, responses, _NO_MORE)) is not _NO_MORE:
                yield response
        except BaseException as error:
            task_context.run(call.left, error)
            raise
        call.left()

    return traced_stream if response_streaming else traced_unary


def _watched(messages: Any, context: Any, call: AnyCall) -> tuple[Any, Any]:
    requests = RequestMessages(messages, context, call)
    call.reads_requests(requests)
    return requests, ReadingContext(context, requests)


class RequestMessages:
    """A stream of requests that knows when the servicer waits for one, and passes on no end that is none.

    grpc.aio shows a call that was cut short to whoever reads its requests as the end of the stream; the cancel comes a
    moment later. So an end is followed by one more read, in which such a cancel arrives. A servicer may read in a task
    of its own; there the RPC's task tells.
    """

    __slots__ = ("_call", "_context", "_iterator", "_messages", "is_awaited")

    def __init__(self, messages: Any, context: Any, call: AnyCall) -> None:
        self._messages = messages
        self._context = context
        self._call = call
        self._iterator: Any = None
        self.is_awaited = False

    def __aiter__(self) -> RequestMessages:
        return self

    async def __anext__(self) -> Any:
        if self._iterator is None:
            self._iterator = self._messages.__aiter__()
        self.is_awaited = True
        try:
            message = await self._iterator.__anext__()
        except StopAsyncIteration:
            await self._confirm_end()
            raise
        self.is_awaited = False
        return message

    async def read(self) -> Any:
        """Read as `context.read` does: one message, or `grpc.aio.EOF`."""
        self.is_awaited = True
        message = await self._context.read()
        if message is grpc.aio.EOF:
            await self._confirm_end()
        else:
            self.is_awaited = False
        return message

    async def _confirm_end(self) -> None:
        with contextlib.suppress(cygrpc.UsageError, cygrpc.InternalError):
            await self._context.read()
        self.is_awaited = self._call.is_cancelled


class ReadingContext:
    """A servicer's context that passes everything on, and reads in the sight of its `RequestMessages`."""

    def __init__(self, context: Any, requests: RequestMessages) -> None:
        self._context = context
        self.read = requests.read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class UnseenRequests:
    """The requests of a plain `def` servicer, which reads them in its thread."""

    is_awaited = True


class ObservedContext:
    """A plain `def` servicer's context: passes everything on, and remembers the status, which it can't be asked for."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._code: grpc.StatusCode | None = None
        self._details = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def set_code(self, code: grpc.StatusCode) -> None:
        """Set and remember the status code."""
        self._code = code
        self._context.set_code(code)

    def set_details(self, details: str) -> None:
        """Set and remember the status message."""
        self._details = details
        self._context.set_details(details)

    def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> Any:
        """Abort with, and remember, this status."""
        self._code, self._details = code, details
        return self._context.abort(code, details, trailing_metadata)

    def code(self) -> grpc.StatusCode | None:
        """Return the code that was set."""
        return self._code

    def details(self) -> str:
        """Return the message that was set."""
        return self._details

    def done(self) -> bool:
        """Say that the status was sent: a thread is not cut short, it always comes to its end."""
        return True

    def peer(self) -> str:
        """Return the peer."""
        return str(self._context.peer())

    def time_remaining(self) -> float | None:
        """Return what is left of the deadline in seconds, or None without one."""
        remaining_s = self._context.time_remaining()
        return None if remaining_s is None else float(remaining_s)


def _deserializer(deserialize: Deserializer | None, *, in_stream: bool) -> Deserializer:
    def traced(serialized: bytes) -> Any:
        call = current_server_call.get()
        try:
            message = serialized if deserialize is None else deserialize(serialized)
        except Exception as error:
            if not in_stream:  # in a stream it comes up in the servicer, which may handle it
                call.failed(error)
            raise
        call.record.received(len(serialized), in_stream=in_stream)
        return message

    return traced


def _serializer(serialize: Serializer | None, *, in_stream: bool) -> Serializer:
    def traced(message: Any) -> bytes:
        call = current_server_call.get()
        try:
            serialized: bytes = message if serialize is None else serialize(message)
            size_bytes = len(serialized)
        except Exception as error:
            call.failed(error)
            raise
        call.record.sent(size_bytes, in_stream=in_stream)
        if not in_stream:
            call.answered()
        return serialized

    return traced
