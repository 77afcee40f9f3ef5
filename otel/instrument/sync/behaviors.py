"""Wraps the behavior of a method for one call, in the form that `grpc.server` expects of each kind.

gRPC reads and parses a request in its serving thread, outside the RPC's context, so that what is wrapped must hold its
call: a wrapped handler is good for one call only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from otel.instrument.method_handlers import Behavior, Deserializer, Serializer, behavior_of, with_behavior
from otel.instrument.sync.server_call import ServerCall


def traced_handler(handler: Any, call: ServerCall) -> Any:
    """Return a method handler that notes how `call` goes and does what `handler` does."""
    behavior = behavior_of(handler)
    wrap = _streaming if handler.response_streaming else _unary
    traced = wrap(behavior, call, handler.request_streaming)
    pool = getattr(behavior, "experimental_thread_pool", None)
    if pool is not None:
        traced.experimental_thread_pool = pool  # type: ignore[attr-defined]  # gRPC looks for it on the behavior
    return with_behavior(
        handler,
        traced,
        _deserializer(handler.request_deserializer, call, in_stream=handler.request_streaming),
        _serializer(handler.response_serializer, call, in_stream=handler.response_streaming),
    )


def answers_by_callback(handler: Any) -> bool:
    """Say whether gRPC hands the behavior a function to answer with: an experiment of its own, which is not traced."""
    return bool(getattr(behavior_of(handler), "experimental_non_blocking", False))


def _unary(behavior: Behavior, call: ServerCall, request_streaming: bool) -> Behavior:
    def traced(request_or_iterator: Any, context: Any) -> Any:
        call.reached(context)
        try:
            response = behavior(_watched(request_or_iterator, call, request_streaming), context)
        except BaseException as error:
            call.left(error)
            raise
        call.left()
        return response

    return traced


def _streaming(behavior: Behavior, call: ServerCall, request_streaming: bool) -> Behavior:
    """Call the behavior at once, as gRPC does: one that is no generator does its work, or raises, right here."""

    def traced(request_or_iterator: Any, context: Any) -> Iterator[Any]:
        call.reached(context)
        try:
            responses = behavior(_watched(request_or_iterator, call, request_streaming), context)
        except BaseException as error:
            call.left(error)
            raise
        return _iterated(responses, call)

    return traced


def _iterated(responses: Any, call: ServerCall) -> Iterator[Any]:
    """Give the responses on. gRPC drops this generator when the RPC is over: then the behavior's cleans up in here."""
    try:
        while True:
            try:
                response = next(responses)
            except StopIteration:
                break
            if response is None:  # gRPC takes it for the end
                call.left()
            yield response
    except BaseException as error:
        try:
            close = getattr(responses, "close", None)
            if close is not None:
                close()
        finally:
            call.left(error, while_iterating=True)
        raise
    call.left()


def _watched(request_or_iterator: Any, call: ServerCall, request_streaming: bool) -> Any:
    if not request_streaming:
        return request_or_iterator
    requests = RequestMessages(request_or_iterator, call)
    call.reads_requests(requests)
    return requests


class RequestMessages:
    """A stream of requests that knows when the servicer waits for one, and passes on no end that is none.

    Where a call is cut short, gRPC shows the servicer an ordinary end of its requests if the end of the stream is
    noticed before the end of the call, about one time in four. So an end is followed by one more read, which raises
    what gRPC raises otherwise: `grpc.RpcError`. So does an end that is a request which does not parse.
    """

    __slots__ = ("_call", "_messages", "is_awaited")

    def __init__(self, messages: Any, call: ServerCall) -> None:
        self._messages = messages
        self._call = call
        self.is_awaited = False

    def __iter__(self) -> RequestMessages:
        return self

    def __next__(self) -> Any:
        self.is_awaited = True
        try:
            message = next(self._messages)
        except StopIteration:
            return self._confirm_end()
        self.is_awaited = False
        return message

    def next(self) -> Any:
        """Return the next request, as gRPC's own iterator does under this name, too."""
        return self.__next__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._messages, name)

    def _confirm_end(self) -> Any:
        try:
            message = next(self._messages)
        except StopIteration:
            self.is_awaited = False
            self._call.raise_if_not_parsed()
            raise
        self.is_awaited = False
        return message


def _deserializer(deserialize: Deserializer | None, call: ServerCall, *, in_stream: bool) -> Deserializer:
    def traced(serialized: bytes) -> Any:
        try:
            message = serialized if deserialize is None else deserialize(serialized)
        except Exception as error:
            call.not_parsed(error, in_stream=in_stream)
            raise
        if message is None:
            call.not_parsed(None, in_stream=in_stream)
        else:
            call.record.received(len(serialized), in_stream=in_stream)
        return message

    return traced


def _serializer(serialize: Serializer | None, call: ServerCall, *, in_stream: bool) -> Serializer:
    def traced(message: Any) -> Any:
        try:
            serialized: bytes | None = message if serialize is None else serialize(message)
            size_bytes = -1 if serialized is None else len(serialized)
        except Exception as error:
            call.not_serialized(error)
            raise
        if size_bytes < 0:
            call.not_serialized(None)
        else:
            call.record.sent(size_bytes, in_stream=in_stream)
            if not in_stream:
                call.answered()
        return serialized

    return traced
