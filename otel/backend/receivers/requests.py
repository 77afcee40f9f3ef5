"""OTLP export requests: parsed, checked and made fit for the store, whatever transport brought them.

Parsing happens on the event loop: it is fast C code, and the sender is told at once that a body cannot be read.
Names are put in order as Jaeger's sanitizers do (an empty span name, a missing service name). Spans without usable ids
are left out and counted, so that the answer can say so; logs need no ids; points that mean nothing are left out, too.
Source: opentelemetry-proto specification.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from otel.backend.codec.lean_messages import BYTES, MANY, message_classes
from otel.backend.codec.otlp_json import read_json, to_json
from otel.backend.codec.utf8_repair import parse_with_repair
from otel.backend.errors import MalformedTelemetryError
from otel.backend.receivers.metric_points import NO_POINTS_REJECTED, RejectedPoints, drop_unusable_points
from otel.backend.receivers.request_bounds import refuse_too_many

TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8
_REQUEST = message_classes("tracelab.request", {"Request": (("resource_spans", 1, BYTES, MANY),)})["Request"]
NO_TRACE_ID, NO_SPAN_ID = bytes(TRACE_ID_BYTES), bytes(SPAN_ID_BYTES)


@dataclass(frozen=True, slots=True)
class Submission:
    """What one export request brings to the store; it belongs to the store once written.

    `span_contents` has the request's own bytes for each of `spans`, empty where the messages were changed.
    """

    spans: tuple[ResourceSpans, ...] = ()
    span_contents: tuple[bytes, ...] = ()
    logs: tuple[ResourceLogs, ...] = ()
    metrics: tuple[ResourceMetrics, ...] = ()
    size_bytes: int = 0
    rejected_span_count: int = 0
    rejected_points: RejectedPoints = NO_POINTS_REJECTED

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to store."""
        return not self.spans and not self.logs and not self.metrics


class TracesSignal:
    """How `/v1/traces` and `TraceService/Export` are read and answered."""

    name = "traces"
    request_type = ExportTraceServiceRequest

    def submission(self, request: Message, size_bytes: int, body: bytes = b"") -> Submission:
        """Take the spans that can be stored; `body` is what the request was read from, where that is known."""
        assert isinstance(request, ExportTraceServiceRequest)
        refuse_too_many(request.resource_spans, "scope_spans", "spans")
        parts, rejected = request.resource_spans, 0
        contents = list(_REQUEST.FromString(body).resource_spans) if body else [b""] * len(parts)
        for number, part in enumerate(parts):
            rejected_here, is_changed = _put_in_order(part)
            rejected += rejected_here
            if is_changed:
                contents[number] = b""
        kept = [(part, content) for part, content in zip(parts, contents, strict=True) if part.scope_spans]
        return Submission(
            spans=tuple(part for part, _ in kept),
            span_contents=tuple(content for _, content in kept),
            size_bytes=size_bytes,
            rejected_span_count=rejected,
        )

    def response(self, submission: Submission) -> Message:
        """Say what was left out, if anything."""
        response = ExportTraceServiceResponse()
        if submission.rejected_span_count:
            response.partial_success.rejected_spans = submission.rejected_span_count
            response.partial_success.error_message = (
                "a span needs a trace id of 16 and a span id of 8 bytes, neither all zero"
            )
        return response


class LogsSignal:
    """How `/v1/logs` and `LogsService/Export` are read and answered."""

    name = "logs"
    request_type = ExportLogsServiceRequest

    def submission(self, request: Message, size_bytes: int, _body: bytes = b"") -> Submission:
        """Take every record; ids of a wrong length are dropped from it, as they can name nothing."""
        assert isinstance(request, ExportLogsServiceRequest)
        refuse_too_many(request.resource_logs, "scope_logs", "log_records")
        for part in request.resource_logs:
            name_service(part.resource)
            for scope_logs in part.scope_logs:
                for record in scope_logs.log_records:
                    if len(record.trace_id) != TRACE_ID_BYTES or not any(record.trace_id):
                        record.trace_id = b""
                    if len(record.span_id) != SPAN_ID_BYTES or not any(record.span_id):
                        record.span_id = b""
        return Submission(logs=tuple(request.resource_logs), size_bytes=size_bytes)

    def response(self, _: Submission) -> Message:
        """Answer that all of it is stored."""
        return ExportLogsServiceResponse()


