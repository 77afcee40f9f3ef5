"""Handlers of calls of which neither span nor metric is recorded: unary ones need nothing but a look at failures."""

from __future__ import annotations

from typing import Any

from otel.instrument.aio.behaviors import is_plain, traced_handler
from otel.instrument.aio.unobserved import UnobservedCall
from otel.instrument.method_handlers import Behavior, Deserializer, Serializer, behavior_of, with_behavior


def unobserved_handler(handler: Any, call: UnobservedCall) -> Any:
    """Return a method handler that logs what nobody else logs, good for all such calls of a server.

    Streams are watched as those of other calls are: what their servicer is shown of an end must not depend on tracing.
    A plain `def` behavior is not for this function.
    """
    behavior = behavior_of(handler)
    if is_plain(behavior):
        raise ValueError("a plain def behavior is wrapped per call")
    if handler.request_streaming or handler.response_streaming:
        return traced_handler(handler)
    return with_behavior(
        handler,
        _watched(behavior, call),
        _logging_deserializer(handler.request_deserializer, call),
        _logging_serializer(handler.response_serializer, call),
    )


def _watched(behavior: Behavior, call: UnobservedCall) -> Behavior:
    async def watched(request: Any, context: Any) -> Any:
        try:
            return await behavior(request, context)
        except BaseException as error:
            call.left(error)
            raise

    return watched


def _logging_deserializer(deserialize: Deserializer | None, call: UnobservedCall) -> Deserializer:
    def logging_deserialize(serialized: bytes) -> Any:
        try:
            return serialized if deserialize is None else deserialize(serialized)
        except Exception as error:
            call.failed(error)
            raise

    return logging_deserialize


def _logging_serializer(serialize: Serializer | None, call: UnobservedCall) -> Serializer:
    def logging_serialize(message: Any) -> bytes:
        try:
            serialized: bytes = message if serialize is None else serialize(message)
            len(serialized)  # what is no message at all fails here, and not in gRPC without a word
        except Exception as error:
            call.failed(error)
            raise
        return serialized

    return logging_serialize
