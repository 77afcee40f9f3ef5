"""The readers' door to metrics, against answers as our backend gives them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from otel.query import (
    MetricDescription,
    MetricExemplar,
    MetricLine,
    MetricSearch,
    NoMetricStoreError,
    TraceQuery,
    UnknownMetricError,
)

TOOK = {
    "name": "took",
    "unit": "s",
    "kind": "histogram",
    "temporality": "cumulative",
    "isMonotonic": True,
    "description": "how long",
    "services": ["order"],
    "attributes": {"rpc.method": ["Get"]},
    "seriesCount": 1,
}
ANSWER = {
    "name": "took",
    "unit": "s",
    "kind": "histogram",
    "aggregate": "rate",
    "stepS": 30.0,
    "times": ["2026-11-23T18:00:00Z", "2026-11-23T18:00:30Z"],
    "series": [
        {
            "attributes": {"rpc.method": "Get"},
            "values": [1.5, None],
            "exemplars": [{"time": "t", "value": 0.1, "traceId": each * 32, "spanId": "1" * 16} for each in "ab"],
        },
        {"attributes": {"rpc.method": "List"}, "values": [None, 0.0], "exemplars": []},
    ],
}


def query_with(answers: dict[str, Any], asked: list[httpx.Request] | None = None) -> TraceQuery:
    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        found = answers.get(request.url.path)
        return httpx.Response(200, json=found) if found else httpx.Response(404, json={"detail": "not stored"})

    return TraceQuery("http://127.0.0.1:1", transport=httpx.MockTransport(answer))


def test_what_is_stored_is_listed() -> None:
    with query_with({"/api/lab/metrics": {"metrics": [TOOK]}}) as query:
        assert query.metrics.metrics() == [
            MetricDescription("took", "s", "histogram", "how long", ("order",), {"rpc.method": ("Get",)}, True)
        ]


def test_a_metric_over_time_is_read_with_the_newest_trace_of_each_line() -> None:
    with query_with({"/api/lab/metrics/query": ANSWER}) as query:
        answer = query.metrics.query(MetricSearch("took"))
    assert (answer.name, answer.unit, answer.step_s, len(answer.times)) == ("took", "s", 30.0, 2)
    assert answer.lines == (
        MetricLine(
            {"rpc.method": "Get"}, (1.5, None), tuple(MetricExemplar(0.1, each * 32, "1" * 16) for each in "ab")
        ),
        MetricLine({"rpc.method": "List"}, (None, 0.0)),
    )


def test_the_trace_of_a_line_is_that_of_its_newest_exemplar() -> None:
    exemplars = tuple(MetricExemplar(0.1, each * 32, "1" * 16) for each in "ab")
    assert MetricLine({}, (), exemplars).trace_id == "b" * 32
    assert MetricLine({}, ()).trace_id == ""


def test_a_search_asks_for_what_it_says_and_for_nothing_else() -> None:
    asked: list[httpx.Request] = []
    with query_with({"/api/lab/metrics/query": ANSWER}, asked) as query:
        query.metrics.query(MetricSearch("took"))
        query.metrics.query(
            MetricSearch(
                "took", "p95", ("a", "b"), "order", {"c": "d"}, "2026-11-23T18:00:00Z", "2026-11-23T19:00:00Z", 5
            )
        )
    assert [dict(request.url.params) for request in asked] == [
        {"name": "took", "aggregate": "rate"},
        {
            "name": "took",
            "aggregate": "p95",
            "by": "a,b",
            "service": "order",
            "attributes": '{"c": "d"}',
            "timeMin": "2026-11-23T18:00:00Z",
            "timeMax": "2026-11-23T19:00:00Z",
            "step": "5s",
        },
    ]


def test_a_backend_without_metrics_is_told_from_a_metric_that_is_not_stored() -> None:
    with query_with({}) as query:
        with pytest.raises(NoMetricStoreError, match="keeps no metrics"):
            query.metrics.metrics()
        with pytest.raises(UnknownMetricError, match="no metric is called 'took'"):
            query.metrics.query(MetricSearch("took"))
