"""The three providers of one process, with one resource, and their shutdown within a bound."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opentelemetry.metrics import MeterProvider as ApiMeterProvider
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NoOpTracerProvider
from opentelemetry.trace import TracerProvider as ApiTracerProvider

from otel.instrument import pipelines, semconv
from otel.instrument.baggage import BaggageAttributes, BaggageSpanProcessor
from otel.instrument.export_watch import ExportWatch
from otel.instrument.settings import TelemetrySettings

# What an exporter that was told to stop may still take: it gives up the batch under way at once.
GIVE_UP_S = 0.25
JOIN_STEP_S = 0.05


@dataclass(frozen=True)
class Providers:
    """Tracer, meter and logger provider, and what must be called to close them.

    `closers` flush and close one pipeline each and may block; `give_up` makes them return soon.
    """

    tracer_provider: ApiTracerProvider
    meter_provider: ApiMeterProvider
    logger_provider: LoggerProvider | None
    closers: tuple[Callable[[], object], ...] = ()
    give_up: tuple[Callable[[], object], ...] = ()

    def shutdown(self, timeout_s: float, is_hopeless: Callable[[], bool] = lambda: False) -> bool:
        """Flush and close all pipelines side by side; return whether that took no longer than `timeout_s`.

        Blocks, so call it outside the event loop. The SDK bounds neither `force_flush` nor `shutdown` by a timeout of
        the caller's, so each pipeline closes in a daemon thread; at the end of the time its exporter is shut down under
        it, and what it still held is lost (and counted by the watch). `is_hopeless` ends the wait before its time.
        """
        deadline_s = time.monotonic() + max(0.0, timeout_s - GIVE_UP_S)
        threads = [threading.Thread(target=closer, daemon=True, name="telemetry-close") for closer in self.closers]
        for thread in threads:
            thread.start()
        in_time = _join(threads, deadline_s, is_hopeless)
        if not in_time:
            for stop in self.give_up:
                stop()
            _join(threads, time.monotonic() + GIVE_UP_S)
        return in_time


def _join(
    threads: Sequence[threading.Thread], deadline_s: float, is_hopeless: Callable[[], bool] = lambda: False
) -> bool:
    """Wait for all threads until `deadline_s` (monotonic); return whether they have all ended."""
    for thread in threads:
        while thread.is_alive() and time.monotonic() < deadline_s and not is_hopeless():
            thread.join(min(JOIN_STEP_S, max(0.0, deadline_s - time.monotonic())))
    return not any(thread.is_alive() for thread in threads)


def resource(service_name: str) -> Resource:
    """Describe this process. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over what is given here.

    `service.instance.id` is the SDK's own, one per process.
    """
    ours: dict[str, str | int] = {
        semconv.SERVICE_NAME: service_name,
        semconv.HOST_NAME: socket.gethostname(),
        semconv.PROCESS_PID: os.getpid(),
    }
    return Resource.create(ours, semconv.SCHEMA_URL).merge(OTELResourceDetector().detect())


def build_providers(settings: TelemetrySettings, watch: ExportWatch) -> Providers:
    """Make the providers as `OTEL_*` and `settings` say; nothing global is set.

    Starts an export thread per signal. With `OTEL_SDK_DISABLED` there are none and nothing is exported; with
    instrumentation `off` there are only logs.
    """
    if pipelines.sdk_is_disabled():
        return Providers(NoOpTracerProvider(), NoOpMeterProvider(), None)
    described = resource(settings.service_name)
    logs = LoggerProvider(resource=described, shutdown_on_exit=False)
    is_stock = settings.instrumentation == "stock"  # that is, untouched: its exporters, too
    log_exporters = pipelines.log_exporters(stock_encoding=is_stock)
    for log_exporter in log_exporters:
        logs.add_log_record_processor(pipelines.WatchedLogProcessor(log_exporter, watch, None))
    give_up: list[Callable[[], object]] = [exporter.shutdown for exporter in log_exporters]
    if settings.instrumentation == "off":
        return Providers(NoOpTracerProvider(), NoOpMeterProvider(), logs, (logs.shutdown,), tuple(give_up))
    readers = pipelines.metric_readers(watch)
    # The SDK's instruments measure also where no reader collects; those of the API's provider cost nothing.
    meters = MeterProvider(readers, described, shutdown_on_exit=False) if readers else NoOpMeterProvider()
    traces = TracerProvider(
        sampler=pipelines.sampler(),
        resource=described,
        id_generator=pipelines.id_generator(),
        shutdown_on_exit=False,
        meter_provider=meters,
    )
    traces.add_span_processor(
        BaggageSpanProcessor(BaggageAttributes(settings.baggage_keys, settings.baggage_value_chars))
    )
    span_exporters = pipelines.span_exporters(stock_encoding=is_stock)
    for span_exporter in span_exporters:
        traces.add_span_processor(pipelines.WatchedSpanProcessor(span_exporter, watch, meters))
    give_up += [exporter.shutdown for exporter in span_exporters]
    closers: list[Callable[[], object]] = [traces.shutdown, logs.shutdown]
    if isinstance(meters, MeterProvider):
        closers.append(_meter_closer(settings, meters))
    return Providers(traces, meters, logs, tuple(closers), tuple(give_up))


def _meter_closer(settings: TelemetrySettings, meters: MeterProvider) -> Callable[[], object]:
    """Return what closes the metrics. Those of gRPC's core begin here, if the settings say so, and end first."""
    if not settings.grpc_metrics:
        return meters.shutdown
    from otel.instrument.grpc_metrics import start_grpc_metrics

    stop = start_grpc_metrics(meters, settings.untraced_services)

    def close() -> None:
        stop()
        meters.shutdown()

    return close
