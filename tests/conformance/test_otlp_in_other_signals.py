"""What a sender of metrics and logs may rely on, over gRPC and HTTP; a Jaeger takes neither."""

from __future__ import annotations

import json
import time

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

from otel.backend.codec.otlp_json import to_json
from tests.conformance.engine import JSON, LOGS_EXPORT, METRICS_EXPORT, PROTOBUF, Engine
from tests.contract.measurements import histogram, histogram_metric, number_point, resource_metrics, sum_metric
from tests.contract.telemetry import log_record, resource_logs, trace_id

pytestmark = pytest.mark.ours


def test_an_export_of_no_metrics_is_fine(http: Engine) -> None:
    assert http.export(METRICS_EXPORT, b"") == b""
    assert http.post("/v1/metrics", b"{}", content_type=JSON).status_code == 200


def some_usable() -> ExportMetricsServiceRequest:
    """Two points that can be stored, and three that cannot."""
    metrics = [
        sum_metric("partly.usable", [number_point(1, at_s=1), NumberDataPoint(as_int=2), number_point(3, at_s=3)]),
        sum_metric("no.temporality", [number_point(1, at_s=1)], temporality=0),
        histogram_metric("no.buckets", [histogram([1, 2], at_s=1, bounds=(1.0, 2.0))]),
    ]
    return ExportMetricsServiceRequest(resource_metrics=[resource_metrics("conformance", metrics)])


def test_points_that_cannot_be_stored_are_counted_and_the_first_is_explained_over_grpc(engine: Engine) -> None:
    answer = engine.export(METRICS_EXPORT, some_usable().SerializeToString())
    partial = ExportMetricsServiceResponse.FromString(answer).partial_success
    assert (partial.rejected_data_points, partial.error_message) == (3, "a data point needs a time")


@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_points_that_cannot_be_stored_are_counted_and_the_first_is_explained_over_http(
    http: Engine, content_type: str
) -> None:
    body = some_usable()
    sent = json.dumps(to_json(body)).encode() if content_type == JSON else body.SerializeToString()
    answer = http.post("/v1/metrics", sent, content_type=content_type)
    assert answer.status_code == 200
    if content_type == JSON:
        partial = answer.json()["partialSuccess"]
        assert partial == {"rejectedDataPoints": "3", "errorMessage": "a data point needs a time"}
    else:
        assert ExportMetricsServiceResponse.FromString(answer.content).partial_success.rejected_data_points == 3


def test_logs_are_taken_over_both_transports(http: Engine) -> None:
    number = http.fresh()
    http.send_logs(resource_logs("conformance", [log_record("over grpc", trace=number, time=time.time_ns())]))
    document = {
        "resourceLogs": [
            {
                "scopeLogs": [
                    {
                        "logRecords": [
                            {
                                "traceId": trace_id(number).hex(),
                                "timeUnixNano": str(time.time_ns()),
                                "severityNumber": 9,
                                "body": {"stringValue": "over http"},
                            }
                        ]
                    }
                ]
            }
        ]
    }
    assert http.post("/v1/logs", json.dumps(document).encode(), content_type=JSON).status_code == 200
    found = http.json("/api/lab/logs", traceId=trace_id(number).hex())["result"]["resourceLogs"]
    bodies = [
        record["body"]["stringValue"] for part in found for each in part["scopeLogs"] for record in each["logRecords"]
    ]
    assert bodies == ["over grpc", "over http"]


def test_logs_that_cannot_be_parsed_are_refused(engine: Engine) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        engine.export(LOGS_EXPORT, b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
