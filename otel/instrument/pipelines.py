"""Exporters and processors of the three signals, chosen by the standard `OTEL_*` variables.

The SDK chooses: its own configuration module picks exporter classes (`OTEL_TRACES_EXPORTER`, `OTEL_EXPORTER_OTLP_*`),
sampler and id generator; exporters and batch processors read their own variables. Here an OTLP exporter of spans or
logs gets a cheaper encoding (`otlp_wire`), and each exporter is wrapped, so that what it delivered is counted. Without
an exporter variable the choice is `otlp`, as the specification says.
Those functions of the SDK are private: tests/unit/instrument/test_sdk_seams.py holds each one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

from opentelemetry.metrics import MeterProvider as ApiMeterProvider
from opentelemetry.sdk import _configuration as sdk_configuration
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    LogRecordExporter,
    LogRecordExportResult,
)
from opentelemetry.sdk._shared_internal import BatchProcessor
from opentelemetry.sdk.environment_variables import OTEL_SDK_DISABLED
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import TraceFlags

from otel.instrument.deferred import Deferred
from otel.instrument.export_watch import ExportWatch

if TYPE_CHECKING:  # they import what only OTLP needs
    from otel.instrument.otlp_logs import LogEncoder
    from otel.instrument.otlp_spans import SpanEncoder

OTLP: Final = "otlp"
_SAMPLED: Final = TraceFlags.SAMPLED
SignalVariable = Literal["traces", "metrics", "logs"]
Made = TypeVar("Made", SpanExporter, LogRecordExporter)


def sdk_is_disabled() -> bool:
    """Say whether `OTEL_SDK_DISABLED` is true, read as the SDK reads it."""
    return os.environ.get(OTEL_SDK_DISABLED, "").strip().lower() == "true"


def sampler() -> Sampler | None:
    """Return the sampler of `OTEL_TRACES_SAMPLER`, registered ones included; None lets the SDK take its default."""
    return sdk_configuration._import_sampler(sdk_configuration._get_sampler())


def id_generator() -> IdGenerator:
    """Return the id generator of `OTEL_PYTHON_ID_GENERATOR`, random by default."""
    return sdk_configuration._import_id_generator(sdk_configuration._get_id_generator())


def span_exporters(*, stock_encoding: bool) -> list[SpanExporter]:
    """Make the exporters that `OTEL_TRACES_EXPORTER` names; those of OTLP encode in our way, or in their own."""
    classes, _, _ = sdk_configuration._import_exporters(_names("traces"), [], [])
    return [made() if stock_encoding else _encoded(made)() for made in classes.values()]


def log_exporters(*, stock_encoding: bool) -> list[LogRecordExporter]:
    """Make the exporters that `OTEL_LOGS_EXPORTER` names; those of OTLP encode in our way, or in their own."""
    _, _, classes = sdk_configuration._import_exporters([], [], _names("logs"))
    return [made() if stock_encoding else _encoded(made)() for made in classes.values()]


def metric_readers(watch: ExportWatch) -> list[MetricReader]:
    """Make the readers of `OTEL_METRICS_EXPORTER`: pushed ones counted, pulled ones as they are."""
    _, classes, _ = sdk_configuration._import_exporters([], _names("metrics"), [])
    readers: list[MetricReader] = []
    for made_class in classes.values():
        made = made_class()
        if isinstance(made, MetricReader):
            readers.append(made)
        else:
            readers.append(PeriodicExportingMetricReader(WatchedMetricExporter(made, watch)))
    return readers


def _names(signal: SignalVariable) -> list[str]:
    if os.environ.get(sdk_configuration._EXPORTER_ENV_BY_SIGNAL_TYPE[signal]):
        return sdk_configuration._get_exporter_names(signal)
    return [cast("str", sdk_configuration._get_exporter_entry_point(OTLP, signal))]


def _encoded(exporter_class: type[Made]) -> type[Made]:
    """Return the subclass with our encoding of a stock OTLP exporter; any other class as it is."""
    # One of the two is needed: each brings libraries that take long to import.
    encoded: dict[type, type] = {}
    if exporter_class.__module__.startswith("opentelemetry.exporter.otlp.proto.grpc."):
        from otel.instrument import otlp_grpc

        encoded = otlp_grpc.ENCODED
    elif exporter_class.__module__.startswith("opentelemetry.exporter.otlp.proto.http."):
        from otel.instrument import otlp_http

        encoded = otlp_http.ENCODED
    return encoded.get(exporter_class, exporter_class)


class WatchedSpanExporter(SpanExporter):
    """A span exporter that reports each batch's outcome; called by one export thread at a time."""

    def __init__(self, exporter: SpanExporter, watch: ExportWatch) -> None:
        self._exporter = exporter
        self._watch = watch

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export and count; an exception counts as a failure and goes on to the processor."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self._watch.exported("spans", len(spans), delivered=result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        """Shut the exporter down: a batch under way is given up."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Ask the exporter to flush."""
        return self._exporter.force_flush(timeout_millis)


