"""A server whose calls are traced without a server interceptor, where it has no other either.

For interceptors grpc.aio makes a chain of two coroutines a call. Without them it asks the server's handlers in the
RPC's own task, so that tracing can begin there: one generic handler stands before all that are added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import grpc
import grpc.aio

from otel.instrument.aio.server_tracing import ServerTracing
from otel.instrument.call_record import CallRecorder
from otel.instrument.server_stop import ServerStop


class TracedServer(grpc.aio.Server):
    """Traces each call of `server`, which has neither interceptors nor handlers yet; belongs to its event loop."""

    def __init__(
        self,
        server: grpc.aio.Server,
        recorder: CallRecorder,
        filter_: Callable[[Any], bool] | None = None,
        stop: ServerStop | None = None,
    ) -> None:
        self._server = server
        self._handlers = _TracedHandlers(ServerTracing(recorder, filter_, stop))
        server.add_generic_rpc_handlers((self._handlers,))

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Serve what the handlers know, before the server is started."""
        self._handlers.generic.extend(generic_rpc_handlers)

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        """Serve methods of a service by name, before the server is started; they go before generic handlers."""
        self._handlers.registered.update(
            {f"/{service_name}/{method}": handler for method, handler in method_handlers.items()}
        )

    def add_insecure_port(self, address: str) -> int:
        """Open a port without TLS and return its number."""
        return self._server.add_insecure_port(address)

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """Open a port with TLS and return its number."""
        return self._server.add_secure_port(address, server_credentials)

    async def start(self) -> None:
        """Start serving, once."""
        await self._server.start()

    async def stop(self, grace: float | None) -> None:
        """Stop as gRPC does: calls that outlive `grace` (in seconds) are cancelled."""
        await self._server.stop(grace)

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        """Wait until the server has stopped; False where `timeout` (in seconds) came first."""
        return await self._server.wait_for_termination(timeout)


class _TracedHandlers(grpc.GenericRpcHandler):
    """Stands before all handlers of a server, and answers as gRPC itself would ask them."""

    def __init__(self, tracing: ServerTracing) -> None:
        self._tracing = tracing
        self.registered: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}
        self.generic: list[grpc.GenericRpcHandler] = []

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Start the call's span in the RPC's own task, and find the method's traced handler."""
        call = self._tracing.begin(handler_call_details)
        if call is None:
            return self._found(handler_call_details)
        try:
            handler = self._found(handler_call_details)
        except Exception as error:
            call.failed(error)
            raise
        return self._tracing.traced(handler_call_details.method, handler, call)

    def _found(self, details: grpc.HandlerCallDetails) -> Any:
        registered = self.registered.get(details.method)
        if registered is not None:
            return registered
        for generic in self.generic:
            handler = generic.service(details)
            if handler is not None:
                return handler
        return None
