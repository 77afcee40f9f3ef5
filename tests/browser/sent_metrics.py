"""Metrics for the page's tests: the last minutes of two methods, and how they are sent to a backend by OTLP/HTTP."""

from __future__ import annotations

import time
from collections.abc import Sequence

import httpx
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, NumberDataPoint, ResourceMetrics

from otel.instrument.semconv import CALL_DURATION_BUCKETS_S, CLIENT_SENT_MESSAGE_SIZE, SERVER_CALL_DURATION
from tests.contract.measurements import (
    exemplar,
    histogram,
    histogram_metric,
    number_point,
    resource_metrics,
    sum_metric,
)
from tests.contract.telemetry import SECOND, T0

GET, LIST = "tracelab.user.v1.UserService/GetUser", "tracelab.order.v1.OrderService/ListOrders"
POINTS, INTERVAL_S = 40, 10


def now_s() -> float:
    """Seconds from the makers' T0 to now."""
    return (time.time_ns() - T0) / SECOND


def calls(
    method: str,
    fast: int,
    slow: int,
    *,
    status: str = "OK",
    trace: int = 0,
    until_s: float | None = None,
    points: int = POINTS,
) -> list[HistogramDataPoint]:
    """Points of one method: by interval `fast` calls of 10 to 25 ms and `slow` ones of 250 to 500 ms, one traced."""
    end_s = now_s() if until_s is None else until_s
    begin_s = end_s - points * INTERVAL_S
    made = []
    for number in range(1, points + 1):
        at_s = begin_s + number * INTERVAL_S
        counts = [0] * (len(CALL_DURATION_BUCKETS_S) + 1)
        counts[2], counts[7] = fast * number, slow * number
        traced = [exemplar(0.4, at_s=at_s - 5, trace=trace)] if trace and number == points - 5 else []
        made.append(
            histogram(
                counts,
                at_s=at_s,
                start_s=begin_s,
                bounds=CALL_DURATION_BUCKETS_S,
                attributes={"rpc.method": method, "rpc.response.status_code": status},
                exemplars=traced,
            )
        )
    return made


def of_service(service: str, points: Sequence[HistogramDataPoint], name: str = SERVER_CALL_DURATION) -> ResourceMetrics:
    """Put points under a service."""
    return resource_metrics(service, [histogram_metric(name, points)])


def counted_by_core(method: str, *, attempts: int, wire_bytes: int, message_bytes: int) -> ResourceMetrics:
    """What gRPC's core counted on a client in the last minute, and the bytes of its messages."""
    at_s = now_s()

    def total(value: int, key: str) -> list[NumberDataPoint]:
        return [number_point(value, at_s=at_s, start_s=at_s - 60, attributes={key: method})]

    sent = histogram(
        [attempts], bounds=[], total=wire_bytes, at_s=at_s, start_s=at_s - 60, attributes={"grpc.method": method}
    )
    return resource_metrics(
        "cli",
        [
            sum_metric("grpc.client.attempt.started", total(attempts, "grpc.method"), unit="{attempt}"),
            histogram_metric("grpc.client.attempt.sent_total_compressed_message_size", [sent], unit="By"),
            sum_metric(CLIENT_SENT_MESSAGE_SIZE, total(message_bytes, "rpc.method"), unit="By"),
        ],
    )


def send_metrics(otlp_http: str, *parts: ResourceMetrics) -> None:
    """Post metrics to the OTLP/HTTP receiver at `otlp_http` (host:port)."""
    body = ExportMetricsServiceRequest(resource_metrics=parts).SerializeToString()
    headers = {"content-type": "application/x-protobuf"}
    answer = httpx.post(f"http://{otlp_http}/v1/metrics", content=body, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.content == b""
