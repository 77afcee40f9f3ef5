"""Makes the interceptors, with the library's signatures: the one place where stock and corrected are exchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import grpc
import grpc.aio
from opentelemetry import metrics, trace
from opentelemetry.metrics import Counter, Meter, MeterProvider
from opentelemetry.trace import SpanKind, TracerProvider

from otel.instrument import semconv
from otel.instrument.aio.client_interceptors import (
    CorrectedStreamStream,
    CorrectedStreamUnary,
    CorrectedUnaryStream,
    CorrectedUnaryUnary,
    Hook,
)
from otel.instrument.aio.server_interceptor import CorrectedAioServerInterceptor
from otel.instrument.aio.traced_channel import TracedChannel
from otel.instrument.aio.traced_server import TracedServer
from otel.instrument.call_durations import CallDurations
from otel.instrument.call_record import CallRecorder, ExceptionLog, log_with_stdlib
from otel.instrument.server_stop import ServerStop
from otel.instrument.sync.client_interceptor import CorrectedClientInterceptor
from otel.instrument.sync.server_interceptor import CorrectedServerInterceptor
from otel.instrument.sync.traced_channel import TracedChannel as TracedSyncChannel

SCOPE_NAME: Final = __name__.rpartition(".")[0]  # otel.instrument, and the distribution's name in the distribution
_CLIENT_CLASSES: Final = (CorrectedUnaryUnary, CorrectedUnaryStream, CorrectedStreamUnary, CorrectedStreamStream)

Filter = Callable[[Any], bool]


def aio_client_interceptors(
    tracer_provider: TracerProvider | None = None,
    filter_: Filter | None = None,
    request_hook: Hook | None = None,
    response_hook: Hook | None = None,
    *,
    target: str | None = None,
    meter_provider: MeterProvider | None = None,
    message_events: int = 0,
    message_sizes: bool = False,
    log_exception: ExceptionLog = log_with_stdlib,
) -> list[grpc.aio.ClientInterceptor]:
    """Make the four corrected client interceptors of one channel; in place of the library's function of this name.

    What the library takes is positional as there; ours are keywords. `target` is the channel's: `server.address` and
    `server.port` come from it, and are left out without it. A provider that is None is the global one.
    """
    recorder = _client_recorder(tracer_provider, meter_provider, message_events, message_sizes, log_exception)
    return [made(recorder, target, filter_, request_hook, response_hook) for made in _CLIENT_CLASSES]


def traced_channel(
    channel: grpc.aio.Channel,
    target: str,
    tracer_provider: TracerProvider | None = None,
    filter_: Filter | None = None,
    *,
    meter_provider: MeterProvider | None = None,
    message_events: int = 0,
    message_sizes: bool = False,
    log_exception: ExceptionLog = log_with_stdlib,
) -> grpc.aio.Channel:
    """Trace the calls of a channel to `target` that has no interceptors: says the same as they do, and costs less."""
    recorder = _client_recorder(tracer_provider, meter_provider, message_events, message_sizes, log_exception)
    return TracedChannel(channel, recorder, target, filter_)


def aio_server_interceptor(
    tracer_provider: TracerProvider | None = None,
    filter_: Filter | None = None,
    *,
    meter_provider: MeterProvider | None = None,
    message_events: int = 0,
    message_sizes: bool = False,
    log_exception: ExceptionLog = log_with_stdlib,
    stop: ServerStop | None = None,
) -> grpc.aio.ServerInterceptor:
    """Make the corrected server interceptor of one server, to be its outermost; in place of the library's function.

    `stop` tells it when the server begins to cancel calls. A provider that is None is the global one.
    """
    recorder = _server_recorder(tracer_provider, meter_provider, message_events, message_sizes, log_exception)
    made: grpc.aio.ServerInterceptor = CorrectedAioServerInterceptor(recorder, filter_, stop)
    return made


def traced_server(
    server: grpc.aio.Server,
    tracer_provider: TracerProvider | None = None,
    filter_: Filter | None = None,
    *,
    meter_provider: MeterProvider | None = None,
    message_events: int = 0,
    message_sizes: bool = False,
    log_exception: ExceptionLog = log_with_stdlib,
    stop: ServerStop | None = None,
) -> grpc.aio.Server:
    """Trace the calls of a server that has no interceptors and no handlers yet: says the same and costs less."""
    recorder = _server_recorder(tracer_provider, meter_provider, message_events, message_sizes, log_exception)
    return TracedServer(server, recorder, filter_, stop)


def client_interceptor(
    tracer_provider: TracerProvider | None = None,
    filter_: Filter | None = None,
    request_hook: Hook | None = None,
    response_hook: Hook | None = None,
    *,
    target: str | None = None,
    meter_provider: MeterProvider | None = None,
    message_events: int = 0,
    message_sizes: bool = False,
    log_exception: ExceptionLog = log_with_stdlib,
) -> CorrectedClientInterceptor:
    """Make the corrected client interceptor of one synchronous channel; in place of the library's function.

    `grpc.intercept_channel` takes it, and so does the library's own `grpcext.intercept_channel`. Arguments as of
    `aio_client_interceptors`.
    """
    recorder = _client_recorder(tracer_provider, meter_provider, message_events, message_sizes, log_exception)
    return CorrectedClientInterceptor(recorder, target, filter_, request_hook, response_hook)


def traced_sync_channel(
    channel: grpc.Channel,
    target: str,
    tracer_provider: TracerProvider | None = None,
    filter_: Filter | None = None,
    *,
    meter_provider: MeterProvider | None = None,
    message_events: int = 0,
    message_sizes: bool = False,
    log_exception: ExceptionLog = log_with_stdlib,
) -> grpc.Channel:
    """Trace the calls of a synchronous channel to `target`; interceptors that it has run inside the tracing."""
    recorder = _client_recorder(tracer_provider, meter_provider, message_events, message_sizes, log_exception)
    return TracedSyncChannel(channel, recorder, target, filter_)


def server_interceptor(
    tracer_provider: TracerProvider | None = None,
    filter_: Filter | None = None,
    *,
    meter_provider: MeterProvider | None = None,
    message_events: int = 0,
    message_sizes: bool = False,
    log_exception: ExceptionLog = log_with_stdlib,
    stop: ServerStop | None = None,
) -> grpc.ServerInterceptor:
    """Make the corrected interceptor of one synchronous server, to be its outermost; in place of the library's.

    `stop` tells it when the server begins to cancel calls. A provider that is None is the global one.
    """
    recorder = _server_recorder(tracer_provider, meter_provider, message_events, message_sizes, log_exception)
    made: grpc.ServerInterceptor = CorrectedServerInterceptor(recorder, filter_, stop)
    return made


def untraced(services: frozenset[str]) -> Filter | None:
    """Make a filter that lets every call be traced but those to `services` (full names)."""
    if not services:
        return None
    prefixes = tuple(f"/{name}/" for name in services)
    prefixes_bytes = tuple(prefix.encode() for prefix in prefixes)

    def is_traced(details: Any) -> bool:
        method = getattr(details, "method", None)
        if method is None:  # the library's own synchronous channel calls it by another name
            method = details.full_method
        return not method.startswith(prefixes_bytes if isinstance(method, bytes) else prefixes)

    return is_traced


def _server_recorder(
    tracer_provider: TracerProvider | None,
    meter_provider: MeterProvider | None,
    message_events: int,
    message_sizes: bool,
    log_exception: ExceptionLog,
) -> CallRecorder:
    return CallRecorder(
        _tracer(tracer_provider),
        SpanKind.SERVER,
        _durations(meter_provider, semconv.SERVER_CALL_DURATION, "Duration of an incoming call."),
        message_events,
        log_exception,
        _sent_sizes(meter_provider, semconv.SERVER_SENT_MESSAGE_SIZE) if message_sizes else None,
    )


def _client_recorder(
    tracer_provider: TracerProvider | None,
    meter_provider: MeterProvider | None,
    message_events: int,
    message_sizes: bool,
    log_exception: ExceptionLog,
) -> CallRecorder:
    return CallRecorder(
        _tracer(tracer_provider),
        SpanKind.CLIENT,
        _durations(meter_provider, semconv.CLIENT_CALL_DURATION, "Duration of an outgoing call, with all its retries."),
        message_events,
        log_exception,
        _sent_sizes(meter_provider, semconv.CLIENT_SENT_MESSAGE_SIZE) if message_sizes else None,
    )


def _tracer(provider: TracerProvider | None) -> trace.Tracer:
    return trace.get_tracer(SCOPE_NAME, tracer_provider=provider, schema_url=semconv.SCHEMA_URL)


def _sent_sizes(provider: MeterProvider | None, name: str) -> Counter:
    meter = metrics.get_meter(SCOPE_NAME, meter_provider=provider, schema_url=semconv.SCHEMA_URL)
    return meter.create_counter(name, "By", "Bytes of messages sent, before they are compressed.")


def _durations(provider: MeterProvider | None, name: str, description: str) -> CallDurations | None:
    meter: Meter = metrics.get_meter(SCOPE_NAME, meter_provider=provider, schema_url=semconv.SCHEMA_URL)
    if isinstance(meter, metrics.NoOpMeter):
        return None
    return CallDurations(meter, name, description)
