"""Telemetry for tests: everything stays in memory, ids can be fixed, nothing global is touched.

```python
telemetry = in_memory_telemetry()
server = telemetry.server()
channel = telemetry.insecure_channel(address)
…
spans = telemetry.spans()
```
Spans end when their RPC does, which is a moment after the client has its answer: poll for them.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import orjson
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from otel.instrument import semconv
from otel.instrument.baggage import BaggageAttributes, BaggageSpanProcessor
from otel.instrument.export_watch import ExportWatch
from otel.instrument.providers import Providers
from otel.instrument.settings import TelemetrySettings
from otel.instrument.telemetry import Telemetry


class CountingIdGenerator(IdGenerator):
    """Gives ids 1, 2, 3, …: trace ids and span ids each count for themselves. For one thread at a time."""

    def __init__(self) -> None:
        self._trace_ids = iter(range(1, 2**62))
        self._span_ids = iter(range(1, 2**62))

    def generate_trace_id(self) -> int:
        """Return the next trace id."""
        return next(self._trace_ids)

    def generate_span_id(self) -> int:
        """Return the next span id."""
        return next(self._span_ids)


class LineCollector:
    """A line sink that keeps what is written, as parsed JSON."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        """Keep one line."""
        self._lines.append(line)

    def close(self) -> None:
        """Keep what was written."""

    def lines(self) -> list[dict[str, object]]:
        """Return every line so far, oldest first."""
        return [orjson.loads(line) for line in self._lines]


class OpenSpans(SpanProcessor):
    """Knows which spans have started and not ended: an exporter never sees those."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, Span] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  the SDK's signature
        """Note a span that starts."""
        with self._lock:
            self._open[span.get_span_context().span_id] = span

    def on_end(self, span: ReadableSpan) -> None:
        """Forget a span that ended."""
        if span.context is not None:
            with self._lock:
                self._open.pop(span.context.span_id, None)

    def shutdown(self) -> None:
        """Do nothing."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002  the SDK's signature
        """Say that nothing waits."""
        return True

    def open_spans(self) -> list[Span]:
        """Return the spans that are open now, oldest first."""
        with self._lock:
            return list(self._open.values())


class InMemoryTelemetry(Telemetry):
    """A `Telemetry` whose spans, log records, lines and metrics can be read back at once."""

    def __init__(self, settings: TelemetrySettings, id_generator: IdGenerator, sampler: Sampler) -> None:
        described = Resource({semconv.SERVICE_NAME: settings.service_name}, semconv.SCHEMA_URL)
        self._span_exporter = InMemorySpanExporter()
        self._log_exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
        self._metric_reader = InMemoryMetricReader()
        self._open_spans = OpenSpans()
        self._collector = LineCollector()
        meters = MeterProvider([self._metric_reader], described, shutdown_on_exit=False)
        traces = TracerProvider(sampler, described, shutdown_on_exit=False, id_generator=id_generator)
        traces.add_span_processor(
            BaggageSpanProcessor(BaggageAttributes(settings.baggage_keys, settings.baggage_value_chars))
        )
        traces.add_span_processor(self._open_spans)
        traces.add_span_processor(SimpleSpanProcessor(self._span_exporter))
        logs = LoggerProvider(described, shutdown_on_exit=False)
        logs.add_log_record_processor(SimpleLogRecordProcessor(self._log_exporter))
        closers = (traces.shutdown, logs.shutdown, meters.shutdown)
        super().__init__(settings, Providers(traces, meters, logs, closers), ExportWatch(), [self._collector])

    def spans(self) -> list[ReadableSpan]:
        """Return the spans that have ended, in the order in which they did."""
        return list(self._span_exporter.get_finished_spans())

    def clear(self) -> None:
        """Forget the spans and log records so far; open spans stay open."""
        self._span_exporter.clear()
        self._log_exporter.clear()

    def open_spans(self) -> list[Span]:
        """Return the spans that have started and not ended."""
        return self._open_spans.open_spans()

    def log_records(self) -> list[ReadableLogRecord]:
        """Return the exported log records, oldest first."""
        return list(self._log_exporter.get_finished_logs())

    def lines(self) -> list[dict[str, object]]:
        """Return the JSON lines, oldest first."""
        return self._collector.lines()

    def durations(self, name: str) -> list[HistogramDataPoint]:
        """Return the data points of the histogram `name`, collected now."""
        return [point for point in self._points(name) if isinstance(point, HistogramDataPoint)]

    def total(self, name: str) -> float:
        """Return what the counter `name` has come to over all its attributes, collected now."""
        return sum(point.value for point in self._points(name) if isinstance(point, NumberDataPoint))

    def _points(self, name: str) -> list[object]:
        collected = self._metric_reader.get_metrics_data()
        scopes = [] if collected is None else [s for r in collected.resource_metrics for s in r.scope_metrics]
        metrics = [metric for scope in scopes for metric in scope.metrics if metric.name == name]
        return [point for metric in metrics for point in metric.data.data_points]


def in_memory_telemetry(
    settings: TelemetrySettings | None = None,
    *,
    id_generator: IdGenerator | None = None,
    sampler: Sampler = ALWAYS_ON,
) -> InMemoryTelemetry:
    """Make a `Telemetry` that keeps everything in memory; `id_generator=CountingIdGenerator()` fixes its ids.

    Logging is not taken over: call `take_over_logging()` where structlog's or stdlib records matter, and `shutdown()`
    at the end.
    """
    settings = settings or TelemetrySettings(service_name="test", log_to_stdout=False)
    return InMemoryTelemetry(settings, id_generator or RandomIdGenerator(), sampler)


def span_named(spans: Sequence[ReadableSpan], name: str) -> ReadableSpan:
    """Return the one span of that name; AssertionError, naming what there is, if there is none or more."""
    found = [span for span in spans if span.name == name]
    if len(found) != 1:
        raise AssertionError(f"{len(found)} spans are called {name!r}; there are {[span.name for span in spans]}")
    return found[0]