class MetricsSignal:
    """How `/v1/metrics` and `MetricsService/Export` are read and answered."""

    name = "metrics"
    request_type = ExportMetricsServiceRequest

    def submission(self, request: Message, size_bytes: int, _body: bytes = b"") -> Submission:
        """Take the points that can be stored."""
        assert isinstance(request, ExportMetricsServiceRequest)
        refuse_too_many(request.resource_metrics, "scope_metrics", "metrics")
        for part in request.resource_metrics:
            name_service(part.resource)
        rejected = drop_unusable_points(request)
        kept = tuple(part for part in request.resource_metrics if part.scope_metrics)
        return Submission(metrics=kept, size_bytes=size_bytes, rejected_points=rejected)

    def response(self, submission: Submission) -> Message:
        """Say what was left out, if anything."""
        response = ExportMetricsServiceResponse()
        if submission.rejected_points.count:
            response.partial_success.rejected_data_points = submission.rejected_points.count
            response.partial_success.error_message = submission.rejected_points.reason
        return response


Signal = TracesSignal | LogsSignal | MetricsSignal


def protobuf_submission(body: bytes, signal: Signal) -> Submission:
    """Read a protobuf body; strings that are not UTF-8 are repaired, anything else is MalformedTelemetryError."""
    try:
        request = signal.request_type.FromString(body)
    except DecodeError:
        repaired = parse_with_repair(body, signal.request_type)
        if repaired is None:
            raise MalformedTelemetryError(f"the body is not an OTLP {signal.name} request in protobuf") from None
        return signal.submission(repaired, len(body))
    return signal.submission(request, len(body), body)


def parse_json(body: bytes, signal: Signal) -> Message:
    """Parse an OTLP/JSON body; MalformedTelemetryError says what is wrong with it."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedTelemetryError(f"the body is not JSON: {error}") from error
    request = signal.request_type()
    read_json(document, request)
    return request


def json_body(message: Message) -> bytes:
    """Write an OTLP/JSON answer."""
    return orjson.dumps(to_json(message))


def name_service(resource: Resource) -> None:
    """Give a resource the service name that Jaeger would, where it has none that can be used."""
    for pair in resource.attributes:
        if pair.key == "service.name":
            if pair.value.WhichOneof("value") != "string_value":
                pair.value.CopyFrom(AnyValue(string_value="service-name-wrong-type"))
            elif not pair.value.string_value:
                pair.value.string_value = "empty-service-name"
            return
    added = resource.attributes.add()
    added.key = "service.name"
    added.value.string_value = "missing-service-name"


def _put_in_order(part: ResourceSpans) -> tuple[int, bool]:
    """Return how many spans were left out, and whether any was left out or changed."""
    name_service(part.resource)
    rejected, is_changed = 0, False
    for scope_spans in part.scope_spans:
        rejected_here, is_changed_here = _drop_unusable(scope_spans)
        rejected += rejected_here
        is_changed |= is_changed_here
    if rejected:
        _keep(part.scope_spans, [scope_spans for scope_spans in part.scope_spans if scope_spans.spans])
    return rejected, is_changed


def _drop_unusable(scope_spans: ScopeSpans) -> tuple[int, bool]:
    spans = scope_spans.spans
    usable = []
    is_changed = False
    for span in spans:
        if not span.name:
            span.name, is_changed = "empty-span-name", True
        parent_id = span.parent_span_id
        if parent_id and (len(parent_id) != SPAN_ID_BYTES or parent_id == NO_SPAN_ID):
            span.parent_span_id, is_changed = b"", True
        trace_id, span_id = span.trace_id, span.span_id
        if (
            len(trace_id) == TRACE_ID_BYTES
            and len(span_id) == SPAN_ID_BYTES
            and trace_id != NO_TRACE_ID
            and span_id != NO_SPAN_ID
        ):
            usable.append(span)
    rejected = len(spans) - len(usable)
    if rejected:
        _keep(spans, usable)
    return rejected, is_changed or rejected > 0


def _keep(repeated: Any, kept: list[Any]) -> None:
    copies = [type(element).FromString(element.SerializeToString()) for element in kept]
    del repeated[:]
    repeated.extend(copies)
