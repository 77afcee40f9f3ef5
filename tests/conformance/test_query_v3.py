"""What a reader may rely on in v3: parameters, shapes and errors (Jaeger v3)."""

from __future__ import annotations

import base64
import json
import time

import pytest

from tests.conformance.engine import Engine, flat_spans, plain
from tests.conformance.shapes import (
    LEGACY_ERROR,
    V3_ERROR,
    V3_OPERATIONS,
    V3_SERVICES,
    V3_SUMMARIES,
    V3_TRACE,
    check,
)
from tests.conformance.stored import Stored, found_by, rfc3339
from tests.contract.telemetry import MS, SECOND, resource_spans, span


def test_services_are_listed(engine: Engine, stored: Stored) -> None:
    answer = engine.json("/api/v3/services")
    check(answer, V3_SERVICES)
    assert {stored.client, stored.server} <= set(answer["services"])


@pytest.mark.ours
def test_services_are_sorted(engine: Engine, stored: Stored) -> None:
    names = engine.json("/api/v3/services")["services"]
    assert names == sorted(names)


def test_operations_are_listed_with_their_kind(engine: Engine, stored: Stored) -> None:
    answer = engine.json("/api/v3/operations", service=stored.client)
    check(answer, V3_OPERATIONS)
    rows = {(each["name"], each["spanKind"]) for each in answer["operations"]}
    assert rows == {("GetUserReport", "server"), ("GetUser", "client")}


@pytest.mark.parametrize("name", ["spanKind", "span_kind"])
def test_operations_of_one_kind(engine: Engine, stored: Stored, name: str) -> None:
    answer = engine.json("/api/v3/operations", service=stored.client, **{name: "client"})
    assert answer == {"operations": [{"name": "GetUser", "spanKind": "client"}]}


@pytest.mark.parametrize("parameters", [{}, {"service": "nobody"}, {"service": "x", "spanKind": "odd"}])
def test_operations_of_nobody_are_an_empty_list(engine: Engine, parameters: dict[str, str]) -> None:
    assert engine.json("/api/v3/operations", **parameters) == {"operations": []}


def test_a_trace_is_otlp_json(engine: Engine, stored: Stored) -> None:
    answer = engine.json(f"/api/v3/traces/{stored.trace}")
    check(answer, V3_TRACE)
    root, client, server = flat_spans(answer)
    assert "parentSpanId" not in root
    assert (client["kind"], server["kind"], server["parentSpanId"]) == (3, 2, client["spanId"])
    assert server["startTimeUnixNano"] == str(stored.start + 2 * MS)
    assert server["traceState"] == "vendor=1"
    values = plain(server["attributes"])
    assert values["big"] == str(2**60)
    assert (values["zone"], values["ratio"], values["retried"]) == ("b", 0.5, False)
    assert base64.b64decode(values["raw"]) == b"\1\2"
    assert values["list"] == {"values": [{"stringValue": "x"}, {"intValue": "1"}]}
    assert server["links"][0]["traceId"] == stored.failed_trace


def test_attributes_are_sorted_by_key(engine: Engine, stored: Stored) -> None:
    server = flat_spans(engine.json(f"/api/v3/traces/{stored.trace}"))[2]
    keys = [pair["key"] for pair in server["attributes"] if not pair["key"].startswith("@")]
    assert keys == sorted(keys)


def test_a_failed_span_has_its_status(engine: Engine, stored: Stored) -> None:
    failed = flat_spans(engine.json(f"/api/v3/traces/{stored.failed_trace}"))[0]
    assert failed["status"] == {"code": 2, "message": "no such user"}


@pytest.mark.parametrize("form", ["upper", "stripped", "base64"])
def test_a_trace_id_is_taken_in_other_forms(engine: Engine, stored: Stored, form: str) -> None:
    text = {
        "upper": stored.trace.upper(),
        "stripped": stored.trace.lstrip("0"),
        "base64": base64.urlsafe_b64encode(bytes.fromhex(stored.trace)).decode(),
    }[form]
    assert flat_spans(engine.json(f"/api/v3/traces/{text}"))[0]["traceId"] == stored.trace


def test_a_short_trace_id_is_padded_in_v3_and_short_in_legacy(engine: Engine) -> None:
    number = engine.fresh() & 0xFFFFFFFFFFFFFFF
    engine.send(resource_spans("short", [span(number, 1, start=time.time_ns())]))
    short = f"{number:016x}"
    assert engine.arrived(short, 1)[0]["traceId"] == "0" * 16 + short
    assert engine.json(f"/api/traces/{short}")["data"][0]["traceID"] == short


