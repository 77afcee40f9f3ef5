"""Our own paths for metrics: what is listed, what a query answers, and how bad input is named."""

from __future__ import annotations

from typing import Any

import pytest

from otel.backend.api.parameters import rfc3339
from tests.conformance.engine import Engine
from tests.conformance.shapes import check
from tests.contract.measurements import (
    exemplar,
    gauge_metric,
    histogram,
    histogram_metric,
    moment,
    number_point,
    resource_metrics,
    sum_metric,
)
from tests.contract.telemetry import trace_id

pytestmark = pytest.mark.ours
METRIC = {
    "name": str,
    "unit": str,
    "kind": str,
    "temporality": str,
    "isMonotonic": bool,
    "description": str,
    "services": [str],
    "attributes": dict,
    "seriesCount": int,
}
MINUTE = {"timeMin": rfc3339(moment(0)), "timeMax": rfc3339(moment(60)), "step": "30s"}
GET, LIST = {"rpc.method": "Get"}, {"rpc.method": "List"}


@pytest.fixture(scope="module")
def measured(engine: Engine) -> None:
    """A minute of calls: 60 of Get and 30 of List by two instances, a slow one with its trace."""
    slow = exemplar(0.5, at_s=20, trace=7)
    for instance in (1, 2):
        took = [
            histogram([30, 0, 0, 0], at_s=60, attributes=GET, total=0.15),
            histogram([0, 5, 10, 0], at_s=60, attributes=LIST, total=6.0, exemplars=[slow]),
        ]
        metrics = [
            histogram_metric("lab.took", took),
            gauge_metric("lab.queue", [number_point(4, at_s=30)], unit="{call}"),
            sum_metric("lab.twofold", [number_point(1, at_s=30)], unit="By"),
            sum_metric("lab.twofold", [number_point(1, at_s=30)], unit="s"),
        ]
        engine.send_metrics(resource_metrics("lab metrics", metrics, resource={"service.instance.id": f"i{instance}"}))
    other = histogram_metric("lab.took", [histogram([6, 0, 0, 0], at_s=60, attributes=GET)])
    engine.send_metrics(resource_metrics("lab other", [other]))


def asked(engine: Engine, **parameters: Any) -> Any:
    return engine.json(
        "/api/lab/metrics/query", **{"name": "lab.took", "service": "lab metrics", **MINUTE, **parameters}
    )


@pytest.mark.usefixtures("measured")
def test_the_list_says_what_there_is_and_what_it_can_be_asked_by(engine: Engine) -> None:
    answer = engine.json("/api/lab/metrics")
    check(answer, {"metrics": [METRIC]})
    (took,) = [metric for metric in answer["metrics"] if metric["name"] == "lab.took"]
    assert (took["unit"], took["kind"], took["temporality"], took["isMonotonic"]) == (
        "s",
        "histogram",
        "cumulative",
        True,
    )
    assert took["services"] == ["lab metrics", "lab other"]
    assert took["attributes"] == {"rpc.method": ["Get", "List"]}
    assert (took["seriesCount"], took["description"]) == (5, "what lab.took is")


@pytest.mark.usefixtures("measured")
def test_the_list_of_one_service_has_its_metrics_only(engine: Engine) -> None:
    names = [metric["name"] for metric in engine.json("/api/lab/metrics", service="lab other")["metrics"]]
    assert names == ["lab.took"]


@pytest.mark.usefixtures("measured")
def test_a_query_answers_step_by_step(engine: Engine) -> None:
    assert asked(engine) == {
        "name": "lab.took",
        "unit": "s",
        "kind": "histogram",
        "aggregate": "rate",
        "stepS": 30.0,
        "times": [rfc3339(moment(0)), rfc3339(moment(30))],
        "series": [
            {
                "attributes": {},
                "values": [1.5, 1.5],
                "exemplars": [
                    {
                        "time": rfc3339(moment(20)),
                        "value": 0.5,
                        "traceId": trace_id(7).hex(),
                        "spanId": "0000000000000001",
                    }
                ],
            }
        ],
    }


@pytest.mark.usefixtures("measured")
def test_a_query_groups_by_attributes_of_points_and_of_resources(engine: Engine) -> None:
    by_method = asked(engine, by="rpc.method")["series"]
    assert [(each["attributes"], each["values"]) for each in by_method] == [(GET, [1.0, 1.0]), (LIST, [0.5, 0.5])]
    by_both = asked(engine, by="rpc.method,service.instance.id")["series"]
    assert [each["attributes"]["service.instance.id"] for each in by_both] == ["i1", "i2", "i1", "i2"]


