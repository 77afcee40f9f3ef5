"""TraceQuery against the embedded backend, over real HTTP: what goes in as OTLP comes out as values."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from otel.analysis.analysis_json import analysis_to_json
from otel.analysis.example import TRACE_ID, example_trace
from otel.analysis.otlp_json_writing import log_records_to_otlp_json, spans_to_otlp_json
from otel.backend.runner import Backend
from otel.backend.stores.memory import MemoryStore
from otel.query import LogSearch, MalformedTraceIdError, QueryRefusedError, TraceQuery, TraceSearch

EVER = TraceSearch(start_time_min_unix_nano=0, start_time_max_unix_nano=2_000_000_000_000_000_000)


# What Jaeger's sources after 2.20 no longer answer: its page asks for none of it, and no reader of ours may.
DROPPED = re.compile(r"/api/(services(/.*)?|operations|traces)")


class NewerJaeger(httpx.HTTPTransport):
    """Answers 404 to what newer versions of Jaeger have dropped."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if DROPPED.fullmatch(request.url.path):
            return httpx.Response(404, text="404 page not found")
        return super().handle_request(request)


@pytest.fixture(params=[httpx.HTTPTransport, NewerJaeger], ids=["as it is", "without what Jaeger dropped"])
async def query(request: pytest.FixtureRequest) -> AsyncIterator[TraceQuery]:
    """Serve the example trace from a backend on free ports, with and without the paths that Jaeger dropped."""
    trace, logs = example_trace()
    store = MemoryStore(now_unix_nano=lambda: trace.spans[0].end_time_unix_nano)
    async with Backend(store) as backend, httpx.AsyncClient() as client:
        bodies = {"traces": spans_to_otlp_json(trace.spans[::-1]), "logs": log_records_to_otlp_json(logs)}
        for signal, body in bodies.items():
            sent = await client.post(f"{backend.otlp_http_endpoint}/v1/{signal}", json=body)
            assert sent.status_code == 200, sent.text
        with TraceQuery(backend.query_url, transport=request.param()) as made:
            await asyncio.to_thread(
                made.wait_for_trace, TRACE_ID, until=lambda seen: len(seen.spans) == len(trace.spans)
            )
            yield made
    store.close()


async def test_a_trace_and_its_logs_come_back_as_they_were_sent(query: TraceQuery) -> None:
    trace, logs = example_trace()

    read = await asyncio.to_thread(query.trace, TRACE_ID)
    page = await asyncio.to_thread(query.logs_of_trace, TRACE_ID)

    assert read is not None
    assert [(span.name, span.attributes, span.resource) for span in read.spans] == [
        (span.name, span.attributes, span.resource) for span in trace.spans
    ]
    # Jaeger's API sorts attributes by key, so spans were compared by value above.
    again, sent = analysis_to_json(read, page.records), analysis_to_json(trace, logs)
    assert {key: again[key] for key in again if key != "spans"} == {key: sent[key] for key in sent if key != "spans"}


async def test_the_analysis_that_the_backend_serves_is_the_same(query: TraceQuery) -> None:
    async with httpx.AsyncClient() as client:
        served = await client.get(f"{query.query_url}/api/lab/traces/{TRACE_ID}/analysis")

    assert served.json() == json.loads(json.dumps(analysis_to_json(*example_trace())))


async def test_services_operations_and_summaries_are_found(query: TraceQuery) -> None:
    services = await asyncio.to_thread(query.services)
    operations = await asyncio.to_thread(query.operations, "user")
    (found,) = await asyncio.to_thread(query.trace_summaries, EVER)

    assert services == ["demo", "order", "report", "user"]
    assert [(operation.name, operation.span_kind) for operation in operations] == [
        ("tracelab.user.v1.UserService/GetUser", "server")
    ]
    assert (found.trace_id, found.root_service_name, found.span_count, found.error_span_count) == (
        TRACE_ID,
        "demo",
        6,
        0,
    )
    assert found.duration_ns == 14_210_000


async def test_a_search_by_attribute_and_duration_narrows(query: TraceQuery) -> None:
    def count(**conditions: object) -> int:
        search = TraceSearch(
            start_time_min_unix_nano=0,
            start_time_max_unix_nano=EVER.start_time_max_unix_nano,
            **conditions,  # type: ignore[arg-type]  # conditions of several types
        )
        return len(query.trace_summaries(search))

    assert await asyncio.to_thread(count, attributes={"session.id": "demo-5a1f"}) == 1
    assert await asyncio.to_thread(count, attributes={"session.id": "other"}) == 0
    assert await asyncio.to_thread(count, attributes={"error": "true"}) == 0
    assert await asyncio.to_thread(count, service_name="order", duration_min_ns=6_000_000) == 1
    assert await asyncio.to_thread(count, service_name="order", duration_min_ns=7_000_000) == 0


async def test_logs_are_searched_by_span_service_severity_and_text(query: TraceQuery) -> None:
    async def events(search: LogSearch) -> list[str]:
        page = await asyncio.to_thread(query.logs, search)
        return [record.event_name for record in page.records]

    order_span = f"{0xA6:016x}"
    assert await events(LogSearch(trace_id=TRACE_ID, span_id=order_span)) == ["order.listed", "rpc.finished"]
    assert await events(LogSearch(service_name="user")) == ["user.read"]
    assert await events(LogSearch(trace_id=TRACE_ID, severity_min=17)) == []
    assert await events(LogSearch(text="order.listed")) == ["order.listed"]


async def test_logs_are_read_in_pages(query: TraceQuery) -> None:
    first = await asyncio.to_thread(query.logs, LogSearch(trace_id=TRACE_ID, limit=4))
    second = await asyncio.to_thread(query.logs, LogSearch(trace_id=TRACE_ID, limit=4, cursor=first.next_cursor))

    assert [len(first.records), len(second.records), bool(second.next_cursor)] == [4, 2, False]


async def test_the_backend_says_what_it_is(query: TraceQuery) -> None:
    status = await asyncio.to_thread(query.status)

    assert (status.engine, status.has_log_store, status.details.get("healthy")) == ("embedded", True, True)


async def test_a_refusal_is_the_backends_own_sentence(query: TraceQuery) -> None:
    with pytest.raises(QueryRefusedError, match=r"refused the question: .*search"):
        await asyncio.to_thread(query.trace_summaries, TraceSearch(service_name="user", limit=0))
    with pytest.raises(MalformedTraceIdError):
        await asyncio.to_thread(query.trace, "nope")


async def test_an_unknown_trace_is_none(query: TraceQuery) -> None:
    assert await asyncio.to_thread(query.trace, "1") is None


def test_the_page_asks_for_nothing_that_jaeger_dropped() -> None:
    script = (Path(__file__).resolve().parents[3] / "otel" / "viewer" / "api.js").read_text(encoding="utf-8")
    paths = [path.partition("$")[0].rstrip("/") for path in re.findall(r"[\"`](?:\$\{base\})?(/api/[^\"`]*)", script)]
    assert paths
    assert [path for path in paths if DROPPED.fullmatch(path)] == []
