"""A Jaeger that has no trace summaries, such as 2.13, is searched by its v3 search, with the same answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from otel.analysis.example import TRACE_ID, example_trace
from otel.analysis.otlp_json_writing import spans_to_otlp_json
from otel.query import TraceQuery, TraceSearch, UnreadableAnswerError

PAGE = httpx.Response(200, text="<html></html>", headers={"content-type": "text/html"})
NO_SUCH_PATH = httpx.Response(404, text="404 page not found")
NOTHING_FOUND = httpx.Response(404, text='{"error":{"httpCode":404,"message":"No traces found"}}')
DURATION_NS = 14_210_000


def older_jaeger(asked: list[httpx.Request], unknown: httpx.Response, **answers: Any) -> TraceQuery:
    """Answer as Jaeger 2.13 does: every trace is found by each of its services, `unknown` is what other paths get."""
    spans = example_trace()[0].spans

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.path == "/api/v3/services":
            return httpx.Response(200, json={"services": sorted({span.service_name for span in spans})})
        if request.url.path != "/api/v3/traces":
            return unknown
        is_known = request.url.params["query.service_name"] in {span.service_name for span in spans}
        return httpx.Response(200, json={"result": spans_to_otlp_json(spans)}) if is_known else NOTHING_FOUND

    return TraceQuery("http://127.0.0.1:16686", transport=httpx.MockTransport(answer))


@pytest.mark.parametrize("unknown", [PAGE, NO_SUCH_PATH], ids=["page", "404"])
def test_a_trace_is_found_once_and_summed_up(unknown: httpx.Response) -> None:
    (found,) = older_jaeger([], unknown).trace_summaries()

    assert (found.trace_id, found.root_service_name, found.span_count, found.error_span_count) == (
        TRACE_ID,
        "demo",
        6,
        0,
    )
    assert (found.orphan_span_count, found.duration_ns) == (0, DURATION_NS)
    assert sum(service.span_count for service in found.services) == 6


def test_it_is_asked_by_the_names_that_it_knows_and_for_more_where_attributes_are_looked_for() -> None:
    asked: list[httpx.Request] = []
    search = TraceSearch(service_name="order", operation_name="x", attributes={"a": "b"}, duration_min_ns=5, limit=3)

    older_jaeger(asked, NO_SUCH_PATH).trace_summaries(search)

    params = dict(asked[-1].url.params)
    assert {"query.start_time_min", "query.start_time_max"} <= set(params)
    assert params["query.service_name"] == "order"
    assert params["query.operation_name"] == "x"
    assert params["query.duration_min"] == "5ns"
    assert params["query.num_traces"] == "200"
    assert not any(name.startswith("query.attributes") for name in params)


def test_attributes_that_it_can_not_ask_for_are_held_against_the_spans() -> None:
    span = next(span for span in example_trace()[0].spans if span.attributes)
    key, value = next((key, value) for key, value in span.attributes.items() if isinstance(value, str))

    assert len(older_jaeger([], NO_SUCH_PATH).trace_summaries(TraceSearch(attributes={key: value}))) == 1
    assert older_jaeger([], NO_SUCH_PATH).trace_summaries(TraceSearch(attributes={key: f"{value}!"})) == []
    assert older_jaeger([], NO_SUCH_PATH).trace_summaries(TraceSearch(attributes={"error": "true"})) == []


def test_a_service_that_is_not_there_has_no_traces() -> None:
    assert older_jaeger([], NO_SUCH_PATH).trace_summaries(TraceSearch(service_name="nobody")) == []


@pytest.mark.parametrize("unknown", [PAGE, NO_SUCH_PATH], ids=["page", "404"])
def test_what_is_no_jaeger_at_all_is_still_told(unknown: httpx.Response) -> None:
    query = TraceQuery("http://127.0.0.1:1", transport=httpx.MockTransport(lambda _: unknown))
    with pytest.raises(UnreadableAnswerError):
        query.trace_summaries(TraceSearch(service_name="order"))