@pytest.mark.parametrize("text", ["x" * 30, "f" * 33, "not hex!"])
def test_a_malformed_trace_id_is_400(engine: Engine, text: str) -> None:
    answer = engine.get(f"/api/v3/traces/{text}")
    assert answer.status_code == 400
    check(answer.json(), V3_ERROR)
    legacy = engine.get(f"/api/traces/{text}")
    assert legacy.status_code == 400
    check(legacy.json(), LEGACY_ERROR)


def test_an_unknown_trace_is_404(engine: Engine) -> None:
    answer = engine.get(f"/api/v3/traces/{'9' * 32}")
    assert (answer.status_code, answer.json()) == (404, {"error": {"httpCode": 404, "message": "No traces found"}})
    assert answer.headers["content-type"].startswith("text/plain")
    legacy = engine.get(f"/api/traces/{'9' * 32}")
    assert (legacy.status_code, legacy.json()["errors"][0]["msg"]) == (404, "trace not found")
    check(legacy.json(), LEGACY_ERROR)


def test_time_hints_never_filter_a_trace(engine: Engine, stored: Stored) -> None:
    hints = {"startTime": "2001-01-01T00:00:00Z", "endTime": "2001-01-02T00:00:00Z"}
    assert len(flat_spans(engine.json(f"/api/v3/traces/{stored.trace}", **hints))) == 3
    assert engine.json(f"/api/traces/{stored.trace}", start="1", end="2")["data"][0]["spans"]


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/api/v3/traces/{trace}", {"startTime": "yesterday"}),
        ("/api/v3/traces/{trace}", {"rawTraces": "perhaps"}),
    ],
)
def test_a_bad_hint_is_400(engine: Engine, stored: Stored, path: str, parameters: dict[str, str]) -> None:
    assert engine.get(path.format(trace=stored.trace), **parameters).status_code == 400


def test_summaries_say_what_a_trace_is(engine: Engine, stored: Stored) -> None:
    answer = engine.json("/api/v3/trace-summaries", **stored.window, query__serviceName=stored.server)
    check(answer, V3_SUMMARIES)
    (summary,) = [each for each in answer["summaries"] if each["traceId"] == stored.trace]
    assert summary == {
        "traceId": stored.trace,
        "rootServiceName": stored.client,
        "rootOperationName": "GetUserReport",
        "minStartTimeUnixNano": str(stored.start),
        "maxEndTimeUnixNano": str(stored.start + 20 * MS),
        "spanCount": 3,
        "services": [{"name": stored.client, "spanCount": 2}, {"name": stored.server, "spanCount": 1}],
    }


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        pytest.param({}, ["failed", "call"], id="all"),
        pytest.param({"query__operationName": "GetUser"}, ["call"], id="operation"),
        pytest.param({"query.durationMin": "100ms"}, ["failed"], id="at least as long"),
        pytest.param({"query.durationMax": "0.02s"}, ["call"], id="at most as long"),
        pytest.param({"query.duration_min": "99ms", "query.duration_max": "101ms"}, ["failed"], id="by aliases"),
        pytest.param({"query.attributes": '{"error":"true"}'}, ["failed"], id="errors"),
        pytest.param({"query.attributes": '{"order":"7"}'}, ["call"], id="attribute"),
        pytest.param({"query.attributes": '{"order":"7","error":"true"}'}, [], id="attributes on one span"),
        pytest.param({"query.attributes": '{"span.kind":"client"}'}, ["call"], id="kind"),
        pytest.param({"query.attributes": '{"scope.name":"otel.instrument"}'}, ["failed", "call"], id="scope"),
        pytest.param({"query.searchDepth": "100", "query.rawTraces": "true"}, ["failed", "call"], id="raw is fine"),
    ],
)
def test_a_search_of_a_service_finds(
    engine: Engine, stored: Stored, parameters: dict[str, str], expected: list[str]
) -> None:
    assert found_by(engine, stored, query__serviceName=stored.client, **parameters) == expected


@pytest.mark.parametrize(
    "attributes",
    [
        {"big": str(2**60)},
        {"ratio": "0.5"},
        {"retried": "false"},
        {"cache": "miss"},
        {"host": "h1"},
        {"resource.host": "h1"},
        {"list": '["x",1]'},
    ],
    ids=["integer", "double", "boolean", "event", "resource", "resource by name", "list as JSON"],
)
def test_an_attribute_is_found_by_its_text(engine: Engine, stored: Stored, attributes: dict[str, str]) -> None:
    found = found_by(engine, stored, query__serviceName=stored.server, **{"query.attributes": json.dumps(attributes)})
    assert found == ["call"]


