"""The library's aio server interceptor with its endings corrected; all four RPC kinds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from opentelemetry.instrumentation.grpc._aio_server import OpenTelemetryAioServerInterceptor

from otel.instrument.aio.server_tracing import ServerTracing
from otel.instrument.call_record import CallRecorder
from otel.instrument.server_stop import ServerStop

Continuation = Callable[[Any], Awaitable[Any]]


class CorrectedAioServerInterceptor(OpenTelemetryAioServerInterceptor):
    """Traces each RPC from its arrival to the end of its task.

    Must be the outermost interceptor. Belongs to one server and its event loop. The filter, and the rule that a
    suppressed context is not traced, are the library's.
    """

    def __init__(
        self, recorder: CallRecorder, filter_: Callable[[Any], bool] | None = None, stop: ServerStop | None = None
    ) -> None:
        super().__init__(recorder.tracer, filter_=filter_)  # type: ignore[no-untyped-call]  # the library is untyped
        self._tracing = ServerTracing(recorder, filter_, stop)

    async def intercept_service(  # type: ignore[override]  # the library also derives from the synchronous interceptor
        self, continuation: Continuation, handler_call_details: Any
    ) -> Any:
        """Start the span, make it current for everything further in, and find the method's traced handler."""
        call = self._tracing.begin(handler_call_details)
        if call is None:
            return await continuation(handler_call_details)
        try:
            handler = await continuation(handler_call_details)
        except Exception as error:
            call.failed(error)
            raise
        return self._tracing.traced(handler_call_details.method, handler, call)