class WatchedLogExporter(LogRecordExporter):
    """A log exporter that reports each batch's outcome; called by one export thread at a time."""

    def __init__(self, exporter: LogRecordExporter, watch: ExportWatch) -> None:
        self._exporter = exporter
        self._watch = watch

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export and count; an exception counts as a failure and goes on to the processor."""
        result = LogRecordExportResult.FAILURE
        try:
            result = self._exporter.export(batch)
        finally:
            self._watch.exported("logs", len(batch), delivered=result is LogRecordExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        """Shut the exporter down: a batch under way is given up."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Ask the exporter to flush."""
        return self._exporter.force_flush(timeout_millis)


class WatchedMetricExporter(MetricExporter):
    """A metric exporter that reports each collection's outcome; called by its reader's thread."""

    def __init__(self, exporter: MetricExporter, watch: ExportWatch) -> None:
        super().__init__(
            preferred_temporality=exporter._preferred_temporality,
            preferred_aggregation=exporter._preferred_aggregation,
        )
        self._exporter = exporter
        self._watch = watch

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object) -> MetricExportResult:
        """Export and note the outcome; metrics are sums, so a lost collection is made up by the next one."""
        result = MetricExportResult.FAILURE
        try:
            result = self._exporter.export(metrics_data, timeout_millis, **kwargs)
        finally:
            self._watch.exported("metrics", 0, delivered=result is MetricExportResult.SUCCESS)
        return result

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        """Shut the exporter down: a collection under way is given up."""
        self._exporter.shutdown(timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Ask the exporter to flush."""
        return self._exporter.force_flush(timeout_millis)


class WatchedSpanProcessor(BatchSpanProcessor):
    """The SDK's batch processor, counting what it is given."""

    def __init__(self, exporter: SpanExporter, watch: ExportWatch, meter_provider: ApiMeterProvider | None) -> None:
        super().__init__(WatchedSpanExporter(exporter, watch), meter_provider=meter_provider)
        self._made = watch.counter("spans")
        encoder: SpanEncoder | None = getattr(exporter, "encoder", None)
        self._at_end = None if encoder is None else encoder.at_end

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a sampled span; called in the thread or task that ends it."""
        context = span._context
        if context is not None and context[3] & _SAMPLED:
            self._made()
            _queue(self._batch_processor, span if self._at_end is None else self._at_end(span))


class WatchedLogProcessor(BatchLogRecordProcessor):
    """The SDK's batch processor for log records, counting what it is given."""

    def __init__(
        self, exporter: LogRecordExporter, watch: ExportWatch, meter_provider: ApiMeterProvider | None
    ) -> None:
        super().__init__(WatchedLogExporter(exporter, watch), meter_provider=meter_provider)
        self._made = watch.counter("logs")
        self.encoder: LogEncoder | None = getattr(exporter, "encoder", None)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue a record; called in the thread or task that logs."""
        self._made()
        super().on_emit(log_record)

    def queue(self, record: ReadableLogRecord | Deferred) -> None:
        """Queue a record that nobody else has, and that is not changed any more."""
        self._made()
        _queue(self._batch_processor, record)


def _queue(processor: BatchProcessor[Any], record: Any) -> None:
    """Queue a record as `processor.emit` does, without asking the system which process this is.

    That is a system call a record; a fork is told to the processor by `os.register_at_fork` wherever there is one.
    """
    queue = processor._queue
    if processor._shutdown or len(queue) == processor._max_queue_size:
        processor.emit(record)
        return
    queue.appendleft(record)
    if len(queue) >= processor._max_export_batch_size and not processor._worker_awaken.is_set():
        processor._worker_awaken.set()
