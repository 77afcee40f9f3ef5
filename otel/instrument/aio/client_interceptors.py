"""The library's four aio client interceptors with their endings corrected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from grpc.aio import ClientCallDetails
from opentelemetry.instrumentation.grpc import _aio_client as library
from opentelemetry.instrumentation.grpc._client import _safe_invoke
from opentelemetry.trace import Span

from otel.instrument.aio.client_call import ClientCall, current_client_call
from otel.instrument.call_record import CallRecorder
from otel.instrument.method_names import MethodAttributes
from otel.instrument.peers import target_attributes
from otel.instrument.propagation import with_context

Hook = Callable[[Span, Any], None]


class Corrected(library._BaseAioClientInterceptor):
    """What the four have in common: the library's `intercept_*`, filter, request hook and propagation stay.

    Immutable; one channel's interceptors may run any number of calls at once.
    """

    requests_are_stream = False
    response_is_stream = False

    def __init__(
        self,
        recorder: CallRecorder,
        target: str | None = None,
        filter_: Callable[[Any], bool] | None = None,
        request_hook: Hook | None = None,
        response_hook: Hook | None = None,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # the library is untyped
            recorder.tracer, filter_=filter_, request_hook=request_hook, response_hook=response_hook
        )
        self._recorder = recorder
        self._methods = MethodAttributes({} if target is None else target_attributes(target))
        self._safe_response_hook = None if response_hook is None else _safe(response_hook)

    def _start_interceptor_span(self, method: str | bytes) -> ClientCall:
        name, attributes = self._methods.of(method)
        record = self._recorder.start(name, attributes, None)
        record.metric_attributes = attributes
        return ClientCall(record, self._safe_response_hook)

    @staticmethod
    def propagate_trace_in_details(client_call_details: Any) -> Any:
        """Note what the call was started with, then propagate as the library does; inside the span's block."""
        call = current_client_call.get()
        call.note(client_call_details.timeout, client_call_details.metadata)
        return ClientCallDetails(
            client_call_details.method,
            client_call_details.timeout,
            with_context(client_call_details.metadata, call.record.span_context),
            client_call_details.credentials,
            client_call_details.wait_for_ready,
        )

    async def _wrap_unary_response(self, continuation: Callable[[], Awaitable[Any]], _span: Span) -> Any:
        call = await continuation()
        self._follow(call)
        return call

    def _wrap_stream_response(self, _span: Span, call: Any) -> Any:
        self._follow(call)
        return call

    def _follow(self, call: Any) -> None:
        current_client_call.get().follow(
            call, requests_are_stream=self.requests_are_stream, response_is_stream=self.response_is_stream
        )


class CorrectedUnaryUnary(Corrected, library.UnaryUnaryAioClientInterceptor):
    """Traces unary-unary calls."""


class CorrectedUnaryStream(Corrected, library.UnaryStreamAioClientInterceptor):
    """Traces unary-stream calls."""

    response_is_stream = True


class CorrectedStreamUnary(Corrected, library.StreamUnaryAioClientInterceptor):
    """Traces stream-unary calls."""

    requests_are_stream = True


class CorrectedStreamStream(Corrected, library.StreamStreamAioClientInterceptor):
    """Traces stream-stream calls."""

    requests_are_stream = True
    response_is_stream = True


def _safe(hook: Hook) -> Hook:
    def call_hook(span: Span, response: Any) -> None:
        _safe_invoke(hook, span, response)

    return call_hook
