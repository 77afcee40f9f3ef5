"""One RPC on its client: a span that ends when the call does, whatever its caller does with it."""

from __future__ import annotations

import contextvars
import functools
import weakref
from collections.abc import Callable
from typing import Any, Final

import grpc
from grpc import _channel as grpc_channel
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Span

from otel.instrument import semconv
from otel.instrument.call_record import CallRecord
from otel.instrument.endings import Ending, client_ending, failure_ending
from otel.instrument.exceptions import exception_was_logged, mark_exception_logged
from otel.instrument.propagation import Metadata, pairs_with_context

NOT_SERIALIZED: Final = "Exception serializing request!"
NOT_PARSED: Final = "Exception deserializing response!"

ResponseHook = Callable[[Span, Any], None]


class ClientCall:
    """One RPC's span on its client, in whichever of the three styles it is called.

    A blocking call is `answered` or `failed` by the thread that makes it. One that gives a call object is followed: it
    ends in a thread of gRPC's. The call object is not wrapped, and nothing here holds it, because gRPC cancels a
    call that its caller drops.
    """

    __slots__ = ("_dropped", "_requests_are_stream", "record", "response_hook")

    def __init__(
        self, record: CallRecord, timeout_s: float | None, response_hook: ResponseHook | None, requests_are_stream: bool
    ) -> None:
        self.record = record
        self.response_hook = response_hook
        self._requests_are_stream = requests_are_stream
        if timeout_s is not None:
            record.late_attributes[semconv.TIMEOUT_S] = float(timeout_s)
        if not requests_are_stream:
            record.sent_message_count = 1

    def start(self, start: Callable[[Any, Metadata], Any], request: Any, metadata: Any) -> Any:
        """Return what `start(request, metadata)` gives, called inside the span and with its context in the metadata.

        Ends the span where it raises. `request` is the request or the caller's iterator of them.
        """
        record = self.record
        token = attach(record.context)
        try:
            if self._requests_are_stream:
                request = RequestMessages(request, record)
            elif record.counts_sizes:
                record.sent_size_bytes = _size_bytes(request)
            return start(request, pairs_with_context(metadata, record.span_context))
        except BaseException as error:
            self.failed(error)
            raise
        finally:
            detach(token)

    def answered(self, response: Any = None) -> None:
        """End the span of a blocking call that gave its response; only a hook needs to see it."""
        self.record.received_message_count = 1
        if self.response_hook is not None:
            self.response_hook(self.record.span, response)
        self.record.end(_OK)

    def failed(self, error: BaseException) -> None:
        """End the span of a blocking call, or of one that could not be started, with what was raised."""
        code = getattr(error, "code", None)
        if not isinstance(error, grpc.RpcError) or code is None:
            self.record.sent_message_count = 0
            self.record.end(failure_ending(error))
        else:
            self._end(code(), error.details() or "")

    def follow(self, call: Any, *, response_is_stream: bool) -> None:
        """End the span when `call` ends, and count its responses."""
        if not self.record.is_observed and self.response_hook is None:
            return
        if not isinstance(call, grpc_channel._Rendezvous):
            call.add_done_callback(self._outcome_done)  # an interceptor further in gave something of its own
            return
        if response_is_stream:
            self._watch_responses(call)
        call.add_done_callback = functools.partial(_add_done_callback, weakref.ref(call), self.record.context)  # type: ignore[attr-defined]
        done = functools.partial(self._done, call._state, response_is_stream)
        if isinstance(call, grpc_channel._SingleThreadedRendezvous):  # no thread of gRPC's sees it dropped
            self._dropped = weakref.ref(call, lambda _: done())
        if not call.add_callback(done):
            done()

    def _done(self, state: Any, response_is_stream: bool) -> None:
        code = state.code
        if code is grpc.StatusCode.OK and not response_is_stream:
            self.record.received_message_count = 1
            if self.response_hook is not None:
                self.response_hook(self.record.span, state.response)
        self._end(code, _text(state.details))

    def _outcome_done(self, outcome: Any) -> None:
        try:
            error = outcome.exception()
        except grpc.FutureCancelledError:
            error = None
        if error is not None and not isinstance(error, grpc.RpcError):
            self.failed(error)
            return
        if outcome.code() is grpc.StatusCode.OK:
            self.record.received_message_count = 1
            if self.response_hook is not None:
                self.response_hook(self.record.span, outcome.result())
        self._end(outcome.code(), outcome.details() or "")

    def _end(self, code: grpc.StatusCode, details: str) -> None:
        if details == NOT_SERIALIZED and not self._requests_are_stream:
            self.record.sent_message_count = 0
        self.record.end(_ending(code, details))

    def _watch_responses(self, call: Any) -> None:
        """Count what is read. A response that does not parse ends the call for its caller; gRPC never does."""
        record, hook, state = self.record, self.response_hook, call._state
        deserialize = call._response_deserializer

        def traced(serialized: bytes) -> Any:
            message = None
            try:
                message = serialized if deserialize is None else deserialize(serialized)
            finally:
                if message is None and state.code is None:
                    record.end(client_ending(grpc.StatusCode.INTERNAL, NOT_PARSED))
            record.received(len(serialized), in_stream=True)
            if hook is not None and message is not None:
                hook(record.span, message)
            return message

        call._response_deserializer = traced


class RequestMessages:
    """A caller's stream of requests: counts them, and logs the exception of one that raises.

    gRPC takes the steps in a thread of its own, to which it copies the context in which the call was started: ours.
    """

    __slots__ = ("_messages", "_record")

    def __init__(self, messages: Any, record: CallRecord) -> None:
        self._messages = messages
        self._record = record

    def __iter__(self) -> RequestMessages:
        return self

    def __next__(self) -> Any:
        try:
            message = next(self._messages)
        except StopIteration:
            raise
        except Exception as error:
            if not exception_was_logged(error):
                mark_exception_logged(error)
                self._record.log_exception(semconv.CLIENT_CALL_EXCEPTION, error)
            raise
        self._record.sent(_size_bytes(message), in_stream=True)
        return message


_OK: Final = client_ending(grpc.StatusCode.OK, "")


def _ending(code: grpc.StatusCode, details: str) -> Ending:
    return _OK if code is grpc.StatusCode.OK else client_ending(code, details)


def _text(details: bytes | str | None) -> str:
    return details.decode("utf-8", "replace") if isinstance(details, bytes) else details or ""


def _size_bytes(message: Any) -> int:
    """Return a message's size before it is compressed: of bytes and of protobuf's; 0 of what says nothing of it."""
    if isinstance(message, bytes):
        return len(message)
    size = getattr(message, "ByteSize", None)
    return 0 if size is None else int(size())


class _InContext:
    """A callback for a call that is done, and the context to call it in."""

    __slots__ = ("_callback", "_context")

    def __init__(self, context: contextvars.Context, callback: Callable[[Any], None]) -> None:
        self._context = context
        self._callback = callback

    def __call__(self, call: Any) -> None:
        self._context.run(self._callback, call)


def _add_done_callback(call: weakref.ref[Any], context: Context, callback: Callable[[Any], None]) -> None:
    """Do what `call.add_done_callback` does, with the callback in the context of the call."""
    rendezvous: Any = call()
    in_context = contextvars.copy_context()
    in_context.run(attach, context)
    type(rendezvous).add_done_callback(rendezvous, _InContext(in_context, callback))
