"""One RPC on its client: a span that ends when the call does, whatever its caller does with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Final, Literal

import grpc
import grpc.aio
from grpc.aio import _call as grpc_call
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span

from otel.instrument import semconv
from otel.instrument.call_record import CallRecord
from otel.instrument.endings import Ending, client_ending, failure_ending
from otel.instrument.exceptions import mark_exception_logged

current_client_call: ContextVar[ClientCall] = ContextVar("tracelab_client_call")
LOCALLY_CANCELLED: Final = "Locally cancelled by application!"
_KEY: Final = re.compile(r"[0-9a-z_.\-]+")

ResponseHook = Callable[[Span, Any], None]


class ClientCall:
    """One RPC's span on its client; also the context manager that the library's interceptors open to start the call.

    Leaving the block does not end the span, unless an exception leaves it: then there is no call that could.
    Belongs to the event loop of its channel.
    """

    __slots__ = ("_call_token", "_context_token", "_metadata_is_odd", "record", "response_hook")

    def __init__(self, record: CallRecord, response_hook: ResponseHook | None) -> None:
        self.record = record
        self.response_hook = response_hook
        self._metadata_is_odd = False

    def __enter__(self) -> Span:
        self._context_token: Token[Context] = attach(self.record.context)
        self._call_token = current_client_call.set(self)
        return self.record.span

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> Literal[False]:
        current_client_call.reset(self._call_token)
        detach(self._context_token)
        if error is not None:
            self.end_without_call(error)
        return False

    def note(self, timeout_s: float | None, metadata: Any) -> None:
        """Take the timeout, and see whether the caller's metadata can be sent at all."""
        if timeout_s is not None:
            self.record.late_attributes[semconv.TIMEOUT_S] = float(timeout_s)
        self._metadata_is_odd = bool(metadata) and not all(map(_can_be_sent, metadata))

    def follow(self, call: Any, *, requests_are_stream: bool, response_is_stream: bool) -> None:
        """End the span when `call` ends, and count its messages; `call` itself is not wrapped and not awaited."""
        if isinstance(call, grpc_call.Call):
            self._watch_messages(call, requests_are_stream, response_is_stream)
            if self._metadata_is_odd:
                self._watch_start(call)
        hook = self.response_hook
        if hook is None and not self.record.is_observed:
            return
        if hook is not None and not response_is_stream and isinstance(call, grpc_call.Call):
            call._call_response.add_done_callback(lambda task: self._response_done(call, task, hook))  # type: ignore[attr-defined]  # of unary answers
            return
        on_done = self._stream_done if response_is_stream else self._unary_done
        try:
            call.add_done_callback(on_done)
        except NotImplementedError:  # an interceptor further in gave a finished response in place of a call
            on_done(call)

    def _unary_done(self, call: Any) -> None:
        ending = _ending_of(call)
        if ending.code is grpc.StatusCode.OK:
            self.record.received_message_count = 1  # this callback comes before the response is deserialized
        self.record.end(ending)

    def _stream_done(self, call: Any) -> None:
        self.record.end(_ending_of(call))

    def _response_done(self, call: Any, task: asyncio.Task[Any], hook: ResponseHook) -> None:
        if call.done() and _of_done(call.code()) is grpc.StatusCode.OK and not task.cancelled():
            hook(self.record.span, task.result())
        self._unary_done(call)

    def end_without_call(self, error: BaseException) -> None:
        """End the span with what kept the call from being started."""
        if isinstance(error, grpc.aio.AioRpcError):  # an interceptor further in has awaited the call
            self.record.end(client_ending(error.code(), error.details() or ""))
        elif isinstance(error, asyncio.CancelledError):
            self.record.end(client_ending(grpc.StatusCode.CANCELLED, LOCALLY_CANCELLED))
        else:
            self.record.end(failure_ending(error))

    def _watch_start(self, call: Any) -> None:
        """End the span with the exception of the call's own task: with such metadata no status may ever come."""
        for name in ("_call_response", "_preparation"):
            task: asyncio.Task[Any] | None = getattr(call, name, None)
            if task is not None:
                task.add_done_callback(self._started)

    def _started(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, grpc.RpcError):
            self.record.end(failure_ending(error))

    def _watch_messages(
        self, call: grpc_call.Call[Any, Any], requests_are_stream: bool, response_is_stream: bool
    ) -> None:
        record = self.record
        serialize, deserialize = call._request_serializer, call._response_deserializer

        def traced_serialize(message: Any) -> bytes:
            try:
                serialized: bytes = message if serialize is None else serialize(message)
                size_bytes = len(serialized)
            except Exception as error:
                self._not_converted(error)
                raise
            record.sent(size_bytes, in_stream=requests_are_stream)
            return serialized

        def traced_deserialize(serialized: bytes) -> Any:
            try:
                message = serialized if deserialize is None else deserialize(serialized)
            except Exception as error:
                self._not_converted(error)
                raise
            if response_is_stream:
                record.received(len(serialized), in_stream=True)
                if self.response_hook is not None:
                    self.response_hook(record.span, message)
            return message

        call._request_serializer = traced_serialize
        call._response_deserializer = traced_deserialize

    def _not_converted(self, error: Exception) -> None:
        """Log what grpc.aio hides: it goes on with an empty request, or gives its caller None with status OK."""
        mark_exception_logged(error)
        token = attach(self.record.context)
        try:
            self.record.log_exception(semconv.CLIENT_CALL_EXCEPTION, error)
        finally:
            detach(token)


_OK: Final = client_ending(grpc.StatusCode.OK, "")


def _ending_of(call: Any) -> Ending:
    if isinstance(call, grpc_call.Call) and call._cython_call.is_ok():
        return _OK  # what `code` says then, by two coroutines
    code = _of_done(call.code())
    return _OK if code is grpc.StatusCode.OK else client_ending(code, _of_done(call.details()) or "")


def _of_done(answer: Awaitable[Any]) -> Any:
    """Return the result of `call.code()` or `call.details()` of a call that is done, without a task.

    Such a coroutine finishes at its first step. Raises RuntimeError if it wants to wait, that is, if it isn't done.
    """
    step = answer.__await__()
    try:
        next(step)
    except StopIteration as finished:
        return finished.value
    raise RuntimeError("the call is not done: its done callback came too early")


def _can_be_sent(member: Iterable[Any]) -> bool:
    key, value = member
    if not isinstance(key, str) or _KEY.fullmatch(key) is None:
        return False
    if key.endswith("-bin"):
        return isinstance(value, bytes)
    return isinstance(value, str) and value.isascii() and value.isprintable()
