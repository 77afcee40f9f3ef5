"""The synchronous side of `Telemetry`: `telemetry.sync`, with the names of its aio side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from opentelemetry.instrumentation import grpc as library
from opentelemetry.instrumentation.grpc import grpcext

from otel.instrument import interceptors as tracing
from otel.instrument.call_record import ExceptionLog
from otel.instrument.providers import Providers
from otel.instrument.server_stop import ServerStop
from otel.instrument.settings import TelemetrySettings

CHANNEL_OPTIONS = Sequence[tuple[str, Any]]


class SyncTelemetry:
    """What a program records with that serves or calls by the synchronous API; safe in any thread."""

    def __init__(
        self, settings: TelemetrySettings, providers: Providers, log_exception: ExceptionLog, stop: ServerStop
    ) -> None:
        self._settings = settings
        self._providers = providers
        self._log_exception = log_exception
        self._stop = stop
        self._filter = tracing.untraced(settings.untraced_services)

    def server_interceptors(self) -> list[grpc.ServerInterceptor]:
        """Make the tracing interceptors of a server; they go before all others. None when instrumentation is off."""
        if self._settings.instrumentation == "off":
            return []
        if self._settings.instrumentation == "stock":
            made = library.server_interceptor(self._providers.tracer_provider, self._filter)  # type: ignore[no-untyped-call]  # the library is untyped
            return [made]
        return [
            tracing.server_interceptor(
                self._providers.tracer_provider,
                self._filter,
                meter_provider=self._providers.meter_provider,
                message_events=self._settings.message_events,
                message_sizes=self._settings.grpc_metrics,
                log_exception=self._log_exception,
                stop=self._stop,
            )
        ]

    def insecure_channel(
        self,
        target: str,
        *,
        options: CHANNEL_OPTIONS = (),
        compression: grpc.Compression | None = None,
        interceptors: Sequence[Any] = (),
    ) -> grpc.Channel:
        """Open a traced channel without TLS; `interceptors`, in gRPC's form, run inside the tracing."""
        return self._traced(grpc.insecure_channel(target, list(options), compression), target, interceptors)

    def channel(
        self,
        target: str,
        credentials: grpc.ChannelCredentials | None,
        *,
        options: CHANNEL_OPTIONS = (),
        compression: grpc.Compression | None = None,
        interceptors: Sequence[Any] = (),
    ) -> grpc.Channel:
        """Open a traced channel: with TLS as `credentials` say, or without them in the clear."""
        if credentials is None:
            return self.insecure_channel(target, options=options, compression=compression, interceptors=interceptors)
        return self.secure_channel(
            target, credentials, options=options, compression=compression, interceptors=interceptors
        )

    def secure_channel(
        self,
        target: str,
        credentials: grpc.ChannelCredentials,
        *,
        options: CHANNEL_OPTIONS = (),
        compression: grpc.Compression | None = None,
        interceptors: Sequence[Any] = (),
    ) -> grpc.Channel:
        """Open a traced channel with TLS, or with what else `credentials` say."""
        channel = grpc.secure_channel(target, credentials, list(options), compression)
        return self._traced(channel, target, interceptors)

    def _traced(self, channel: grpc.Channel, target: str, interceptors: Sequence[Any]) -> grpc.Channel:
        inner = grpc.intercept_channel(channel, *interceptors) if interceptors else channel
        if self._settings.instrumentation == "off":
            return inner
        if self._settings.instrumentation == "stock":
            stock = library.client_interceptor(self._providers.tracer_provider, self._filter)  # type: ignore[no-untyped-call]  # the library is untyped
            intercepted: grpc.Channel = grpcext.intercept_channel(inner, stock)  # type: ignore[no-untyped-call]
            return intercepted
        return tracing.traced_sync_channel(
            inner,
            target,
            self._providers.tracer_provider,
            self._filter,
            meter_provider=self._providers.meter_provider,
            message_events=self._settings.message_events,
            message_sizes=self._settings.grpc_metrics,
            log_exception=self._log_exception,
        )