@pytest.mark.usefixtures("measured")
def test_a_query_narrows_by_service_and_attributes(engine: Engine) -> None:
    assert asked(engine, attributes='{"rpc.method":"Get"}')["series"][0]["values"] == [1.0, 1.0]
    assert asked(engine, service="")["series"][0]["values"] == [1.6, 1.6]
    assert asked(engine, service="nobody")["series"] == []


@pytest.mark.usefixtures("measured")
def test_a_query_answers_quantiles_heat_maps_and_sums(engine: Engine) -> None:
    assert asked(engine, aggregate="p50", attributes='{"rpc.method":"Get"}')["series"][0]["values"] == [0.005, 0.005]
    heatmap = asked(engine, aggregate="heatmap")
    assert heatmap["bounds"] == [0.01, 0.1, 1.0]
    assert heatmap["series"][0]["values"] == [[30, 5, 10, 0], [30, 5, 10, 0]]
    assert asked(engine, aggregate="sum", by="rpc.method")["series"][1]["values"] == [6.0, 6.0]
    queue = asked(engine, name="lab.queue", aggregate="sum")
    assert (queue["kind"], queue["unit"], queue["series"][0]["values"]) == ("gauge", "{call}", [8.0, None])


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("wanted", "told"),
    [({"kind": "bogus"}, "as kind 'bogus'"), ({"unit": "bogus"}, "as any kind in unit 'bogus'")],
)
def test_a_metric_is_not_found_in_a_kind_or_unit_that_it_is_not_stored_in(
    engine: Engine, wanted: dict[str, str], told: str
) -> None:
    answer = engine.get("/api/lab/metrics/query", name="lab.took", **wanted)
    assert (answer.status_code, answer.json()["detail"]) == (404, f"metric 'lab.took' is not stored {told}")


def test_a_metric_that_is_not_stored_is_not_found(engine: Engine) -> None:
    answer = engine.get("/api/lab/metrics/query", name="nothing.of.this")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "metric 'nothing.of.this' is not stored"


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("parameters", "wrong", "told"),
    [
        pytest.param({"name": ""}, "name", "name is required", id="no name"),
        pytest.param({"name": "lab.twofold"}, "name", "a sum in 'By', a sum in 's'; add kind or unit", id="two units"),
        pytest.param({"aggregate": "p42"}, "aggregate", "'p42' is not one of rate, sum, p50", id="aggregate"),
        pytest.param({"name": "lab.queue"}, "aggregate", "goes up and down, take 'sum'", id="rate of a gauge"),
        pytest.param(
            {"name": "lab.queue", "aggregate": "p50"},
            "aggregate",
            "is for histograms; this is a gauge",
            id="p50 of a gauge",
        ),
        pytest.param({"step": "5"}, "step", "is not a duration", id="step without a unit"),
        pytest.param({"step": "0"}, "step", "is not longer than nothing", id="no step"),
        pytest.param({"step": "-5s"}, "step", "is not longer than nothing", id="step back"),
        pytest.param({"step": "1ns"}, "step", "more than 11000 steps", id="too many steps"),
        pytest.param({"timeMin": "yesterday"}, "timeMin", "is not an RFC 3339 time", id="time"),
        pytest.param({"timeMax": rfc3339(moment(0))}, "timeMin", "must be before timeMax", id="times turned round"),
        pytest.param({"attributes": "[]"}, "attributes", "must be a JSON object", id="attributes"),
        pytest.param({"serviceName": "x"}, "serviceName", "is not a parameter; there are name, service", id="unknown"),
    ],
)
def test_bad_input_is_refused_with_the_parameters_name(
    engine: Engine, parameters: dict[str, str], wrong: str, told: str
) -> None:
    answer = engine.get("/api/lab/metrics/query", **{"name": "lab.took", **MINUTE, **parameters})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["title"] == f"Malformed {wrong}"
    assert told in answer.json()["detail"]


@pytest.mark.usefixtures("measured")
def test_a_unit_tells_metrics_of_one_name_apart(engine: Engine) -> None:
    assert asked(engine, name="lab.twofold", unit="By", aggregate="sum")["unit"] == "By"


def test_the_list_takes_no_parameter_that_it_does_not_know(engine: Engine) -> None:
    answer = engine.get("/api/lab/metrics", name="x")
    assert (answer.status_code, answer.json()["title"]) == (400, "Malformed name")


@pytest.mark.usefixtures("measured")
def test_without_times_the_last_hour_is_asked(engine: Engine) -> None:
    answer = engine.json("/api/lab/metrics/query", name="lab.took")
    assert (len(answer["times"]), answer["stepS"]) == (60, 60.0)
