"""The library's synchronous client interceptor with its endings corrected, in gRPC's form and in the library's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from opentelemetry.instrumentation.grpc import _client as library
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import Span

from otel.instrument.call_record import CallRecorder
from otel.instrument.method_names import MethodAttributes
from otel.instrument.peers import target_attributes
from otel.instrument.sync.client_call import ClientCall
from otel.instrument.sync.traced_channel import CallDetails

Hook = Callable[[Span, Any], None]


class CorrectedClientInterceptor(
    library.OpenTelemetryClientInterceptor,
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Traces all four kinds, whether `grpc.intercept_channel` or the library's own function of that name calls it.

    Immutable; one channel's calls may run in any number of threads. Filter and hooks are the library's.
    """

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
        self._safe_response_hook = None if response_hook is None else self._call_response_hook

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Trace a call, as gRPC asks for it."""
        return self._intercepted(continuation, client_call_details, request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Trace a call, as gRPC asks for it."""
        return self._intercepted(continuation, client_call_details, request, response_is_stream=True)

    def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """Trace a call, as gRPC asks for it."""
        return self._intercepted(continuation, client_call_details, request_iterator, requests_are_stream=True)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """Trace a call, as gRPC asks for it."""
        return self._intercepted(
            continuation, client_call_details, request_iterator, requests_are_stream=True, response_is_stream=True
        )

    def intercept_unary(self, request: Any, metadata: Any, client_info: Any, invoker: Callable[..., Any]) -> Any:
        """Trace a unary-unary call, as the library's own channel asks for it."""
        return self._invoked(request, metadata, client_info, invoker)

    def intercept_stream(
        self, request_or_iterator: Any, metadata: Any, client_info: Any, invoker: Callable[..., Any]
    ) -> Any:
        """Trace a call of another kind, as the library's own channel asks for it."""
        return self._invoked(
            request_or_iterator,
            metadata,
            client_info,
            invoker,
            requests_are_stream=client_info.is_client_stream,
            response_is_stream=client_info.is_server_stream,
        )

    def _intercepted(
        self,
        continuation: Callable[[Any, Any], Any],
        details: Any,
        request: Any,
        *,
        requests_are_stream: bool = False,
        response_is_stream: bool = False,
    ) -> Any:
        if self._is_skipped(details):
            return continuation(details, request)
        timeout: float | None = getattr(details, "timeout", None)
        call = self._begin(details.method, timeout, requests_are_stream)

        def start(sent: Any, metadata: Any) -> Any:
            self._tell_hook(call, request)
            return continuation(_with_metadata(details, metadata), sent)

        outcome = call.start(start, request, getattr(details, "metadata", None))
        call.follow(outcome, response_is_stream=response_is_stream)
        return outcome

    def _invoked(
        self,
        request: Any,
        metadata: Any,
        client_info: Any,
        invoker: Callable[..., Any],
        *,
        requests_are_stream: bool = False,
        response_is_stream: bool = False,
    ) -> Any:
        if self._is_skipped(client_info):
            return invoker(request, metadata)
        call = self._begin(client_info.full_method, client_info.timeout, requests_are_stream)

        def start(sent: Any, with_context: Any) -> Any:
            self._tell_hook(call, request)
            return invoker(sent, with_context)

        result = call.start(start, request, metadata)
        if isinstance(result, grpc.Future):
            call.follow(result, response_is_stream=response_is_stream)
        else:
            call.answered(result[0] if _is_with_call(result) else result)
        return result

    def _is_skipped(self, details: Any) -> bool:
        return not is_instrumentation_enabled() or (self._filter is not None and not self._filter(details))

    def _tell_hook(self, call: ClientCall, request: Any) -> None:
        if self._request_hook is not None:
            self._call_request_hook(call.record.span, request)  # type: ignore[no-untyped-call]  # the library is untyped

    def _begin(self, method: str, timeout_s: float | None, requests_are_stream: bool) -> ClientCall:
        name, attributes = self._methods.of(method)
        record = self._recorder.start(name, attributes, None)
        record.metric_attributes = attributes
        return ClientCall(record, timeout_s, self._safe_response_hook, requests_are_stream)


def _is_with_call(result: Any) -> bool:
    return isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], grpc.Call)


def _with_metadata(details: Any, metadata: Any) -> CallDetails:
    return CallDetails(
        details.method,
        getattr(details, "timeout", None),
        metadata,
        getattr(details, "credentials", None),
        getattr(details, "wait_for_ready", None),
        getattr(details, "compression", None),
    )
