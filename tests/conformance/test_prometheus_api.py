"""Prometheus' own query paths, as Grafana and Prometheus' clients ask them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.engine import Engine
from tests.contract.measurements import exemplar, histogram, histogram_metric, moment, resource_metrics
from tests.contract.telemetry import trace_id

pytestmark = pytest.mark.ours
T = moment(0) / 1e9
NAME = "prom_took_seconds"
QUANTILE = "histogram_quantile(0.5, sum by (le, rpc_method) (rate(prom_took_seconds_bucket[1m])))"


@pytest.fixture(scope="module", autouse=True)
def measured(engine: Engine) -> None:
    """Two methods of which each has one call more every ten seconds."""
    points = [
        histogram(
            [seconds // 10, 0, 0, 0] if method == "Get" else [0, 0, seconds // 10, 0],
            at_s=seconds,
            attributes={"rpc.method": method},
            exemplars=[exemplar(0.5, at_s=seconds - 1, trace=seconds)],
        )
        for method in ("Get", "List")
        for seconds in range(10, 130, 10)
    ]
    engine.send_metrics(resource_metrics("prom", [histogram_metric("prom.took", points)]))


def data(engine: Engine, path: str, **parameters: Any) -> Any:
    answer = engine.json(f"/api/v1/{path}", **parameters)
    assert answer["status"] == "success"
    return answer["data"]


def test_the_health_check_of_grafana_is_answered(engine: Engine) -> None:
    assert data(engine, "query", query="1+1", time="4") == {"resultType": "scalar", "result": [4.0, "2"]}


def test_a_rate_by_method_is_a_vector(engine: Engine) -> None:
    found = data(engine, "query", query=f"sum by (rpc_method) (rate({NAME}_count[1m]))", time=T + 120)
    assert found == {
        "resultType": "vector",
        "result": [
            {"metric": {"rpc_method": "Get"}, "value": [T + 120, "0.1"]},
            {"metric": {"rpc_method": "List"}, "value": [T + 120, "0.1"]},
        ],
    }


def test_a_quantile_over_time_is_a_matrix(engine: Engine) -> None:
    found = data(engine, "query_range", query=QUANTILE, start=T + 60, end=T + 120, step="30")
    assert found["resultType"] == "matrix"
    assert [each["metric"] for each in found["result"]] == [{"rpc_method": "Get"}, {"rpc_method": "List"}]
    assert [time for time, _ in found["result"][0]["values"]] == [T + 60, T + 90, T + 120]
    assert [float(text) for _, text in found["result"][1]["values"]] == pytest.approx([0.55] * 3)


def test_a_form_in_the_body_asks_the_same(engine: Engine) -> None:
    asked = {"query": QUANTILE, "start": str(T + 60), "end": str(T + 120), "step": "30s"}
    answer = engine.client.post("/api/v1/query_range", data=asked)
    assert answer.json()["data"] == data(engine, "query_range", **asked)


def test_times_are_seconds_or_rfc_3339(engine: Engine) -> None:
    asked = f"{NAME}_count{{rpc_method='Get'}}"
    by_seconds = data(engine, "query", query=asked, time=T + 100)
    assert by_seconds == data(engine, "query", query=asked, time="2026-11-23T18:01:40Z")
    assert by_seconds["result"][0]["value"][1] == "10"


def test_a_range_selector_gives_its_samples(engine: Engine) -> None:
    found = data(engine, "query", query=f"{NAME}_count{{rpc_method='Get'}}[25s]", time=T + 100)
    assert found["resultType"] == "matrix"
    assert found["result"][0]["values"] == [[T + 80, "8"], [T + 90, "9"], [T + 100, "10"]]


def test_labels_and_their_values_are_listed(engine: Engine) -> None:
    names = data(engine, "labels", **{"match[]": f"{NAME}_bucket"})
    assert names == ["__name__", "job", "le", "otel_scope_name", "otel_scope_version", "rpc_method"]
    assert set(names) <= set(data(engine, "labels"))
    assert data(engine, "label/rpc_method/values", **{"match[]": f"{NAME}_count"}) == ["Get", "List"]
    assert data(engine, "label/le/values", **{"match[]": f"{NAME}_bucket"}) == ["+Inf", "0.01", "0.1", "1"]
    assert data(engine, "label/nothing/values") == []
    assert {f"{NAME}_bucket", f"{NAME}_count", f"{NAME}_sum"} <= set(data(engine, "label/__name__/values"))


def test_series_are_listed(engine: Engine) -> None:
    found = data(engine, "series", **{"match[]": f'{NAME}_bucket{{le="+Inf"}}', "start": T, "end": T + 60})
    assert [each["rpc_method"] for each in found] == ["Get", "List"]
    assert found[0]["__name__"] == f"{NAME}_bucket"


def test_exemplars_lead_to_traces(engine: Engine) -> None:
    found = data(engine, "query_exemplars", query=QUANTILE, start=T + 5, end=T + 25)
    assert [each["seriesLabels"]["rpc_method"] for each in found] == ["Get", "List"]
    assert [each["labels"]["trace_id"] for each in found[0]["exemplars"]] == [trace_id(n).hex() for n in (10, 20)]
    assert found[0]["exemplars"][0]["value"] == "0.5"


def test_metadata_tell_type_help_and_unit(engine: Engine) -> None:
    assert data(engine, "metadata", metric=NAME) == {
        NAME: [{"type": "histogram", "help": "what prom.took is", "unit": "seconds"}]
    }


RANGE = {"query": "x", "start": "0", "end": "60", "step": "15"}


@pytest.mark.parametrize(
    ("path", "parameters", "told"),
    [
        ("query", {"query": "sum("}, 'invalid parameter "query": 1:5: parse error: unexpected end of input'),
        ("query", {}, 'invalid parameter "query": 1:1: parse error: unexpected end of input'),
        (
            "query",
            {"query": "x", "time": "noon"},
            "invalid parameter \"time\": cannot parse 'noon' to a valid timestamp",
        ),
        ("query", {"query": "x", "time": "NaN"}, "invalid parameter \"time\": cannot parse 'NaN' to a valid timestamp"),
        ("query", {"query": "x", "time": "1e300"}, 'invalid parameter "time": cannot parse'),
        ("query_range", RANGE | {"start": ""}, 'invalid parameter "start": cannot parse'),
        ("query_range", RANGE | {"end": "-60"}, 'invalid parameter "end": end timestamp must not be before start time'),
        ("query_range", RANGE | {"step": "0"}, 'invalid parameter "step": zero or negative query resolution'),
        ("query_range", RANGE | {"step": "NaN"}, 'invalid parameter "step": zero or negative query resolution'),
        ("query_range", RANGE | {"step": "soon"}, "invalid parameter \"step\": 'soon' is not a duration"),
        ("query_range", RANGE | {"step": "0.001"}, 'invalid parameter "step": exceeded maximum resolution of 11000'),
        ("query_range", RANGE | {"query": "x[5m]"}, 'invalid parameter "query": invalid expression type'),
        ("series", {}, 'invalid parameter "match[]": no match[] parameter provided'),
        ("labels", {"match[]": "sum(x)"}, 'invalid parameter "match[]": 1:1: parse error: expected a selector'),
    ],
)
def test_bad_input_is_answered_with_prometheus_error(
    engine: Engine, path: str, parameters: dict[str, str], told: str
) -> None:
    answer = engine.get(f"/api/v1/{path}", **parameters)
    assert answer.status_code == 400
    document = answer.json()
    assert (document["status"], document["errorType"]) == ("error", "bad_data")
    assert told in document["error"]


def test_a_query_that_cannot_be_answered_is_an_error_of_execution(engine: Engine) -> None:
    answer = engine.get("/api/v1/query", query=f"{NAME}_count / on () {NAME}_count", time=T + 60)
    assert (answer.status_code, answer.json()["errorType"]) == (422, "execution")


def test_what_is_not_stored_is_an_empty_answer(engine: Engine) -> None:
    assert data(engine, "query", query="nothing_of_this") == {"resultType": "vector", "result": []}
    assert data(engine, "query_range", **(RANGE | {"query": "nothing_of_this"}))["result"] == []
