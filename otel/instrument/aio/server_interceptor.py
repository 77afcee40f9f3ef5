"""The library's aio server interceptor with its endings corrected; all four RPC kinds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from opentelemetry.context import attach, get_current
from opentelemetry.instrumentation.grpc._aio_server import OpenTelemetryAioServerInterceptor

from otel.instrument.aio.behaviors import is_plain, traced_handler
from otel.instrument.aio.server_call import ServerCall, current_server_call
from otel.instrument.aio.unobserved import UnobservedCall
from otel.instrument.call_record import CallRecorder
from otel.instrument.method_handlers import behavior_of
from otel.instrument.method_names import METHOD_CACHE_SIZE
from otel.instrument.propagation import Metadata
from otel.instrument.server_records import ServerRecords, name_unknown_method
from otel.instrument.server_stop import ServerStop
from otel.instrument.suppression import is_suppressed

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
        self._records = ServerRecords(recorder)
        self._unobserved = UnobservedCall(recorder.log_exception)
        self._stop = stop or ServerStop()
        self._traced_handlers: dict[str, tuple[Any, Any]] = {}

    async def intercept_service(  # type: ignore[override]  # the library also derives from the synchronous interceptor
        self, continuation: Continuation, handler_call_details: Any
    ) -> Any:
        """Start the span, make it current for everything further in, and find the method's traced handler."""
        if is_suppressed(get_current()) or not (self._filter is None or self._filter(handler_call_details)):
            return await continuation(handler_call_details)
        path: str = handler_call_details.method
        call = self._begin(path, handler_call_details.invocation_metadata)
        try:
            handler = await continuation(handler_call_details)
        except Exception as error:
            call.failed(error)
            raise
        if handler is None:
            if isinstance(call, ServerCall):
                call.unknown_method()
                name_unknown_method(call.record, path)
            return None
        return self._traced(path, handler, call)

    def _begin(self, path: str, metadata: Metadata) -> ServerCall | UnobservedCall:
        record = self._records.start(path, metadata)
        # No detach: the task of an RPC ends with it, and nothing of its context outlives it.
        attach(record.context)
        call = ServerCall(record, self._stop) if record.is_observed else self._unobserved
        current_server_call.set(call)
        return call

    def _traced(self, path: str, handler: Any, call: ServerCall | UnobservedCall) -> Any:
        known, traced = self._traced_handlers.get(path, (None, None))
        if known is handler:
            return traced
        if is_plain(behavior_of(handler)):
            return traced_handler(handler, call)
        traced = traced_handler(handler)
        if len(self._traced_handlers) < METHOD_CACHE_SIZE or path in self._traced_handlers:
            self._traced_handlers[path] = (handler, traced)
        return traced
