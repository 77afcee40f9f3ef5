"""Both adapters of the port that logs are read through: our own log API, and OpenSearch as it was seen to answer."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from otel.analysis.otlp_json_writing import log_records_to_otlp_json
from otel.backend.runner import Backend
from otel.backend.stores.memory import MemoryStore
from otel.query import (
    BackendUnreachableError,
    LogPage,
    LogSearch,
    NoLogStoreError,
    QueryError,
    QueryRefusedError,
    TraceQuery,
)
from otel.query import opensearch as adapter
from tests.contract.fake_opensearch import FakeOpenSearch
from tests.contract.log_reading import T0, LogReading, Written, batches, records_for

TRACES = "http://127.0.0.1:16686"
LOGS = "opensearch+http://127.0.0.1:9200/otlp-logs"


class TestOurLogApi(LogReading):
    @pytest.fixture(scope="class")
    @classmethod
    def written(cls) -> Iterator[Written]:
        records = records_for()
        store = MemoryStore(now_unix_nano=lambda: T0)
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(Backend(store)) as backend:
            for batch in batches(records):
                body = log_records_to_otlp_json(batch)
                assert httpx.post(f"{backend.otlp_http_endpoint}/v1/logs", json=body).status_code == 200
            with TraceQuery(backend.query_url) as query:
                yield Written(query, records)
        store.close()


class TestOpenSearch(LogReading):
    @pytest.fixture(scope="class")
    @classmethod
    def written(cls) -> Iterator[Written]:
        transport, records = httpx.MockTransport(FakeOpenSearch().handle), records_for()
        with httpx.Client(transport=transport) as collector:
            for batch in batches(records):
                url = f"{LOGS.removeprefix('opensearch+')}/_doc"
                assert collector.post(url, json=log_records_to_otlp_json(batch)).status_code == 201
        with TraceQuery(TRACES, LOGS, transport=transport) as query:
            yield Written(query, records)


@pytest.fixture
def one_document_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "DOCUMENTS_AT_ONCE", 1)


@pytest.mark.usefixtures("one_document_at_once")
class TestOpenSearchReadDocumentByDocument(TestOpenSearch):
    """The same where not all documents come at once: none is given before all that is older has been read."""


def over(answer: httpx.Response | Exception, asked: list[httpx.Request] | None = None, url: str = LOGS) -> TraceQuery:
    def handle(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return TraceQuery(TRACES, url, token="a-token-for-readers", transport=httpx.MockTransport(handle))


def test_an_index_that_is_not_there_is_told_by_its_address() -> None:
    with TraceQuery(TRACES, f"{LOGS}-of-others", transport=httpx.MockTransport(FakeOpenSearch().handle)) as query:
        with pytest.raises(NoLogStoreError, match="there is no index at http") as raised:
            query.logs(LogSearch())
        assert "/otlp-logs-of-others" in str(raised.value)
        assert "LAB_LOGS_URL" in raised.value.hint


def test_a_dead_opensearch_is_one_sentence_and_a_hint() -> None:
    with pytest.raises(BackendUnreachableError, match=r"no log store answers at .* \(connection refused\)") as raised:
        over(httpx.ConnectError("[Errno 111] Connection refused")).logs(LogSearch())
    assert "opensearch+http://127.0.0.1:9200/otlp-logs" in raised.value.hint


def test_an_error_is_opensearchs_own_sentence() -> None:
    refusal = httpx.Response(503, json={"error": {"type": "x", "reason": "all shards failed"}, "status": 503})
    with pytest.raises(QueryRefusedError, match="refused the question: all shards failed"):
        over(refusal).logs(LogSearch())


@pytest.mark.parametrize("body", [{}, {"hits": {}}, {"hits": {"hits": 5}}, {"hits": []}, {"hits": {"hits": [{}]}}])
def test_an_answer_that_is_not_opensearchs_is_told_so(body: dict[str, object]) -> None:
    with pytest.raises(QueryError, match="not as OpenSearch does"):
        over(httpx.Response(200, json=body)).logs(LogSearch())


def test_a_password_goes_to_opensearch_and_into_no_sentence() -> None:
    asked: list[httpx.Request] = []
    query = over(httpx.Response(404, json={}), asked, "opensearch+http://reader:secret@127.0.0.1:9200/otlp-logs")
    with pytest.raises(NoLogStoreError) as raised:
        query.logs(LogSearch())
    assert "secret" not in str(raised.value)
    assert asked[0].headers["authorization"].startswith("Basic ")


def test_opensearch_is_not_shown_the_readers_token() -> None:
    asked: list[httpx.Request] = []
    with pytest.raises(NoLogStoreError):
        over(httpx.Response(404, json={}), asked).logs(LogSearch())
    assert "authorization" not in asked[0].headers


def test_a_reader_asks_the_same_copies_each_time_and_another_may_ask_others() -> None:
    asked: list[httpx.Request] = []
    for reader in (over(httpx.Response(200, json={"hits": {"hits": []}}), asked) for _ in range(2)):
        assert reader.logs(LogSearch()) == reader.logs(LogSearch()) == LogPage(())
    first, again, other, _ = (request.url.params["preference"] for request in asked)
    assert first == again != other


def test_metrics_are_asked_of_the_trace_backend_where_logs_are_in_opensearch() -> None:
    asked: list[httpx.Request] = []
    over(httpx.Response(200, json={"metrics": []}), asked).metrics.metrics()
    assert str(asked[0].url) == f"{TRACES}/api/lab/metrics"