@pytest.mark.ours
def test_a_search_needs_no_service(engine: Engine, stored: Stored) -> None:
    assert found_by(engine, stored) == ["failed", "call"]


@pytest.mark.ours
def test_spans_without_error_are_found_by_error_false(engine: Engine, stored: Stored) -> None:
    found = found_by(engine, stored, query__serviceName=stored.client, **{"query.attributes": '{"error":"false"}'})
    assert found == ["call"]


@pytest.mark.ours
def test_summaries_come_newest_first_and_the_limit_keeps_the_newest(engine: Engine, stored: Stored) -> None:
    answer = engine.json(
        "/api/v3/trace-summaries", **stored.window, query__serviceName=stored.client, query__searchDepth="1"
    )
    assert [each["traceId"] for each in answer["summaries"]] == [stored.failed_trace]


def test_snake_case_names_mean_the_same(engine: Engine, stored: Stored) -> None:
    parameters = {
        "query.start_time_min": rfc3339(stored.start - SECOND),
        "query.start_time_max": rfc3339(stored.start + SECOND),
        "query.service_name": stored.server,
        "query.operation_name": "GetUser",
        "query.num_traces": "5",
    }
    answer = engine.json("/api/v3/traces", **parameters)
    assert {each["traceId"] for each in flat_spans(answer)} == {stored.trace}


def test_no_match_is_an_empty_list_of_summaries_and_404_for_full_traces(engine: Engine, stored: Stored) -> None:
    parameters = {**stored.window, "query.serviceName": "nobody"}
    assert engine.json("/api/v3/trace-summaries", **parameters) == {"summaries": []}
    assert engine.get("/api/v3/traces", **parameters).status_code == 404


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        pytest.param({"query__startTimeMin": ""}, "required", id="no lower bound"),
        pytest.param({"query__startTimeMax": ""}, "required", id="no upper bound"),
        pytest.param({"query__startTimeMin": "noon"}, "query.startTimeMin", id="no time"),
        pytest.param({"query__startTimeMin": "2999-01-01T00:00:00Z"}, "before", id="bounds the wrong way round"),
        pytest.param({"query__durationMin": "5"}, "query.durationMin", id="a bare number as duration"),
        pytest.param({"query__durationMax": "1d"}, "query.durationMax", id="days are no Go unit"),
        pytest.param({"query__searchDepth": "many"}, "query.searchDepth", id="no number"),
        pytest.param({"query__attributes": "{"}, "query.attributes", id="no JSON"),
        pytest.param({"query__attributes": '{"a":1}'}, "query.attributes", id="a value that is no string"),
        pytest.param({"query__rawTraces": "maybe"}, "query.rawTraces", id="no boolean"),
    ],
)
def test_a_bad_search_parameter_is_400_and_named(
    engine: Engine, stored: Stored, changed: dict[str, str], told: str
) -> None:
    answer = engine.get("/api/v3/traces", **{**stored.window, "query__serviceName": stored.client, **changed})
    assert answer.status_code == 400
    check(answer.json(), V3_ERROR)
    assert told in answer.json()["error"]["message"]
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.ours
def test_a_search_depth_below_one_is_400_and_a_large_one_is_capped(engine: Engine, stored: Stored) -> None:
    assert engine.get("/api/v3/trace-summaries", **stored.window, query__searchDepth="0").status_code == 400
    assert engine.get("/api/v3/trace-summaries", **stored.window, query__searchDepth="99999999").status_code == 200


@pytest.mark.ours
def test_a_plus_that_arrived_as_a_space_is_read_as_one(engine: Engine, stored: Stored) -> None:
    parameters = {
        "query.startTimeMin": rfc3339(stored.start - SECOND).replace("Z", " 00:00"),
        "query.startTimeMax": rfc3339(stored.start + SECOND).replace("Z", " 00:00"),
        "query.serviceName": stored.server,
    }
    assert len(engine.json("/api/v3/trace-summaries", **parameters)["summaries"]) == 1


@pytest.mark.parametrize("path", ["/api/nothing", "/api/v3/dependencies", "/api/quality-metrics", "/api/v3/"])
def test_an_unknown_api_path_is_404(engine: Engine, path: str) -> None:
    if path == "/api/quality-metrics" and not engine.is_ours:
        pytest.skip("Jaeger answers with sample figures")
    assert engine.get(path).status_code == 404


@pytest.mark.ours
def test_another_method_is_404(engine: Engine) -> None:
    assert engine.client.post("/api/v3/services").status_code == 404
