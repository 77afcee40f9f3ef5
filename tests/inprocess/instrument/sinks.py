"""OTLP receivers that keep what they get: one for gRPC, one for HTTP with protobuf."""

from __future__ import annotations

import gzip
import threading
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass
class Received:
    """Requests as they came, with their metadata or headers."""

    traces: list[trace_service_pb2.ExportTraceServiceRequest] = field(default_factory=list)
    logs: list[logs_service_pb2.ExportLogsServiceRequest] = field(default_factory=list)
    metrics: list[metrics_service_pb2.ExportMetricsServiceRequest] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def span_names(self) -> list[str]:
        return [span.name for request in self.traces for resource in request.resource_spans
                for scope in resource.scope_spans for span in scope.spans]  # fmt: skip

    def log_bodies(self) -> list[str]:
        return [record.body.string_value for request in self.logs for resource in request.resource_logs
                for scope in resource.scope_logs for record in scope.log_records]  # fmt: skip

    def resource(self) -> dict[str, Any]:
        attributes = self.traces[0].resource_spans[0].resource.attributes
        return {a.key: getattr(a.value, a.value.WhichOneof("value") or "string_value") for a in attributes}


class GrpcSink:
    """Receives OTLP over gRPC. `hold`: never answers, until it is closed."""

    def __init__(self, *, hold: bool = False) -> None:
        self.received = Received()
        self._released = threading.Event()
        if not hold:
            self._released.set()
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
        sink = self

        class Traces(trace_service_pb2_grpc.TraceServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:
                sink.keep(sink.received.traces, request, context)
                return trace_service_pb2.ExportTraceServiceResponse()

        class Logs(logs_service_pb2_grpc.LogsServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:
                sink.keep(sink.received.logs, request, context)
                return logs_service_pb2.ExportLogsServiceResponse()

        class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
            def Export(self, request: Any, context: Any) -> Any:
                sink.keep(sink.received.metrics, request, context)
                return metrics_service_pb2.ExportMetricsServiceResponse()

        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), self._server)  # type: ignore[no-untyped-call]  # generated
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(Logs(), self._server)  # type: ignore[no-untyped-call]  # generated
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), self._server)  # type: ignore[no-untyped-call]  # generated
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def keep(self, into: list[Any], request: Any, context: Any) -> None:
        self._released.wait(60)
        into.append(request)
        self.received.headers.append({key: str(value) for key, value in context.invocation_metadata()})

    def close(self) -> None:
        self._released.set()
        self._server.stop(0).wait()


class HttpSink:
    """Receives OTLP over HTTP, as protobuf, plain or gzipped."""

    def __init__(self) -> None:
        self.received = received = Received()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                received.headers.append({key.lower(): value for key, value in self.headers.items()})
                if self.path == "/v1/traces":
                    received.traces.append(trace_service_pb2.ExportTraceServiceRequest.FromString(body))
                elif self.path == "/v1/logs":
                    received.logs.append(logs_service_pb2.ExportLogsServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
