"""Payloads for the backend's benchmark: traces as the lab's three services make them, as exporters would send them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.trace.v1.trace_pb2 import Span

# A GetUserReport call: who makes each span, its parent, name and kind.
TRACE_SHAPE = (
    ("demo", None, "tracelab.report.v1.ReportService/GetUserReport", 3),
    ("report", 0, "tracelab.report.v1.ReportService/GetUserReport", 2),
    ("report", 1, "tracelab.user.v1.UserService/GetUser", 3),
    ("user", 2, "tracelab.user.v1.UserService/GetUser", 2),
    ("report", 1, "tracelab.order.v1.OrderService/ListOrders", 3),
    ("order", 4, "tracelab.order.v1.OrderService/ListOrders", 2),
    ("order", 5, "orders.query", 1),
)
SERVICES = ("demo", "report", "user", "order")
SPANS_PER_TRACE = len(TRACE_SHAPE)
# A batch processor's default batch.
SPANS_PER_REQUEST = 512
TRACE_INTERVAL_NS = 2_000_000
ERROR_RATIO = 0.02


@dataclass(frozen=True, slots=True)
class Payload:
    """One export request as it goes over the wire."""

    signal: str
    body: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What queries ask for later: a trace that was sent, and values that its spans have."""

    trace_id: str
    session_id: str
    user_id: str
    start_unix_nano: int


class PayloadMaker:
    """Makes the same payloads for the same seed."""

    def __init__(self, trace_count: int, end_unix_nano: int, seed: int = 7) -> None:
        self.trace_count = trace_count
        self._first_start = end_unix_nano - trace_count * TRACE_INTERVAL_NS
        self._random = random.Random(seed)
        self.samples: list[Sample] = []

    def payloads(self) -> Iterator[Payload]:
        """Yield requests in the order of time, each of one service, traces in several pieces."""
        pending = {service: self._request(service) for service in SERVICES}
        counts = dict.fromkeys(SERVICES, 0)
        logs, log_count = self._log_request(), 0
        for number in range(self.trace_count):
            for service, span in self._trace(number):
                pending[service].resource_spans[0].scope_spans[0].spans.append(span)
                counts[service] += 1
                if counts[service] >= SPANS_PER_REQUEST:
                    yield Payload("trace", pending[service].SerializeToString(), counts[service])
                    pending[service], counts[service] = self._request(service), 0
                if span.kind == Span.SPAN_KIND_INTERNAL:
                    self._add_log(logs, span, number)
                    log_count += 1
            if log_count >= SPANS_PER_REQUEST:
                yield Payload("logs", logs.SerializeToString(), log_count)
                logs, log_count = self._log_request(), 0
        for service in SERVICES:
            if counts[service]:
                yield Payload("trace", pending[service].SerializeToString(), counts[service])
        if log_count:
            yield Payload("logs", logs.SerializeToString(), log_count)

    def _trace(self, number: int) -> Iterator[tuple[str, Span]]:
        draw = self._random
        trace_id = draw.randbytes(16)
        session_id, user_id = draw.randbytes(8).hex(), f"u-{draw.randrange(50_000)}"
        start = self._first_start + number * TRACE_INTERVAL_NS
        fails = draw.random() < ERROR_RATIO
        ids = [draw.randbytes(8) for _ in TRACE_SHAPE]
        if number % max(1, self.trace_count // 200) == 0:
            self.samples.append(Sample(trace_id.hex(), session_id, user_id, start))
        for index, (service, parent, name, kind) in enumerate(TRACE_SHAPE):
            begin = start + index * 300_000 + draw.randrange(200_000)
            span = Span(
                trace_id=trace_id,
                span_id=ids[index],
                parent_span_id=b"" if parent is None else ids[parent],
                name=name,
                kind=Span.SpanKind.ValueType(kind),
                start_time_unix_nano=begin,
                end_time_unix_nano=begin + 3_000_000 + draw.randrange(20_000_000),
                flags=0x101,
            )
            rpc_service, _, method = name.partition("/")
            values: dict[str, str | int | float] = {
                "rpc.system.name": "grpc",
                "rpc.service": rpc_service,
                "rpc.method": method,
                "rpc.response.status_code": "NOT_FOUND" if fails else "OK",
                "server.address": "127.0.0.1",
                "server.port": 50051 + index % 3,
                "session.id": session_id,
                "user.id": user_id,
                "tracelab.rpc.time_remaining_s": round(draw.random() * 5, 6),
                "tracelab.rpc.sent_message_count": 1,
            }
            span.attributes.extend(_pair(key, value) for key, value in values.items())
            if fails:
                span.status.code = span.status.STATUS_CODE_ERROR
                span.status.message = "user does not exist"
            yield service, span

    def _add_log(self, request: ExportLogsServiceRequest, span: Span, number: int) -> None:
        record = (
            request.resource_logs[0]
            .scope_logs[0]
            .log_records.add(
                time_unix_nano=span.start_time_unix_nano,
                observed_time_unix_nano=span.start_time_unix_nano + 1000,
                severity_number=SeverityNumber.SEVERITY_NUMBER_INFO,
                severity_text="info",
                trace_id=span.trace_id,
                span_id=span.span_id,
            )
        )
        record.body.string_value = "orders.listed"
        record.attributes.extend((_pair("order_count", number % 7), _pair("request_id", span.span_id.hex() + "x")))

    def _request(self, service: str) -> ExportTraceServiceRequest:
        request = ExportTraceServiceRequest()
        part = request.resource_spans.add()
        part.resource.attributes.extend(_resource(service))
        scope = part.scope_spans.add().scope
        scope.name, scope.version = "otel.instrument", "0.1.0"
        return request

    def _log_request(self) -> ExportLogsServiceRequest:
        request = ExportLogsServiceRequest()
        part = request.resource_logs.add()
        part.resource.attributes.extend(_resource("order"))
        part.scope_logs.add().scope.name = "otel.instrument"
        return request


def _resource(service: str) -> list[KeyValue]:
    values = {
        "service.name": service,
        "service.instance.id": f"{service}-1",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.version": "1.45.2",
    }
    return [_pair(key, value) for key, value in values.items()] + [_pair("process.pid", 4711)]


def _pair(key: str, value: str | float) -> KeyValue:
    pair = KeyValue(key=key)
    if isinstance(value, str):
        pair.value.string_value = value
    elif isinstance(value, int):
        pair.value.int_value = value
    else:
        pair.value.double_value = value
    return pair
