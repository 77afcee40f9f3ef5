"""The library's aio server interceptor with its endings corrected; all four RPC kinds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from opentelemetry import propagate
from opentelemetry.context import attach
from opentelemetry.instrumentation.grpc._aio_server import OpenTelemetryAioServerInterceptor
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.util.types import AttributeValue

from otel.instrument import semconv
from otel.instrument.behaviors import behavior_of, is_plain, traced_handler
from otel.instrument.call_record import CallRecorder
from otel.instrument.method_names import METHOD_CACHE_SIZE, MethodAttributes, method_name
from otel.instrument.propagation import ContextReader, Metadata
from otel.instrument.server_call import ServerCall, ServerStop, current_server_call

PREVIOUS_ATTEMPTS_KEY: Final = "grpc-previous-rpc-attempts"

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
        self._recorder = recorder
        self._stop = stop or ServerStop()
        self._reader = ContextReader(propagate.get_global_textmap())
        self._methods = MethodAttributes()
        self._traced_handlers: dict[str, tuple[Any, Any]] = {}

    async def intercept_service(  # type: ignore[override]  # the library also derives from the synchronous interceptor
        self, continuation: Continuation, handler_call_details: Any
    ) -> Any:
        """Start the span, make it current for everything further in, and find the method's traced handler."""
        if not is_instrumentation_enabled() or not (self._filter is None or self._filter(handler_call_details)):
            return await continuation(handler_call_details)
        path: str = handler_call_details.method
        call = self._begin(path, handler_call_details.invocation_metadata)
        try:
            handler = await continuation(handler_call_details)
        except Exception as error:
            call.failed(error)
            raise
        if handler is None:
            self._note_unknown_method(call, path)
            return None
        return self._traced(path, handler, call)

    def _begin(self, path: str, metadata: Metadata) -> ServerCall:
        name, method_attributes = self._methods.of(path)
        attributes = method_attributes
        for key, value in metadata:
            if key == PREVIOUS_ATTEMPTS_KEY and value.isdigit():
                attributes = {**method_attributes, semconv.PREVIOUS_RPC_ATTEMPTS: int(value)}
        record = self._recorder.start(name, attributes, self._reader.extract(metadata))
        record.metric_attributes = method_attributes
        # No detach: the task of an RPC ends with it, and nothing of its context outlives it.
        attach(record.context)
        call = ServerCall(record, self._stop)
        current_server_call.set(call)
        return call

    def _note_unknown_method(self, call: ServerCall, path: str) -> None:
        call.unknown_method()
        other: dict[str, AttributeValue] = {
            semconv.RPC_SYSTEM_NAME: semconv.RPC_SYSTEM_GRPC,
            semconv.RPC_METHOD: semconv.RPC_METHOD_OTHER,
        }
        call.record.metric_attributes = other
        if call.record.is_recording:
            call.record.span.update_name(semconv.RPC_SYSTEM_GRPC)
            call.record.span.set_attributes({**other, semconv.RPC_METHOD_ORIGINAL: method_name(path)})

    def _traced(self, path: str, handler: Any, call: ServerCall) -> Any:
        known, traced = self._traced_handlers.get(path, (None, None))
        if known is handler:
            return traced
        if is_plain(behavior_of(handler)):
            return traced_handler(handler, call)
        traced = traced_handler(handler)
        if len(self._traced_handlers) < METHOD_CACHE_SIZE or path in self._traced_handlers:
            self._traced_handlers[path] = (handler, traced)
        return traced
