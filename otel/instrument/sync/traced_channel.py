"""A channel whose calls are traced, in all calling styles: the caller gets gRPC's own response, error or call object.

What the channel wraps may have interceptors: they run inside the tracing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import grpc
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from otel.instrument.call_record import CallRecorder
from otel.instrument.method_names import MethodAttributes
from otel.instrument.peers import target_attributes
from otel.instrument.sync.client_call import ClientCall


@dataclass(frozen=True, slots=True)
class CallDetails(grpc.ClientCallDetails):
    """What a call is started with; a filter is asked with it, and gRPC's interceptors get it."""

    method: str
    timeout: float | None = None
    metadata: Any = None
    credentials: grpc.CallCredentials | None = None
    wait_for_ready: bool | None = None
    compression: grpc.Compression | None = None


class TracedChannel(grpc.Channel):
    """Traces each call of `channel`; safe in any thread, as that is.

    `filter_` is asked once per method, when a stub is made, and says whether its calls are traced.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        recorder: CallRecorder,
        target: str,
        filter_: Callable[[Any], bool] | None = None,
    ) -> None:
        self._channel = channel
        self._recorder = recorder
        self._methods = MethodAttributes(target_attributes(target))
        self._filter = filter_

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._channel.close()

    def close(self) -> None:
        """Close the channel as gRPC does: its calls are cancelled."""
        self._channel.close()

    def subscribe(self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool = False) -> None:
        """Tell `callback` of the channel's states."""
        self._channel.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        """Tell `callback` no more."""
        self._channel.unsubscribe(callback)

    def unary_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Make what starts calls of `method`; a stub's own business, as for the other three kinds."""
        return self._traced(_UnaryUnary, method, self._channel.unary_unary(method, *arguments, **options))

    def unary_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Make what starts calls of `method`."""
        return self._traced(_UnaryStream, method, self._channel.unary_stream(method, *arguments, **options))

    def stream_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Make what starts calls of `method`."""
        return self._traced(_StreamUnary, method, self._channel.stream_unary(method, *arguments, **options))

    def stream_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Make what starts calls of `method`."""
        return self._traced(_StreamStream, method, self._channel.stream_stream(method, *arguments, **options))

    def _traced(self, kind: type[_MultiCallable], method: str, multi_callable: Any) -> Any:
        if self._filter is not None and not self._filter(CallDetails(method)):
            return multi_callable
        return kind(self._recorder, self._methods, method, multi_callable)


Style = Callable[..., Any]  # the way in which gRPC is asked to make a call


class _MultiCallable:
    """Starts traced calls of one method; safe in any thread."""

    requests_are_stream = False
    response_is_stream = False

    def __init__(self, recorder: CallRecorder, methods: MethodAttributes, method: str, multi_callable: Any) -> None:
        self._recorder = recorder
        self._name, self._attributes = methods.of(method)
        self._multi_callable = multi_callable

    def _blocking(self, style: Style, request: Any, timeout: float | None, metadata: Any, *rest: Any) -> Any:
        if not is_instrumentation_enabled():
            return style(request, timeout, metadata, *rest)
        call = self._begin(timeout)
        response = call.start(lambda sent, pairs: style(sent, timeout, pairs, *rest), request, metadata)
        call.answered()
        return response

    def _followed(self, style: Style, request: Any, timeout: float | None, metadata: Any, *rest: Any) -> Any:
        if not is_instrumentation_enabled():
            return style(request, timeout, metadata, *rest)
        call = self._begin(timeout)
        started = call.start(lambda sent, pairs: style(sent, timeout, pairs, *rest), request, metadata)
        call.follow(started, response_is_stream=self.response_is_stream)
        return started

    def _begin(self, timeout_s: float | None) -> ClientCall:
        record = self._recorder.start(self._name, self._attributes, None)
        record.metric_attributes = self._attributes
        return ClientCall(record, timeout_s, None, self.requests_are_stream)


class _WithResponse(_MultiCallable):
    """The three styles of a call with one response."""

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        rest = (credentials, wait_for_ready, compression)
        return self._blocking(self._multi_callable, request, timeout, metadata, *rest)

    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Call and give the response and gRPC's call."""
        rest = (credentials, wait_for_ready, compression)
        return self._blocking(self._multi_callable.with_call, request, timeout, metadata, *rest)

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Start the call and give gRPC's call, which is a future, too."""
        rest = (credentials, wait_for_ready, compression)
        return self._followed(self._multi_callable.future, request, timeout, metadata, *rest)


class _WithResponses(_MultiCallable):
    """A call with a stream of responses."""

    response_is_stream = True

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        rest = (credentials, wait_for_ready, compression)
        return self._followed(self._multi_callable, request, timeout, metadata, *rest)


class _UnaryUnary(_WithResponse, grpc.UnaryUnaryMultiCallable):  # type: ignore[type-arg]  # generic in its types only
    pass


class _UnaryStream(_WithResponses, grpc.UnaryStreamMultiCallable):  # type: ignore[type-arg]  # generic in its types only
    pass


class _StreamUnary(_WithResponse, grpc.StreamUnaryMultiCallable):  # type: ignore[type-arg]  # generic in its types only
    requests_are_stream = True


class _StreamStream(_WithResponses, grpc.StreamStreamMultiCallable):  # type: ignore[type-arg]  # generic in its types only
    requests_are_stream = True
