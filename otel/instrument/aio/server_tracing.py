"""What tracing does with a call that arrives at a server, whether an interceptor or a traced server sees it first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.context import attach, get_current

from otel.instrument.aio.behaviors import is_plain, traced_handler
from otel.instrument.aio.deadline_watch import DeadlineWatch
from otel.instrument.aio.server_call import ServerCall, current_server_call
from otel.instrument.aio.unobserved import UnobservedCall
from otel.instrument.aio.unobserved_handlers import unobserved_handler
from otel.instrument.call_record import CallRecorder
from otel.instrument.method_handlers import behavior_of
from otel.instrument.method_names import METHOD_CACHE_SIZE
from otel.instrument.server_records import ServerRecords, name_unknown_method
from otel.instrument.server_stop import ServerStop
from otel.instrument.suppression import is_suppressed

AnyCall = ServerCall | UnobservedCall


class ServerTracing:
    """Begins the calls of one server and finds their traced handlers; runs in the RPCs' tasks, on one event loop."""

    def __init__(
        self, recorder: CallRecorder, filter_: Callable[[Any], bool] | None = None, stop: ServerStop | None = None
    ) -> None:
        self._filter = filter_
        self._records = ServerRecords(recorder)
        self._unobserved = UnobservedCall(recorder.log_exception)
        self._stop = stop or ServerStop()
        self._deadlines = DeadlineWatch()
        self._traced_handlers: dict[str, tuple[Any, Any]] = {}
        self._unobserved_handlers: dict[str, tuple[Any, Any]] = {}

    def begin(self, details: Any) -> AnyCall | None:
        """Start the call's span and make it current for everything further in; None for a call that is not traced."""
        if is_suppressed(get_current()) or not (self._filter is None or self._filter(details)):
            return None
        record = self._records.start(details.method, details.invocation_metadata)
        # No detach: the task of an RPC ends with it, and nothing of its context outlives it.
        attach(record.context)
        call = ServerCall(record, self._stop, self._deadlines) if record.is_observed else self._unobserved
        current_server_call.set(call)
        return call

    def traced(self, path: str, handler: Any, call: AnyCall) -> Any:
        """Return the handler that notes how `call` goes; None, as `handler` is then, for an unknown method."""
        if handler is None:
            if isinstance(call, ServerCall):
                call.unknown_method()
                name_unknown_method(call.record, path)
            return None
        handlers = self._unobserved_handlers if call is self._unobserved else self._traced_handlers
        known, traced = handlers.get(path, (None, None))
        if known is handler:
            return traced
        if is_plain(behavior_of(handler)):
            return traced_handler(handler, call)
        traced = unobserved_handler(handler, self._unobserved) if call is self._unobserved else traced_handler(handler)
        if len(handlers) < METHOD_CACHE_SIZE or path in handlers:
            handlers[path] = (handler, traced)
        return traced
