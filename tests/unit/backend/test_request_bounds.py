"""How many things one request may hold: what senders make passes, what only costs time is refused before it does."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel.backend.errors import TelemetryTooLargeError
from otel.backend.receivers import request_bounds
from otel.backend.receivers.requests import LogsSignal, MetricsSignal, Signal, TracesSignal, protobuf_submission

MEBIBYTE = 1 << 20


def traces(resources: int, scopes: int, spans: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    for _ in range(resources):
        part = request.resource_spans.add()
        for _ in range(scopes):
            scope = part.scope_spans.add()
            for number in range(1, spans + 1):
                scope.spans.add(trace_id=number.to_bytes(16), span_id=number.to_bytes(8))
    return request


def logs(resources: int, scopes: int, records: int) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    for _ in range(resources):
        part = request.resource_logs.add()
        for _ in range(scopes):
            scope = part.scope_logs.add()
            for _ in range(records):
                scope.log_records.add()
    return request


def metrics(resources: int, scopes: int, metric_count: int, points: int = 1) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    for _ in range(resources):
        part = request.resource_metrics.add()
        for _ in range(scopes):
            scope = part.scope_metrics.add()
            for number in range(metric_count):
                metric = scope.metrics.add(name=f"m{number}")
                for _ in range(points):
                    metric.gauge.data_points.add(time_unix_nano=1, as_int=1)
    return request


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_bounds, "MAX_RESOURCES", 2)
    monkeypatch.setattr(request_bounds, "MAX_SCOPES", 4)
    monkeypatch.setattr(request_bounds, "MAX_RECORDS", 8)


@pytest.mark.usefixtures("small_bounds")
@pytest.mark.parametrize(
    ("signal", "request_", "told"),
    [
        (TracesSignal(), traces(2, 2, 2), None),
        (TracesSignal(), traces(3, 1, 1), "3 resources, more than the 2"),
        (TracesSignal(), traces(1, 5, 0), "5 scopes, more than the 4"),
        (TracesSignal(), traces(1, 3, 3), "9 spans, more than the 8"),
        (LogsSignal(), logs(2, 2, 2), None),
        (LogsSignal(), logs(3, 0, 0), "3 resources, more than the 2"),
        (LogsSignal(), logs(1, 3, 3), "9 log records, more than the 8"),
        (MetricsSignal(), metrics(2, 2, 2), None),
        (MetricsSignal(), metrics(1, 3, 3), "9 metrics, more than the 8"),
        (MetricsSignal(), metrics(1, 1, 3, points=3), "9 data points, more than the 8"),
    ],
)
def test_a_request_holds_at_most_so_many_things(signal: Signal, request_: Any, told: str | None) -> None:
    if told is None:
        assert not signal.submission(request_, 0).is_empty
        return
    with pytest.raises(TelemetryTooLargeError) as caught:
        signal.submission(request_, 0)
    assert str(caught.value) == f"the request holds {told} that one may; send smaller batches"


@pytest.mark.parametrize("signal", [TracesSignal(), LogsSignal(), MetricsSignal()], ids=lambda signal: str(signal.name))
@pytest.mark.parametrize(
    "part", [b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x0a\x04\x12\x02\x12\x00"], ids=["resources", "scopes", "records"]
)
def test_a_mebibyte_of_nothing_is_refused_before_it_is_walked(signal: Signal, part: bytes) -> None:
    body = part * (MEBIBYTE // len(part))
    with pytest.raises(TelemetryTooLargeError):
        protobuf_submission(body, signal)
