"""The readers' door, against answers as a Jaeger v2.20 and as our backend give them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from otel.analysis.example import TRACE_ID, example_trace
from otel.analysis.model import Attributes, Span, SpanEvent
from otel.analysis.otlp_json_writing import log_records_to_otlp_json, spans_to_otlp_json
from otel.query import (
    BackendUnreachableError,
    LogSearch,
    MalformedTokenError,
    MalformedTraceIdError,
    NoLogStoreError,
    Operation,
    QueryError,
    QueryRefusedError,
    TraceNotCompleteError,
    TraceQuery,
    TraceSearch,
    UnreadableAnswerError,
)

URL = "http://127.0.0.1:16686"
NOW = 1_795_456_900_000_000_000
NOT_FOUND = httpx.Response(404, text='{"error":{"httpCode":404,"message":"No traces found"}}')
NO_SUCH_PATH = httpx.Response(404, text="404 page not found")

Answer = Callable[[httpx.Request], httpx.Response]


def query_with(answers: dict[str, Any], asked: list[httpx.Request] | None = None, **options: Any) -> TraceQuery:
    """Make a query whose backend answers by path: with JSON, a response, or what a function makes of the request."""

    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        found = answers.get(request.url.path, NO_SUCH_PATH)
        if callable(found):
            found = found(request)
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

    return TraceQuery(URL, transport=httpx.MockTransport(answer), clock=lambda: NOW, **options)


def result_of(spans: tuple[Span, ...]) -> dict[str, Any]:
    return {"result": spans_to_otlp_json(spans)}


def summary(trace_id: str, start: int, **more: Any) -> dict[str, Any]:
    return {
        "traceId": trace_id,
        "minStartTimeUnixNano": str(start),
        "maxEndTimeUnixNano": str(start + 5),
        "services": [{"name": "user", "spanCount": 1}, {"name": "order", "spanCount": 2, "errorSpanCount": 1}],
        **more,
    }


def test_a_trace_is_read_whole_whatever_the_order_of_its_spans() -> None:
    trace, _ = example_trace()

    assert query_with({f"/api/v3/traces/{TRACE_ID}": result_of(trace.spans[::-1])}).trace(TRACE_ID) == trace


def test_a_scope_of_which_jaeger_left_no_spans_is_empty() -> None:
    trace, _ = example_trace()
    answer = result_of(trace.spans)
    for part in answer["result"]["resourceSpans"]:
        part["scopeSpans"] = [{"scope": {"name": "sent twice"}}, *part["scopeSpans"], {"scope": {}, "spans": None}]

    assert query_with({f"/api/v3/traces/{TRACE_ID}": answer}).trace(TRACE_ID) == trace


def test_what_jaeger_adds_to_spans_is_dropped() -> None:
    trace, _ = example_trace()
    warned = replace(trace.spans[0], attributes={**trace.spans[0].attributes, "@jaeger@warnings": ("clock skew",)})

    read = query_with({f"/api/v3/traces/{TRACE_ID}": result_of((warned, *trace.spans[1:]))}).trace(TRACE_ID)

    assert read == trace


def test_an_unknown_trace_is_none_since_it_may_still_come() -> None:
    assert query_with({f"/api/v3/traces/{TRACE_ID}": NOT_FOUND}).trace(TRACE_ID) is None


def test_a_short_trace_id_is_padded() -> None:
    asked: list[httpx.Request] = []

    query_with({}, asked).trace(" 7F ")

    assert asked[0].url.path == "/api/v3/traces/" + "7f".rjust(32, "0")


@pytest.mark.parametrize("trace_id", ["", "zz", "0x12", "a" * 33, "../services"])
def test_what_is_no_trace_id_is_refused_before_asking(trace_id: str) -> None:
    asked: list[httpx.Request] = []

    with pytest.raises(MalformedTraceIdError, match="is not 1 to 32 hex digits"):
        query_with({}, asked).trace(trace_id)

    assert asked == []


@pytest.mark.parametrize("token", ["é" * 20, "a" * 16 + "\n"])
def test_a_token_that_no_header_can_hold_is_refused_before_asking(token: str) -> None:
    with pytest.raises(MalformedTokenError, match="LAB_QUERY_TOKEN holds more than letters"):
        TraceQuery("http://127.0.0.1:1", token=token)


def test_a_search_is_asked_in_canonical_names_with_both_times() -> None:
    asked: list[httpx.Request] = []
    search = TraceSearch(
        service_name="order",
        operation_name="GetOrder",
        attributes={"error": "true"},
        duration_min_ns=1_500_000,
        lookback_s=60,
        limit=5,
    )

    query_with({"/api/v3/trace-summaries": {"summaries": []}}, asked).trace_summaries(search)

    assert dict(asked[0].url.params) == {
        "query.startTimeMin": "2026-11-23T18:01:40.000000000Z",
        "query.startTimeMax": "2026-11-23T18:02:40.000000000Z",
        "query.searchDepth": "5",
        "query.serviceName": "order",
        "query.operationName": "GetOrder",
        "query.attributes": '{"error": "true"}',
        "query.durationMin": "1500000ns",
    }


def test_summaries_come_newest_first_with_missing_numbers_as_zero() -> None:
    answer = {"summaries": [summary("1", 10), summary("AB".rjust(32, "0"), 20, spanCount=3, errorSpanCount=1)]}

    newest, oldest = query_with({"/api/v3/trace-summaries": answer}).trace_summaries()

    assert (newest.trace_id, newest.span_count, newest.error_span_count) == ("ab".rjust(32, "0"), 3, 1)
    assert (oldest.trace_id, oldest.span_count, oldest.root_service_name) == ("1".rjust(32, "0"), 0, "")
    assert [service.name for service in newest.services] == ["order", "user"]
    assert newest.duration_ns == 5


def test_no_summaries_at_all_is_an_empty_list() -> None:
    assert query_with({"/api/v3/trace-summaries": {}}).trace_summaries() == []


def test_where_a_storage_wants_a_service_each_one_is_asked() -> None:
    def by_service(request: httpx.Request) -> httpx.Response:
        name = request.url.params.get("query.serviceName")
        if name is None:
            return httpx.Response(500, text='{"error":{"httpCode":500,"message":"service name required"}}')
        return httpx.Response(200, json={"summaries": [summary("aa", 1), summary("bb" if name == "user" else "cc", 2)]})

    query = query_with({"/api/v3/trace-summaries": by_service, "/api/v3/services": {"services": ["user", "order"]}})

    assert [found.trace_id[-2:] for found in query.trace_summaries()] == ["bb", "cc", "aa"]


def test_services_and_operations_are_sorted() -> None:
    query = query_with(
        {
            "/api/v3/services": {"services": ["user", "order", "user"]},
            "/api/v3/operations": {
                "operations": [{"name": "b", "spanKind": "server"}, {"name": "a", "spanKind": "client"}]
            },
        }
    )

    assert query.services() == ["order", "user"]
    assert query.operations("user") == [Operation("a", "client"), Operation("b", "server")]


def test_an_error_is_jaegers_own_sentence_though_sent_as_plain_text() -> None:
    body = '{"error":{"httpCode":400,"message":"malformed parameter query.searchDepth"}}\n'
    refusal = httpx.Response(400, text=body, headers={"content-type": "text/plain; charset=utf-8"})

    with pytest.raises(QueryRefusedError, match=r"refused the question: malformed parameter query\.searchDepth"):
        query_with({"/api/v3/trace-summaries": refusal}).trace_summaries(TraceSearch(service_name="x"))


def test_a_problem_of_our_own_api_is_told_by_its_detail() -> None:
    problem = httpx.Response(400, json={"title": "Malformed trace id", "detail": "trace id 'zz' is not hex"})

    with pytest.raises(QueryRefusedError, match="trace id 'zz' is not hex") as raised:
        query_with({"/api/lab/logs": problem}).logs(LogSearch())

    assert raised.value.status_code == 400


def test_a_dead_backend_is_one_sentence_and_a_hint() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno 111] Connection refused", request=request)

    with pytest.raises(BackendUnreachableError) as raised:
        query_with({"/api/v3/services": refuse}).services()

    assert str(raised.value) == "no trace backend answers at http://127.0.0.1:16686 (connection refused)"
    assert raised.value.hint == "start one with ./lab up --only backend, or name another with LAB_QUERY_URL"


def test_a_slow_backend_says_how_long_it_was_waited_for() -> None:
    def time_out(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)

    with pytest.raises(BackendUnreachableError, match="did not answer within 3 s"):
        query_with({"/api/v3/services": time_out}, timeout_s=3).services()


def test_a_page_in_place_of_an_answer_is_told_apart() -> None:
    page = httpx.Response(200, text="<html></html>", headers={"content-type": "text/html"})

    with pytest.raises(UnreadableAnswerError, match="not as a Jaeger query API does"):
        query_with({"/api/v3/services": page}).services()


def test_a_server_that_knows_no_services_path_is_no_query_api() -> None:
    with pytest.raises(UnreadableAnswerError, match=r"not as a Jaeger query API does \(404 for /api/v3/services\)"):
        query_with({}).status()


def test_logs_are_read_page_by_page_and_each_once() -> None:
    _, logs = example_trace()

    def page(request: httpx.Request) -> httpx.Response:
        assert request.url.params["traceId"] == TRACE_ID
        first = "cursor" not in request.url.params
        part = logs[:4] if first else logs[3:]
        body = {"result": log_records_to_otlp_json(part), "nextCursor": "next" if first else ""}
        return httpx.Response(200, json=body)

    found = query_with({"/api/lab/logs": page}).logs_of_trace(TRACE_ID)

    assert [record.event_name for record in found.records] == [record.event_name for record in logs]
    assert not found.from_span_events


def with_events(span: Span) -> Span:
    attributes: Attributes = {"log.record.uid": "u1", "log.severity_number": 17, "log.severity_text": "ERROR"}
    return replace(span, events=(SpanEvent("order.rejected", span.start_time_unix_nano + 5, attributes),))


@pytest.mark.parametrize(
    "no_log_api",
    [NO_SUCH_PATH, httpx.Response(200, text="<html>", headers={"content-type": "text/html"})],
    ids=["not found", "a page for every path"],
)
def test_without_a_log_api_logs_come_from_the_events_of_spans(no_log_api: httpx.Response) -> None:
    trace, _ = example_trace()
    spans = (with_events(trace.spans[0]), *trace.spans[1:])
    query = query_with({f"/api/v3/traces/{TRACE_ID}": result_of(spans), "/api/lab/logs": no_log_api})

    page = query.logs(LogSearch(trace_id=TRACE_ID))
    quiet = query.logs(LogSearch(trace_id=TRACE_ID, severity_min=21))

    assert page.from_span_events
    assert [(r.event_name, r.severity_text, r.service_name) for r in page.records] == [
        ("order.rejected", "ERROR", "demo")
    ]
    assert quiet.records == ()


def test_without_a_log_api_a_search_over_traces_says_what_to_do() -> None:
    with pytest.raises(NoLogStoreError, match="keeps no logs") as raised:
        query_with({}).logs(LogSearch(service_name="order"))

    assert "LAB_LOGS_URL" in raised.value.hint


def test_the_log_api_may_be_elsewhere() -> None:
    asked: list[httpx.Request] = []
    _, logs = example_trace()
    query = query_with({"/api/lab/logs": {"result": log_records_to_otlp_json(logs)}}, asked, logs_url="http://logs:1/")

    assert len(query.logs(LogSearch(trace_id=TRACE_ID)).records) == len(logs)
    assert str(asked[0].url).startswith("http://logs:1/api/lab/logs?")


def test_a_trace_is_waited_for_until_it_is_complete() -> None:
    trace, _ = example_trace()
    versions = iter([NOT_FOUND, *(httpx.Response(200, json=result_of(trace.spans[:n])) for n in (2, 6))])
    query = query_with({f"/api/v3/traces/{TRACE_ID}": lambda _: next(versions)})

    assert query.wait_for_trace(TRACE_ID, until=lambda seen: len(seen.spans) == 6) == trace


def test_a_backend_that_comes_up_late_is_waited_for_too() -> None:
    trace, _ = example_trace()
    tries = iter([httpx.ConnectError("refused"), None])

    def answer(request: httpx.Request) -> httpx.Response:
        error = next(tries)
        if error:
            raise error
        return httpx.Response(200, json=result_of(trace.spans))

    assert query_with({f"/api/v3/traces/{TRACE_ID}": answer}).wait_for_trace(TRACE_ID) == trace


def test_a_trace_that_stays_incomplete_is_handed_over_with_the_error() -> None:
    trace, _ = example_trace()
    query = query_with({f"/api/v3/traces/{TRACE_ID}": result_of(trace.spans[:2])})

    with pytest.raises(TraceNotCompleteError, match=r"is not complete \(2 spans so far\)") as raised:
        query.wait_for_trace(TRACE_ID, until=lambda seen: len(seen.spans) == 6, within_s=0.0)

    assert raised.value.seen is not None
    assert len(raised.value.seen.spans) == 2


def test_a_trace_that_never_came_says_so() -> None:
    with pytest.raises(TraceNotCompleteError, match=f"trace {TRACE_ID} did not arrive at {URL} within 0 s"):
        query_with({}).wait_for_trace(TRACE_ID, within_s=0.0)


def test_the_status_tells_the_engines_apart() -> None:
    jaeger = query_with({"/api/v3/services": {"services": []}, "/status": httpx.Response(200, text="<html>")})
    own = query_with(
        {"/api/v3/services": {"services": []}, "/api/lab/logs": {"result": {}}, "/status": {"healthy": True}}
    )

    assert (jaeger.status().engine, jaeger.status().has_log_store) == ("jaeger", False)
    assert (own.status().engine, own.status().has_log_store, own.status().details) == (
        "embedded",
        True,
        {"healthy": True},
    )


def test_a_base_path_is_kept() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={})

    with TraceQuery("http://example.test/jaeger/", transport=httpx.MockTransport(answer)) as query:
        query.services()

    assert str(asked[0].url) == "http://example.test/jaeger/api/v3/services"


@pytest.mark.parametrize(
    "body",
    [[], {"result": []}, {"result": {"resourceSpans": "x"}}, json.loads("null")],
    ids=["a list", "a list inside", "text for spans", "null"],
)
def test_any_json_is_an_error_or_no_trace_but_never_a_crash(body: Any) -> None:
    query = query_with({f"/api/v3/traces/{TRACE_ID}": lambda _: httpx.Response(200, text=json.dumps(body))})

    try:
        found = query.trace(TRACE_ID)
    except QueryError:
        found = None

    assert found is None
