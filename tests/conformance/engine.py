"""An engine as its clients see it: OTLP in, the query API out. Nothing else is known of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

import grpc
import httpx
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from tests.polling import eventually

TRACE_EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS_EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
METRICS_EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
# A batch processor and tail sampling may stand between.
ARRIVAL_S = 30.0


class Engine:
    """Sends and asks."""

    def __init__(self, otlp_grpc: str, otlp_http: str | None, query_url: str, *, is_ours: bool) -> None:
        self.is_ours = is_ours
        self.otlp_grpc = otlp_grpc
        self.otlp_http = otlp_http
        self.query_url = query_url
        self._channel = grpc.insecure_channel(otlp_grpc)
        self.client = httpx.Client(base_url=query_url, timeout=30)
        self._run = int.from_bytes(os.urandom(6), "big")
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self.client.close()

    @cached_property
    def has_dropped_paths(self) -> bool:
        """Whether it still answers what Jaeger has dropped after 2.20; our own backend must, and is not asked."""
        return self.is_ours or self.get("/api/services").status_code != 404

    def fresh(self) -> int:
        """A trace number that no other test, run or sender has."""
        self._number += 1
        return (self._run << 64) + (1 << 120) + self._number

    def export(self, method: str, body: bytes, *, compression: grpc.Compression | None = None) -> bytes:
        """Send bytes to a gRPC method, as any exporter would."""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(method)
        return call(body, timeout=10, compression=compression)

    def send(self, *spans: ResourceSpans) -> None:
        """Send spans."""
        self.export(TRACE_EXPORT, ExportTraceServiceRequest(resource_spans=spans).SerializeToString())

    def send_logs(self, *logs: ResourceLogs) -> None:
        """Send log records."""
        self.export(LOGS_EXPORT, ExportLogsServiceRequest(resource_logs=logs).SerializeToString())

    def send_metrics(self, *metrics: ResourceMetrics) -> None:
        """Send metrics."""
        self.export(METRICS_EXPORT, ExportMetricsServiceRequest(resource_metrics=metrics).SerializeToString())

    def post(self, path: str, body: bytes, **headers: str) -> httpx.Response:
        """Send over OTLP/HTTP; header names have underscores for dashes."""
        assert self.otlp_http is not None
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(f"{self.otlp_http}{path}", content=body, headers=named, timeout=30)

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        """Ask; parameter names have two underscores for a dot."""
        named = {name.replace("__", "."): value for name, value in parameters.items()}
        return self.client.get(path, params=named or None)

    def json(self, path: str, **parameters: Any) -> Any:
        """Ask for what must be there."""
        answer = self.get(path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def arrived(self, trace_id: str, span_count: int) -> list[dict[str, Any]]:
        """Wait until so many spans of a trace can be read; returns them, each with its service as `service`."""

        def spans() -> list[dict[str, Any]]:
            answer = self.get(f"/api/v3/traces/{trace_id}")
            return flat_spans(answer.json()) if answer.status_code == 200 else []

        return eventually(spans, until=lambda found: len(found) >= span_count, within_s=ARRIVAL_S)


def flat_spans(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The spans of a v3 answer, by start time."""
    found = [
        span | {"service": plain(part["resource"].get("attributes", [])).get("service.name")}
        for part in document["result"]["resourceSpans"]
        for scope_spans in part["scopeSpans"]
        for span in scope_spans.get("spans", ())  # Jaeger leaves the key out where it merged them elsewhere
    ]
    return sorted(found, key=lambda span: (int(span["startTimeUnixNano"]), span["spanId"]))


def plain(attributes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Attributes as a dict of their single values; what Jaeger adds of its own is left out."""
    return {
        pair["key"]: next(iter(pair["value"].values()), None)
        for pair in attributes
        if not pair["key"].startswith("@jaeger@")
    }
