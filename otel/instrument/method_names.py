"""gRPC method paths as the conventions name them: without the leading slash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry.util.types import AttributeValue

from otel.instrument import semconv

# A service has a fixed set of methods; a generic handler, or somebody who probes a server, may name any number.
METHOD_CACHE_SIZE: Final = 1024


def method_name(path: str | bytes) -> str:
    """Turn `/tracelab.user.v1.UserService/GetUser` into `tracelab.user.v1.UserService/GetUser`.

    grpc.aio gives a client interceptor bytes and a server interceptor text.
    """
    text = path.decode("utf-8", "replace") if isinstance(path, bytes) else path
    return text.removeprefix("/")


def service_name(path: str | bytes) -> str:
    """Return the service's full name, `tracelab.user.v1.UserService`; empty if the path has no slash inside."""
    return method_name(path).rpartition("/")[0]


class MethodAttributes:
    """The name and the attributes with which a span of each method starts, computed once; for one event loop.

    `shared` are added to every method's. What is returned is not to be changed.
    """

    def __init__(self, shared: Mapping[str, AttributeValue] | None = None) -> None:
        self._shared = dict(shared or {})
        self._known: dict[str | bytes, tuple[str, Mapping[str, AttributeValue]]] = {}

    def of(self, path: str | bytes) -> tuple[str, Mapping[str, AttributeValue]]:
        """Return the span's name and its attributes."""
        known = self._known.get(path)
        return self._compute(path) if known is None else known

    def _compute(self, path: str | bytes) -> tuple[str, Mapping[str, AttributeValue]]:
        name = method_name(path)
        known = (
            name,
            {semconv.RPC_SYSTEM_NAME: semconv.RPC_SYSTEM_GRPC, semconv.RPC_METHOD: name, **self._shared},
        )
        if len(self._known) < METHOD_CACHE_SIZE:
            self._known[path] = known
        return known
