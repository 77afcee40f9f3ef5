"""The stock OTLP/HTTP exporters with our encoding; TLS, headers, timeouts, retries and compression are theirs.

They encode by a function of their module and offer no method to override: so their `export` is taken as it is, with
that one name standing for our encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from otel.instrument.otlp_logs import LogEncoder
from otel.instrument.otlp_spans import SpanEncoder


class EncodedRequest:
    """An encoded request, where the library expects a message that it can serialize."""

    __slots__ = ("_serialized",)

    def __init__(self, serialized: bytes) -> None:
        self._serialized = serialized

    def SerializeToString(self) -> bytes:  # noqa: N802  protobuf's name
        """Return the bytes."""
        return self._serialized

    SerializePartialToString = SerializeToString


def with_encoder(export: Callable[..., Any], name: str, encode: Callable[[Any], bytes]) -> Callable[..., Any]:
    """Return the library's function `export` with its module's `name` replaced by `encode`, for this function alone."""
    if not isinstance(export, FunctionType) or name not in export.__code__.co_names:
        raise TypeError(f"the OTLP/HTTP exporter no longer encodes by {name}: see otel/instrument/otlp_http.py")
    names = {**export.__globals__, name: lambda records: EncodedRequest(encode(records))}
    return FunctionType(export.__code__, names, export.__name__, export.__defaults__, export.__closure__)


class EncodedSpanExporter(OTLPSpanExporter):
    """Exports spans by HTTP; called by one thread at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = SpanEncoder()
        self._encoded_export = with_encoder(OTLPSpanExporter.export, "encode_spans", self.encoder.encode)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch as the library does."""
        result: SpanExportResult = self._encoded_export(self, spans)
        return result


class EncodedLogExporter(OTLPLogExporter):
    """Exports log records by HTTP; called by one thread at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = LogEncoder()
        self._encoded_export = with_encoder(OTLPLogExporter.export, "encode_logs", self.encoder.encode)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export a batch as the library does."""
        result: LogRecordExportResult = self._encoded_export(self, batch)
        return result


ENCODED: dict[type, type] = {OTLPSpanExporter: EncodedSpanExporter, OTLPLogExporter: EncodedLogExporter}
