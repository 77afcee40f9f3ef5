"""OTLP over gRPC: three export methods that take raw bytes and parse them themselves.

The gRPC library would answer UNKNOWN to what it cannot parse; here that is INVALID_ARGUMENT with a sentence. The table
of statuses is JAEGER's and the OTLP specification's: RESOURCE_EXHAUSTED only with RetryInfo, so that senders try again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc
import grpc.aio
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from otel.backend.errors import (
    BackendError,
    MalformedTelemetryError,
    OverloadedError,
    StoreFullError,
    TelemetryTooLargeError,
)
from otel.backend.ingest import Ingest
from otel.backend.receivers.requests import LogsSignal, MetricsSignal, Signal, TracesSignal, protobuf_submission

# Well above what a batch processor sends; an oversize batch costs a Python exporter its whole timeout.
MAX_REQUEST_BYTES = 16 * 1024 * 1024
SERVICES: dict[str, Signal] = {
    "opentelemetry.proto.collector.trace.v1.TraceService": TracesSignal(),
    "opentelemetry.proto.collector.logs.v1.LogsService": LogsSignal(),
    "opentelemetry.proto.collector.metrics.v1.MetricsService": MetricsSignal(),
}
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    # A second backend on the port must fail, not share its traffic.
    ("grpc.so_reuseport", 0),
)

log = structlog.get_logger("otel.backend.otlp_grpc")

Export = Callable[[bytes, "grpc.aio.ServicerContext[bytes, bytes]"], Awaitable[bytes]]


def otlp_server(ingest: Ingest) -> grpc.aio.Server:
    """Make a server with the three export services; the caller adds a port and starts it, on its own event loop."""
    server = grpc.aio.server(options=OPTIONS)
    for service, signal in SERVICES.items():
        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_export(signal, ingest))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
    return server


def status_of(error: BackendError) -> status_pb2.Status:
    """Return the `google.rpc.Status` of an error, for this transport and for OTLP/HTTP."""
    status = status_pb2.Status(code=_code(error), message=str(error))
    if isinstance(error, OverloadedError):
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_after_s * 1e9))
        detail = AnyMessage()
        detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
        status.details.append(detail)
    return status


def _code(error: BackendError) -> code_pb2.Code:
    if isinstance(error, OverloadedError):
        return code_pb2.RESOURCE_EXHAUSTED
    if isinstance(error, (MalformedTelemetryError, TelemetryTooLargeError)):
        return code_pb2.INVALID_ARGUMENT
    if isinstance(error, StoreFullError):
        return code_pb2.UNAVAILABLE
    return code_pb2.INTERNAL


def _export(signal: Signal, ingest: Ingest) -> Export:
    async def export(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        try:
            submission = protobuf_submission(request, signal)
            await ingest.submit(submission)
        except BackendError as error:
            log.debug("export.refused", signal=signal.name, error=str(error))
            await context.abort_with_status(rpc_status.to_status(status_of(error)))
        return signal.response(submission).SerializeToString()

    return export
