"""gRPC's method handlers, by the kind of their method: the same in both APIs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import grpc

Behavior = Callable[..., Any]
Serializer = Callable[[Any], bytes]
Deserializer = Callable[[bytes], Any]

_FACTORIES: Final[dict[tuple[bool, bool], Callable[..., grpc.RpcMethodHandler[Any, Any]]]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def behavior_of(handler: Any) -> Behavior:
    """Return the one behavior that a method handler has, by its kind."""
    if handler.request_streaming:
        behavior = handler.stream_stream if handler.response_streaming else handler.stream_unary
    else:
        behavior = handler.unary_stream if handler.response_streaming else handler.unary_unary
    return behavior  # type: ignore[no-any-return]  # an attribute of Any


def with_behavior(
    handler: Any, behavior: Behavior, request_deserializer: Deserializer, response_serializer: Serializer
) -> Any:
    """Make a method handler of the same kind as `handler` with another behavior and other (de)serializers."""
    return _FACTORIES[handler.request_streaming, handler.response_streaming](
        behavior, request_deserializer=request_deserializer, response_serializer=response_serializer
    )
