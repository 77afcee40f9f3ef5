"""The face of this package: one `Telemetry` per process, made by `configure` in a `main()`."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from typing import Any

import grpc.aio
import structlog
from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.instrumentation import grpc as library
from opentelemetry.metrics import Meter
from opentelemetry.trace import Tracer

from otel.instrument import interceptors as tracing
from otel.instrument import semconv
from otel.instrument.baggage import BaggageAttributes
from otel.instrument.export_watch import ExportWatch
from otel.instrument.log_bound import merge_bound
from otel.instrument.log_lines import LineLogger, LineSink, RotatingLineFile, StdoutLines
from otel.instrument.log_records import LogRecorder
from otel.instrument.log_stdlib import RecorderHandler, StdlibLogging
from otel.instrument.providers import Providers, build_providers
from otel.instrument.server_stop import ServerStop
from otel.instrument.settings import SettingsError, TelemetrySettings
from otel.instrument.sync.face import SyncTelemetry

CHANNEL_OPTIONS = Sequence[tuple[str, Any]]


def configure(settings: TelemetrySettings) -> Telemetry:
    """Set up the telemetry of this process, once, from a `main()`, before any server or channel exists.

    Makes the providers as the standard `OTEL_*` variables say, makes them the global ones too, and takes over structlog
    and stdlib logging. Starts the SDK's export threads, so a process that forks does it afterwards. At exit it shuts
    itself down within three seconds, if nobody did before. Raises OSError if the log file can't be opened, and
    SettingsError where the SDK can't do what an `OTEL_*` variable says.
    """
    watch = ExportWatch()
    try:
        providers = build_providers(settings, watch)
    except Exception as error:  # exporters have errors of their own for this, the SDK has none
        if isinstance(error, (ValueError, RuntimeError)) or type(error).__module__.startswith("opentelemetry."):
            raise SettingsError(f"telemetry cannot be set up as the OTEL_* variables say: {error}") from error
        raise
    trace.set_tracer_provider(providers.tracer_provider)
    metrics.set_meter_provider(providers.meter_provider)
    if providers.logger_provider is not None:
        set_logger_provider(providers.logger_provider)
    telemetry = Telemetry(settings, providers, watch, line_sinks(settings))
    telemetry.take_over_logging()
    atexit.register(telemetry.shutdown)
    return telemetry


def line_sinks(settings: TelemetrySettings) -> list[LineSink]:
    """Open the sinks of the settings: standard output, the rotated file, both or none."""
    sinks: list[LineSink] = []
    if settings.log_to_stdout:
        sinks.append(StdoutLines())
    if settings.log_file is not None:
        sinks.append(RotatingLineFile(settings.log_file, settings.log_file_bytes, settings.log_file_count))
    return sinks


class Telemetry:
    """What a service or client records with. Made with given providers it touches nothing global by itself.

    Channels and interceptors of grpc.aio belong to the event loop that uses them; everything else may be used from any
    thread. `sync` makes those of the synchronous API.
    """

    def __init__(
        self, settings: TelemetrySettings, providers: Providers, watch: ExportWatch, sinks: Sequence[LineSink] = ()
    ) -> None:
        self.settings = settings
        self.providers = providers
        self._watch = watch
        self._sinks = tuple(sinks)
        self._lines = LineLogger(self._sinks)
        otlp_logger = (
            None
            if providers.logger_provider is None
            else providers.logger_provider.get_logger(tracing.SCOPE_NAME, schema_url=semconv.SCHEMA_URL)
        )
        self._recorder = LogRecorder(
            settings.service_name,
            otlp_logger,
            BaggageAttributes(settings.baggage_keys, settings.baggage_value_chars),
            as_span_events=settings.logs_as_span_events,
        )
        self._stdlib = StdlibLogging(RecorderHandler(self._recorder, self._lines, watch), settings.log_level)
        self._stop = ServerStop()
        self._filter = tracing.untraced(settings.untraced_services)
        self._is_shut_down = False
        self.sync = SyncTelemetry(settings, providers, self.log_exception, self._stop)

    @property
    def tracer(self) -> Tracer:
        """The tracer for a program's own spans."""
        return trace.get_tracer(
            self.settings.service_name, tracer_provider=self.providers.tracer_provider, schema_url=semconv.SCHEMA_URL
        )

    @property
    def meter(self) -> Meter:
        """The meter for a program's own instruments."""
        return metrics.get_meter(
            self.settings.service_name, meter_provider=self.providers.meter_provider, schema_url=semconv.SCHEMA_URL
        )

    def server_interceptors(self) -> list[grpc.aio.ServerInterceptor]:
        """Make the tracing interceptors of a server; they go before all others. None when instrumentation is off."""
        if self.settings.instrumentation == "off":
            return []
        if self.settings.instrumentation == "stock":
            made = library.aio_server_interceptor(self.providers.tracer_provider, self._filter)  # type: ignore[no-untyped-call]  # the library is untyped
            return [made]
        return [
            tracing.aio_server_interceptor(
                self.providers.tracer_provider, self._filter, **self._options, stop=self._stop
            )
        ]

    def server(
        self,
        *,
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
        options: CHANNEL_OPTIONS = (),
        maximum_concurrent_rpcs: int | None = None,
    ) -> grpc.aio.Server:
        """Make a traced server; `interceptors` run inside the tracing. Needs a running loop.

        Without other interceptors it needs none of ours, which costs less than `server_interceptors`.
        """
        traces_itself = self.settings.instrumentation == "corrected" and not interceptors
        made = grpc.aio.server(
            interceptors=[] if traces_itself else [*self.server_interceptors(), *interceptors],
            options=list(options),
            maximum_concurrent_rpcs=maximum_concurrent_rpcs,
        )
        if not traces_itself:
            return made
        return tracing.traced_server(
            made, self.providers.tracer_provider, self._filter, **self._options, stop=self._stop
        )

    def client_interceptors(self, target: str) -> list[grpc.aio.ClientInterceptor]:
        """Make the tracing interceptors of a channel to `target`; they go before all others."""
        if self.settings.instrumentation == "off":
            return []
        if self.settings.instrumentation == "stock":
            return list(library.aio_client_interceptors(self.providers.tracer_provider, self._filter))  # type: ignore[no-untyped-call]  # the library is untyped
        return tracing.aio_client_interceptors(
            self.providers.tracer_provider, self._filter, target=target, **self._options
        )

    def insecure_channel(
        self,
        target: str,
        *,
        options: CHANNEL_OPTIONS = (),
        compression: grpc.Compression | None = None,
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    ) -> grpc.aio.Channel:
        """Open a traced channel without TLS; `interceptors` run inside the tracing. Needs a running loop."""
        return self.channel(target, options=options, compression=compression, interceptors=interceptors)

    def channel(
        self,
        target: str,
        credentials: grpc.ChannelCredentials | None = None,
        *,
        options: CHANNEL_OPTIONS = (),
        compression: grpc.Compression | None = None,
        interceptors: Sequence[grpc.aio.ClientInterceptor] = (),
    ) -> grpc.aio.Channel:
        """Open a traced channel with TLS as `credentials` say, without them in the clear; `interceptors` as there."""
        traces_itself = self.settings.instrumentation == "corrected" and not interceptors
        outside = [] if traces_itself else [*self.client_interceptors(target), *interceptors]
        opened = (
            grpc.aio.insecure_channel(target, list(options), compression, outside)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, list(options), compression, outside)
        )
        if not traces_itself:
            return opened
        return tracing.traced_channel(opened, target, self.providers.tracer_provider, self._filter, **self._options)

    @property
    def _options(self) -> dict[str, Any]:
        """What servers and channels record, and by what."""
        return {
            "meter_provider": self.providers.meter_provider,
            "message_events": self.settings.message_events,
            "message_sizes": self.settings.grpc_metrics,
            "log_exception": self.log_exception,
        }

    def server_stopping(self, grace_s: float = 0.0) -> None:
        """Say that this process's server stops now and cancels what runs after `grace_s`; call before `server.stop`.

        Calls cancelled from then on read UNAVAILABLE, as their clients see them, instead of CANCELLED.
        """
        self._stop.begin(grace_s)

    def take_over_logging(self) -> None:
        """Send structlog and stdlib logging of this process here, until `shutdown`."""
        structlog.configure(
            processors=[merge_bound, self._recorder],
            wrapper_class=structlog.make_filtering_bound_logger(self.settings.log_level),
            logger_factory=lambda *_names: self._lines,
            cache_logger_on_first_use=self.settings.cache_loggers,
        )
        self._stdlib.install()
        if not self.settings.quiet_export:
            self._watch.on_change(self._report_export)

    def log_exception(self, event: str, error: BaseException) -> None:
        """Write one record about an exception that nobody handles, in the current context."""
        level = "warning" if event == semconv.CLIENT_CALL_EXCEPTION else "error"
        self._lines.msg(self._recorder.record(level, event, {"exc_info": error}, is_event_name=True))

    def shutdown(self, timeout_s: float = 3.0) -> None:
        """Flush and close within `timeout_s`, then log how many spans and logs no backend took, if any.

        With `quiet_export` it does not wait for a backend that does not answer. Blocks: call it by `asyncio.to_thread`.
        A second call does nothing. Records logged later reach only the lines.
        """
        if self._is_shut_down:
            return
        self._is_shut_down = True
        self._stop.end_outlived()
        atexit.unregister(self.shutdown)
        self._watch.on_change(lambda _event, _facts: None)
        quiet = self.settings.quiet_export
        self.providers.shutdown(timeout_s, lambda: quiet and self._watch.is_troubled)
        self._report_loss()
        self._stdlib.restore()
        for sink in self._sinks:
            sink.close()

    def _report_export(self, event: str, facts: dict[str, str]) -> None:
        level = "warning" if event == "export.failed" else "info"
        self._lines.msg(self._recorder.record(level, event, {**facts}, is_event_name=True, local_only=True))

    def _report_loss(self) -> None:
        spans, logs = self._watch.loss("spans"), self._watch.loss("logs")
        if self.settings.quiet_export or not (spans.lost_count or logs.lost_count):
            return
        facts = {
            "dropped_span_count": spans.lost_count,
            "span_count": spans.made_count,
            "dropped_log_count": logs.lost_count,
            "log_count": logs.made_count,
        }
        self._lines.msg(
            self._recorder.record("warning", "telemetry.dropped", facts, is_event_name=True, local_only=True)
        )
