"""What a reader may rely on in the legacy API, dependencies and metrics."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import httpx
import pytest

from tests.conformance.engine import Engine
from tests.conformance.shapes import (
    DEPENDENCIES,
    LEGACY_ERROR,
    LEGACY_TRACES,
    METRICS,
    check,
    envelope,
)
from tests.conformance.stored import Stored
from tests.contract.telemetry import MS, trace_id
from tests.polling import eventually


def test_a_legacy_trace_is_the_ui_s(engine: Engine, stored: Stored) -> None:
    answer = engine.json(f"/api/traces/{stored.trace}")
    check(answer, LEGACY_TRACES)
    (trace,) = answer["data"]
    assert trace["traceID"] == stored.trace
    server = next(each for each in trace["spans"] if each["spanID"] == "0000000000000003")
    assert server["references"] == [
        {"refType": "CHILD_OF", "traceID": stored.trace, "spanID": "0000000000000002"},
        {"refType": "FOLLOWS_FROM", "traceID": stored.failed_trace, "spanID": "0000000000000001"},
    ]
    assert (server["startTime"], server["duration"]) == ((stored.start + 2 * MS) // 1000, 5000)
    tags = {tag["key"]: (tag["type"], tag["value"]) for tag in server["tags"]}
    assert tags["big"] == ("int64", str(2**60))
    assert tags["ratio"] == ("float64", 0.5)
    assert tags["retried"] == ("bool", False)
    assert tags["raw"] == ("binary", base64.b64encode(b"\1\2").decode())
    assert json.loads(tags["list"][1]) == ["x", 1]
    assert tags["otel.scope.name"] == ("string", "otel.instrument")
    assert tags["span.kind"] == ("string", "server")
    assert tags["w3c.tracestate"] == ("string", "vendor=1")
    (event,) = server["logs"]
    assert [(field["key"], field["value"]) for field in event["fields"]] == [("event", "event"), ("cache", "miss")]
    process = trace["processes"][server["processID"]]
    assert process["serviceName"] == stored.server
    assert {"key": "host", "type": "string", "value": "h1"} in process["tags"]


def test_a_failed_legacy_span_has_the_tags_that_the_ui_reads(engine: Engine, stored: Stored) -> None:
    span_json = engine.json(f"/api/traces/{stored.failed_trace}")["data"][0]["spans"][0]
    tags = {tag["key"]: tag["value"] for tag in span_json["tags"]}
    assert (tags["error"], tags["otel.status_code"], tags["otel.status_description"]) == (True, "ERROR", "no such user")


@pytest.mark.dropped_after_2_20
def test_legacy_services_and_operations(engine: Engine, stored: Stored) -> None:
    services = engine.json("/api/services")
    check(services, envelope([str]))
    assert {stored.client, stored.server} <= set(services["data"])
    names = engine.json(f"/api/services/{stored.client}/operations")
    assert set(names["data"]) == {"GetUserReport", "GetUser"}
    kinds = engine.json("/api/operations", service=stored.client, spanKind="client")
    assert kinds["data"] == [{"name": "GetUser", "spanKind": "client"}]
    assert engine.get("/api/operations").status_code == 400


@pytest.mark.dropped_after_2_20
def test_a_legacy_search(engine: Engine, stored: Stored) -> None:
    window = {"start": str(stored.start // 1000 - 1000), "end": str(stored.start // 1000 + 1_000_000)}
    answer = engine.json("/api/traces", service=stored.client, **window)
    check(answer, LEGACY_TRACES)
    assert {each["traceID"] for each in answer["data"]} == {stored.trace, stored.failed_trace}
    tagged = engine.json("/api/traces", service=stored.client, tag="error:true", **window)
    assert {each["traceID"] for each in tagged["data"]} == {stored.failed_trace}
    tags = engine.json("/api/traces", service=stored.client, tags='{"order":"7"}', minDuration="1ms", **window)
    assert {each["traceID"] for each in tags["data"]} == {stored.trace}
    assert engine.json("/api/traces", service="nobody", **window)["data"] == []


@pytest.mark.dropped_after_2_20
def test_a_legacy_search_by_trace_id_tells_what_is_missing(engine: Engine, stored: Stored) -> None:
    answer = engine.client.get(f"/api/traces?traceID={stored.trace}&traceID={'9' * 32}").json()
    assert [each["traceID"] for each in answer["data"]] == [stored.trace]
    assert answer["errors"][0]["msg"] == "trace not found"


@pytest.mark.dropped_after_2_20
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"service": "x", "start": "soon"},
        {"service": "x", "minDuration": "5"},
        {"service": "x", "minDuration": "5s", "maxDuration": "1s"},
        {"service": "x", "limit": "x"},
        {"service": "x", "tag": "nocolon"},
        {"service": "x", "tags": "{"},
        {"traceID": "zz"},
        {"service": "x", "raw": "perhaps"},
    ],
    ids=lambda parameters: ",".join(parameters) or "none",
)
def test_a_bad_legacy_parameter_is_400(engine: Engine, parameters: dict[str, str]) -> None:
    answer = engine.get("/api/traces", **parameters)
    assert answer.status_code == 400
    check(answer.json(), LEGACY_ERROR)


def test_pretty_print_indents_by_four(engine: Engine, stored: Stored) -> None:
    text = engine.get(f"/api/traces/{stored.trace}", prettyPrint="true").text
    assert text.startswith('{\n    "data": [')


def test_a_trace_can_be_transformed_without_being_stored(engine: Engine) -> None:
    number = engine.fresh()
    uploaded = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "uploaded"}}]},
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": trace_id(number).hex(),
                                "spanId": "00000000000000aa",
                                "name": "up",
                                "startTimeUnixNano": "1000000",
                                "endTimeUnixNano": "2000000",
                            }
                        ]
                    }
                ],
            }
        ]
    }
    answer = engine.client.post("/api/transform", content=json.dumps(uploaded))
    assert answer.status_code == 200
    check(answer.json(), LEGACY_TRACES)
    assert answer.json()["data"][0]["spans"][0]["operationName"] == "up"
    assert engine.get(f"/api/traces/{trace_id(number).hex()}").status_code == 404
    refused = engine.client.post("/api/transform", content="{")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["msg"].startswith("cannot unmarshal OTLP")


@pytest.mark.ours
def test_there_is_no_archive(engine: Engine, stored: Stored) -> None:
    answer = engine.client.post(f"/api/archive/{stored.trace}")
    assert answer.status_code == 500
    assert answer.json()["errors"][0]["msg"] == "archive span storage was not configured"
    assert engine.client.post(f"/api/archive/{'9' * 32}").status_code == 404


def test_dependencies_count_calls_between_services(engine: Engine, stored: Stored) -> None:
    end_ms = str(time.time_ns() // MS)

    def edges() -> dict[tuple[str, str], int]:
        answer = engine.json("/api/dependencies", endTs=end_ms, lookback="604800000")
        check(answer, DEPENDENCIES)
        return {(each["parent"], each["child"]): each["callCount"] for each in answer["data"]}

    found = eventually(edges, until=lambda seen: (stored.client, stored.server) in seen)
    assert found[stored.client, stored.server] == 1
    assert found[stored.client, stored.client] == 1


@pytest.mark.ours
def test_dependencies_of_one_service(engine: Engine, stored: Stored) -> None:
    answer = engine.json("/api/dependencies", endTs=str(time.time_ns() // MS), service=stored.server)
    assert answer["data"] == [{"parent": stored.client, "child": stored.server, "callCount": 1}]
    assert engine.get("/api/dependencies", lookback="-1").status_code == 400
    assert engine.get("/api/dependencies", endTs="now").status_code == 400
    assert engine.json("/api/dependencies", endTs=str(-(2**63)))["data"] == []


def metric(engine: Engine, name: str, stored: Stored, **more: str) -> Any:
    parameters = {"endTs": str(stored.start // MS + 1000), "lookback": "60000", "step": "60000", "ratePer": "600000"}
    answer = engine.json(f"/api/metrics/{name}", service=stored.client, **{**parameters, **more})
    check(answer, METRICS)
    return answer


def last_values(answer: dict[str, Any]) -> list[Any]:
    return [each["metricPoints"][-1]["gaugeValue"]["doubleValue"] for each in answer["metrics"]]


@pytest.mark.ours
def test_metrics_are_computed_from_the_stored_spans(engine: Engine, stored: Stored) -> None:
    calls = metric(engine, "calls", stored)
    assert (calls["name"], last_values(calls)) == ("service_call_rate", [2 / 600])
    assert last_values(metric(engine, "errors", stored)) == [0.5]
    latencies = metric(engine, "latencies", stored, quantile="0.5")
    assert (latencies["name"], last_values(latencies)) == ("service_latencies", [60.0])
    grouped = metric(engine, "calls", stored, groupByOperation="true", spanKind="client")
    assert grouped["name"] == "service_operation_call_rate"
    assert grouped["metrics"][0]["labels"] == [
        {"name": "service_name", "value": stored.client},
        {"name": "operation", "value": "GetUser"},
    ]


@pytest.mark.ours
def test_metrics_of_nobody_are_an_empty_list(engine: Engine) -> None:
    assert engine.json("/api/metrics/calls", service="nobody")["metrics"] == []


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("latencies", {"service": "x"}),
        ("latencies", {"service": "x", "quantile": "2"}),
        pytest.param("calls", {}, marks=pytest.mark.ours),
        pytest.param("calls", {"service": "x", "spanKind": "odd"}, marks=pytest.mark.ours),
        pytest.param("errors", {"service": "x", "step": "x"}, marks=pytest.mark.ours),
    ],
)
def test_a_bad_metrics_parameter_is_400(engine: Engine, name: str, parameters: dict[str, str]) -> None:
    answer = engine.get(f"/api/metrics/{name}", **parameters)
    if not engine.is_ours and answer.status_code == httpx.codes.NOT_IMPLEMENTED:
        pytest.skip("this Jaeger has no store of metrics")
    assert answer.status_code == 400
    check(answer.json(), LEGACY_ERROR)


@pytest.mark.ours
def test_the_health_answer_is_on_the_query_port(engine: Engine) -> None:
    answer = engine.json("/status")
    assert (answer["healthy"], answer["status"]) == (True, "StatusOK")
    assert set(answer) == {"start_time", "healthy", "status", "status_time"}
