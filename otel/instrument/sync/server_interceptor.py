"""The library's synchronous server interceptor with its endings corrected; all four RPC kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.context import attach
from opentelemetry.instrumentation.grpc._server import OpenTelemetryServerInterceptor
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from otel.instrument.call_record import CallRecorder
from otel.instrument.server_records import ServerRecords, name_unknown_method
from otel.instrument.server_stop import ServerStop
from otel.instrument.sync.behaviors import answers_by_callback, traced_handler
from otel.instrument.sync.server_call import ServerCall

Continuation = Callable[[Any], Any]


class CorrectedServerInterceptor(OpenTelemetryServerInterceptor):
    """Traces each RPC from its arrival, so that the wait for a thread of the pool is in the span, to its end.

    Must be the outermost interceptor of one server. gRPC calls it in its serving thread, in a context of the RPC's own
    in which a pool thread then runs the servicer: what is attached here reaches the servicer and nobody else. The
    filter, and the rule that a suppressed context is not traced, are the library's.
    """

    def __init__(
        self, recorder: CallRecorder, filter_: Callable[[Any], bool] | None = None, stop: ServerStop | None = None
    ) -> None:
        super().__init__(recorder.tracer, filter_=filter_)  # type: ignore[no-untyped-call]  # the library is untyped
        self._records = ServerRecords(recorder)
        self._stop = stop or ServerStop()

    def intercept_service(self, continuation: Continuation, handler_call_details: Any) -> Any:
        """Start the span, make it current for everything further in, and wrap the method's handler."""
        if not is_instrumentation_enabled() or not (self._filter is None or self._filter(handler_call_details)):
            return continuation(handler_call_details)
        path: str = handler_call_details.method
        record = self._records.start(path, handler_call_details.invocation_metadata)
        attach(record.context)  # no detach: the RPC's own context ends with it
        call = ServerCall(record, self._stop)
        try:
            handler = continuation(handler_call_details)
        except Exception as error:
            call.not_served(error)
            raise
        if handler is None:
            name_unknown_method(record, path)
            call.unknown_method()
            return None
        if answers_by_callback(handler):
            record.has_ended = True  # nothing is said of what is not seen
            return handler
        return traced_handler(handler, call)
