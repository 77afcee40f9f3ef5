"""The client's side of tracing: an own provider, forced sampling, and trace ids noted at the root.

Nothing global is touched, so several ways of instrumenting live side by side in one process.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import grpc.aio
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler, TraceIdRatioBased

from otel.instrument.export_watch import ExportWatch
from otel.instrument.otlp_grpc import EncodedSpanExporter
from otel.instrument.providers import Providers, resource
from otel.instrument.settings import TelemetrySettings
from otel.instrument.telemetry import Telemetry
from tracelab.own.target import Target

SERVICE_NAME = "cli"
_SCHEDULE_DELAY_MS = 200
_FLUSH_MS = 5_000


@dataclass(slots=True)
class CallNote:
    """What is learnt of one call from inside: its trace id, "" while unknown."""

    trace_id: str = ""


_note: ContextVar[CallNote | None] = ContextVar("compare_call_note", default=None)


def begin_note() -> CallNote:
    """Note the trace of the call that the current task makes next."""
    note = CallNote()
    _note.set(note)
    return note


class RootNotes(SpanProcessor):
    """Writes the trace id of each root span into the note of the call that started it."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  # the SDK passes it
        """Note the trace that begins with `span`."""
        note = _note.get()
        context = span.get_span_context()
        if note is not None and span.parent is None and context is not None:
            note.trace_id = f"{context.trace_id:032x}"

    def on_end(self, span: ReadableSpan) -> None:
        """Do nothing."""


@dataclass(slots=True)
class ClientTracing:
    """Traced channels of one instrumentation and sampling. Close it after its channels."""

    instrumentation: str
    sampling: float | None
    otlp_endpoint: str
    _provider: TracerProvider | None = field(init=False, default=None)
    _telemetry: Telemetry | None = field(init=False, default=None)

    def channel(
        self, target: Target, options: Sequence[tuple[str, Any]], compression: grpc.Compression
    ) -> grpc.aio.Channel:
        """Open a channel; needs a running loop."""
        tls = target.tls
        credentials = tls.credentials() if tls else None
        options = [*options, *(tls.channel_options() if tls else ())]
        return self._made().channel(target.address, credentials, options=options, compression=compression)

    def flush(self) -> None:
        """Send every span that has ended; blocks for up to 5 s."""
        if self._provider is not None:
            self._provider.force_flush(_FLUSH_MS)

    def close(self) -> None:
        """Flush and end the exporting thread."""
        if self._provider is not None:
            self._provider.shutdown()

    def _made(self) -> Telemetry:
        if self._telemetry is None:
            kind = cast("Literal['corrected', 'stock', 'off']", self.instrumentation)
            settings = TelemetrySettings(service_name=SERVICE_NAME, instrumentation=kind, log_to_stdout=False)
            self._provider = self._new_provider()
            self._telemetry = Telemetry(settings, _providers(self._provider), ExportWatch())
        return self._telemetry

    def _new_provider(self) -> TracerProvider:
        sampler: Sampler = ALWAYS_ON if self.sampling is None else TraceIdRatioBased(self.sampling)
        provider = TracerProvider(sampler=sampler, resource=resource(SERVICE_NAME), shutdown_on_exit=False)
        provider.add_span_processor(RootNotes())
        exporter_class = OTLPSpanExporter if self.instrumentation == "stock" else EncodedSpanExporter
        exporter = exporter_class(endpoint=self.otlp_endpoint, insecure=True)
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_SCHEDULE_DELAY_MS))
        return provider


def _providers(tracer_provider: TracerProvider) -> Providers:
    from opentelemetry.metrics import NoOpMeterProvider

    return Providers(tracer_provider, NoOpMeterProvider(), None)
