"""The stock OTLP/gRPC exporters with our encoding; TLS, headers, timeouts, retries and compression are theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.trace import ReadableSpan

from otel.instrument.otlp_logs import LogEncoder
from otel.instrument.otlp_spans import SpanEncoder


class EncodedStub:
    """Stands in for the stub that the library makes: takes a request that is encoded already."""

    def __init__(self, channel: Any, path: str, parse_response: Callable[[bytes], Any]) -> None:
        self.Export = channel.unary_unary(path, request_serializer=None, response_deserializer=parse_response)


class EncodedSpanExporter(OTLPSpanExporter):
    """Exports spans by gRPC; called by one thread at a time. Options are the stock exporter's."""

    def __init__(self, **options: Any) -> None:
        self.encoder = SpanEncoder()
        super().__init__(**options)

    def _initialize_channel_and_stub(self) -> None:
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]  # the library leaves it untyped
        self._client = self._stub_on(self._channel)  # type: ignore[assignment]  # inferred as None

    @staticmethod
    def _stub_on(channel: Any) -> EncodedStub:
        path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        return EncodedStub(channel, path, ExportTraceServiceResponse.FromString)

    def _translate_data(self, data: Sequence[ReadableSpan]) -> Any:
        return self.encoder.encode(data)


class EncodedLogExporter(OTLPLogExporter):
    """Exports log records by gRPC; called by one thread at a time. Options are the stock exporter's."""

    def __init__(self, **options: Any) -> None:
        self.encoder = LogEncoder()
        super().__init__(**options)

    def _initialize_channel_and_stub(self) -> None:
        super()._initialize_channel_and_stub()  # type: ignore[no-untyped-call]  # the library leaves it untyped
        self._client = self._stub_on(self._channel)  # type: ignore[assignment]  # inferred as None

    @staticmethod
    def _stub_on(channel: Any) -> EncodedStub:
        path = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
        return EncodedStub(channel, path, ExportLogsServiceResponse.FromString)

    def _translate_data(self, data: Sequence[ReadableLogRecord]) -> Any:
        return self.encoder.encode(data)


ENCODED: dict[type, type] = {OTLPSpanExporter: EncodedSpanExporter, OTLPLogExporter: EncodedLogExporter}
