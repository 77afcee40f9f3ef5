"""A channel whose calls are traced without client interceptors: the caller gets gRPC's own call, and pays for no other.

Interceptors make each call run in one more task, behind an object that stands in for the call. Where a channel has no
other interceptors, tracing needs neither: it starts the span, starts the call inside it, and follows the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import grpc
import grpc.aio
from opentelemetry.context import attach, detach, get_current

from otel.instrument.aio.client_call import ClientCall
from otel.instrument.call_record import CallRecorder
from otel.instrument.method_names import MethodAttributes
from otel.instrument.peers import target_attributes
from otel.instrument.propagation import with_context
from otel.instrument.suppression import is_suppressed


class TracedChannel(grpc.aio.Channel):
    """Traces each call of `channel`, which has no interceptors; belongs to that channel's event loop.

    `filter_` is asked once per method, when a stub is made, and says whether its calls are traced.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        recorder: CallRecorder,
        target: str,
        filter_: Callable[[Any], bool] | None = None,
    ) -> None:
        self._channel = channel
        self._recorder = recorder
        self._methods = MethodAttributes(target_attributes(target))
        self._filter = filter_

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._channel.close()

    async def close(self, grace: float | None = None) -> None:
        """Close the channel as gRPC does: calls that outlive `grace` (in seconds) are cancelled."""
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Return the channel's state."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Wait until the channel's state is another one."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the channel is connected."""
        await self._channel.channel_ready()

    def unary_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Make what starts calls of `method`; a stub's own business, as for the other three kinds."""
        return self._traced(_WithRequest, method, self._channel.unary_unary(method, *arguments, **options))

    def unary_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Make what starts calls of `method`."""
        started = self._channel.unary_stream(method, *arguments, **options)
        return self._traced(_WithRequest, method, started, response_is_stream=True)

    def stream_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Make what starts calls of `method`."""
        started = self._channel.stream_unary(method, *arguments, **options)
        return self._traced(_WithRequests, method, started, requests_are_stream=True)

    def stream_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Make what starts calls of `method`."""
        started = self._channel.stream_stream(method, *arguments, **options)
        return self._traced(_WithRequests, method, started, requests_are_stream=True, response_is_stream=True)

    def _traced(
        self,
        kind: type[_MultiCallable],
        method: str,
        multi_callable: Any,
        *,
        requests_are_stream: bool = False,
        response_is_stream: bool = False,
    ) -> Any:
        details = grpc.aio.ClientCallDetails(method, None, None, None, None)
        if self._filter is not None and not self._filter(details):
            return multi_callable
        return kind(self._recorder, self._methods, method, multi_callable, requests_are_stream, response_is_stream)


class _MultiCallable:
    """Starts traced calls of one method."""

    def __init__(
        self,
        recorder: CallRecorder,
        methods: MethodAttributes,
        method: str,
        multi_callable: Any,
        requests_are_stream: bool,
        response_is_stream: bool,
    ) -> None:
        self._recorder = recorder
        self._name, self._attributes = methods.of(method)
        self._multi_callable = multi_callable
        self._requests_are_stream = requests_are_stream
        self._response_is_stream = response_is_stream

    def _start(self, request: Any, timeout: float | None, metadata: Any, options: dict[str, Any]) -> Any:
        current = get_current()
        if is_suppressed(current):
            return self._multi_callable(request, timeout=timeout, metadata=metadata, **options)
        record = self._recorder.start(self._name, self._attributes, current)
        record.metric_attributes = self._attributes
        traced = ClientCall(record, None)
        token = attach(record.context)  # the call's own task, and that of its request iterator, copy this context
        try:
            traced.note(timeout, metadata)
            sent = with_context(metadata, record.span_context, record.context)
            call = self._multi_callable(request, timeout=timeout, metadata=sent, **options)
            traced.follow(
                call, requests_are_stream=self._requests_are_stream, response_is_stream=self._response_is_stream
            )
        except BaseException as error:
            traced.end_without_call(error)
            raise
        finally:
            detach(token)
        return call


class _WithRequest(_MultiCallable):
    def __call__(self, request: Any, *, timeout: float | None = None, metadata: Any = None, **options: Any) -> Any:
        return self._start(request, timeout, metadata, options)


class _WithRequests(_MultiCallable):
    def __call__(
        self,
        request_iterator: Any = None,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        options = {"credentials": credentials, "wait_for_ready": wait_for_ready, "compression": compression}
        return self._start(request_iterator, timeout, metadata, options)
