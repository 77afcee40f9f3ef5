"""The backend in this process: overload, failures of the store, CORS, slow listeners, broken requests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from clients.discovery import probes
from otel.backend import ingest
from otel.backend.api.stream import Feed
from otel.backend.errors import HostError, StoreError, StoreFullError
from otel.backend.ports import Retention, Written
from otel.backend.runner import Backend, BackendOptions
from otel.backend.stores.memory import MemoryStore
from otel.backend.stores.sqlite.store import SqliteStore
from tests.conformance.engine import TRACE_EXPORT
from tests.contract.telemetry import T0, resource_spans, span, trace_id
from tests.polling import eventually_async

ANY_PORT = BackendOptions(otlp_grpc_port=0, otlp_http_port=0, query_port=0)


class GatedStore(MemoryStore):
    """A memory store whose writes wait for a gate, or fail as told."""

    def __init__(self) -> None:
        super().__init__(Retention())
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.failure: Exception | None = None

    def write(
        self,
        spans: Iterable[ResourceSpans],
        logs: Iterable[ResourceLogs],
        metrics: Iterable[ResourceMetrics] = (),
        span_contents: Sequence[bytes] = (),
    ) -> Written:
        self.entered.set()
        assert self.gate.wait(10)
        if self.failure is not None:
            raise self.failure
        return super().write(spans, logs, metrics)


@pytest.fixture
async def store() -> AsyncIterator[GatedStore]:
    made = GatedStore()
    yield made
    made.close()


def body_of(number: int) -> bytes:
    part = resource_spans("order", [span(number, 1, start=T0)])
    return ExportTraceServiceRequest(resource_spans=[part]).SerializeToString()


async def export(backend: Backend, body: bytes) -> bytes:
    async with grpc.aio.insecure_channel(backend.addresses["otlp_grpc"]) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(TRACE_EXPORT)
        return await call(body, timeout=20)


async def post(backend: Backend, body: bytes) -> httpx.Response:
    async with httpx.AsyncClient(base_url=backend.otlp_http_endpoint, timeout=20) as client:
        return await client.post("/v1/traces", content=body, headers={"content-type": "application/x-protobuf"})


async def test_overload_is_refused_with_a_time_to_come_again_and_nothing_accepted_is_lost(
    store: GatedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "MAX_BATCH_BYTES", 1)
    async with Backend(store) as backend:
        backend._ingest._max_queued_bytes = 250
        store.gate.clear()
        accepted = [asyncio.create_task(export(backend, body_of(1)))]
        await asyncio.to_thread(store.entered.wait, 10)
        accepted.append(asyncio.create_task(export(backend, body_of(2))))
        await eventually_async(lambda: _value(backend._ingest.queued_bytes), until=lambda size: size > 150)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await export(backend, body_of(3))
        over_http = await post(backend, body_of(3))
        store.gate.set()
        await asyncio.gather(*accepted)
        counts = backend._ingest.counts
        assert (counts.span_count, counts.refused_request_count, counts.queued_bytes) == (2, 2, 0)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    status = rpc_status.from_call(caught.value)
    assert status is not None
    retry = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(retry)
    assert retry.retry_delay.seconds == 1
    assert (over_http.status_code, over_http.headers["retry-after"]) == (429, "1")
    assert [store.trace(trace_id(number)) is not None for number in (1, 2, 3)] == [True, True, False]


async def _value(value: Any) -> Any:
    return value


async def test_a_store_that_is_full_for_now_is_retryable_and_queries_go_on(store: GatedStore) -> None:
    async with Backend(store) as backend:
        await export(backend, body_of(1))
        store.failure = StoreFullError("the disk is full")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await export(backend, body_of(2))
        over_http = await post(backend, body_of(2))
        async with httpx.AsyncClient(base_url=backend.query_url) as client:
            services = await client.get("/api/v3/services")
        store.failure = None
        await export(backend, body_of(2))
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNAVAILABLE, "the disk is full")
    assert over_http.status_code == 503
    assert status_pb2.Status.FromString(over_http.content).message == "the disk is full"
    assert services.json() == {"services": ["order"]}
    assert store.trace(trace_id(2)) is not None


async def storage_status(backend: Backend) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=backend.query_url) as client:
        answer: dict[str, Any] = (await client.get("/api/lab/status")).json()
    return answer


async def test_the_status_says_whether_storage_fails_now(store: GatedStore) -> None:
    said: list[dict[str, Any]] = []
    async with Backend(store) as backend:
        for failure in (None, StoreFullError("the disk is full"), StoreError("the file is damaged"), None):
            store.failure = failure
            await post(backend, body_of(len(said) + 1))
            said.append(await storage_status(backend))
            assert await asyncio.to_thread(probes.storage_error, backend.query_url) == (str(failure) if failure else "")
    assert said == [
        {"storage": {"failing": bool(error), "error": error, "setAsideFile": ""}}
        for error in ("", "the disk is full", "the file is damaged", "")
    ]


async def test_a_submission_that_cannot_be_stored_does_not_make_the_status_say_that_storage_fails(
    store: GatedStore,
) -> None:
    async with Backend(store) as backend:
        store.failure = ValueError("of this submission")
        await post(backend, body_of(1))
        assert (await storage_status(backend))["storage"]["failing"] is False


async def test_the_status_names_the_damaged_file_that_was_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    SqliteStore(path).close()
    path.write_bytes(b"SQLite format 3\0" + b"this is no database" * 1000)
    with contextlib.closing(SqliteStore(path)) as store:
        async with Backend(store) as backend:
            said = await storage_status(backend)
    (aside,) = tmp_path.glob("store.sqlite.damaged-*Z")
    assert said == {"storage": {"failing": False, "error": "", "setAsideFile": aside.name}}


async def test_an_unknown_failure_tells_nothing_of_itself(store: GatedStore) -> None:
    async with Backend(store) as backend:
        store.failure = ValueError("secret of the store")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await export(backend, body_of(1))
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in (caught.value.details() or "")


async def test_one_submission_that_fails_does_not_fail_those_beside_it(
    store: GatedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_write = MemoryStore.write

    def picky_write(
        self: MemoryStore,
        spans: Iterable[ResourceSpans],
        logs: Iterable[ResourceLogs],
        metrics: Iterable[ResourceMetrics],
    ) -> Written:
        listed = list(spans)
        if any(each.scope_spans[0].spans[0].trace_id == trace_id(2) for each in listed):
            raise ValueError("cannot store this one")
        return plain_write(self, listed, logs, metrics)

    monkeypatch.setattr(MemoryStore, "write", picky_write)
    async with Backend(store) as backend:
        store.gate.clear()
        first = asyncio.create_task(export(backend, body_of(9)))
        await asyncio.to_thread(store.entered.wait, 10)
        waiting = [asyncio.create_task(export(backend, body_of(number))) for number in (1, 2, 3)]
        await eventually_async(lambda: _value(backend._ingest.queued_bytes), until=lambda size: size >= 400)
        store.gate.set()
        results = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert [isinstance(result, bytes) for result in results] == [True, True, False, True]


async def test_browsers_of_a_named_origin_may_send(store: GatedStore) -> None:
    options = replace(ANY_PORT, cors_origins=("https://shop.example",))
    async with Backend(store, options) as backend, httpx.AsyncClient(base_url=backend.otlp_http_endpoint) as client:
        headers = {
            "origin": "https://shop.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        }
        asked = await client.options("/v1/traces", headers=headers)
        sent = await client.post(
            "/v1/traces", content=b"{}", headers={"origin": "https://shop.example", "content-type": "application/json"}
        )
        elsewhere = await client.post(
            "/v1/traces", content=b"{}", headers={"origin": "https://else.example", "content-type": "application/json"}
        )
    assert asked.headers["access-control-allow-origin"] == "https://shop.example"
    assert sent.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in elsewhere.headers


async def test_a_slow_listener_loses_events_and_is_told_how_many() -> None:
    feed = Feed(max_queued_events=2)
    reader = feed.join()
    assert reader is not None
    reader.put([("trace", {"n": number}) for number in range(5)])
    taken = await reader.take(1.0)
    assert taken == [("trace", {"n": 0}), ("trace", {"n": 1}), ("dropped", {"count": 3})]
    assert await reader.take(0.0) == []


@pytest.mark.parametrize(
    "begin",
    [b"GET / HTTP/1.1\r\nhost: a\r\n", b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"],
)
async def test_a_head_or_a_trailer_without_an_end_is_refused_before_it_fills_the_memory(
    store: GatedStore, begin: bytes
) -> None:
    async with Backend(store, ANY_PORT) as backend:
        host, _, port = backend.addresses["otlp_http"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        with contextlib.suppress(ConnectionError):  # it may close while this still sends
            writer.write(begin)
            for number in range(8 * 1024):
                writer.write(b"x-%d: %s\r\n" % (number, b"a" * 1024))
                await writer.drain()
            writer.write(b"\r\n")
            await writer.drain()
            pytest.fail("8 MiB of it were taken")
        writer.close()
        with contextlib.suppress(ConnectionError):
            assert b" 400 " in await reader.readline()


async def test_a_request_that_comes_in_many_pieces_is_answered(store: GatedStore) -> None:
    async with Backend(store, ANY_PORT) as backend:
        host, _, port = backend.addresses["query"].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(3):
            for piece in (
                b"GET /api/ser",
                b"vices HTTP/1.1\r\nho",
                b"st: 127.0.0.1\r\nx-long: ",
                b"a" * 60_000,
                b"\r\n\r\n",
            ):
                writer.write(piece)
                await writer.drain()
            assert b" 200 " in await reader.readline()
            await reader.readuntil(b"}")
        writer.close()


async def test_two_backends_cannot_share_a_port(store: GatedStore) -> None:
    from otel.backend.errors import PortInUseError

    async with Backend(store) as backend:
        port = int(backend.addresses["otlp_grpc"].rpartition(":")[2])
        with pytest.raises(PortInUseError, match=f"port {port} is in use"):
            async with Backend(MemoryStore(), BackendOptions(otlp_grpc_port=port, otlp_http_port=0, query_port=0)):
                raise AssertionError("it must not start")


@pytest.mark.parametrize("host", ["", "a..b", "fe80::1%none", "192.0.2.1"])
async def test_a_host_that_is_not_this_machine_is_named_and_no_port_is_said_to_be_taken(host: str) -> None:
    with pytest.raises(HostError, match=f"'{host}' is no address of this machine"):
        async with Backend(MemoryStore(), replace(ANY_PORT, host=host)):
            raise AssertionError("it must not start")


async def test_a_failing_query_is_a_500_that_tells_nothing_of_itself(
    store: GatedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> list[str]:
        raise RuntimeError("secret of the store")

    monkeypatch.setattr(GatedStore, "services", fail)
    async with Backend(store) as backend, httpx.AsyncClient(base_url=backend.query_url) as client:
        v3 = await client.get("/api/v3/services")
        legacy = await client.get("/api/services")
    assert (v3.status_code, legacy.status_code) == (500, 500)
    assert json.loads(v3.text)["error"]["httpCode"] == 500
    assert json.loads(legacy.text)["errors"][0]["code"] == 500
    assert "secret" not in v3.text + legacy.text


async def test_readers_who_come_at_once_are_counted_when_they_are_let_in(store: GatedStore) -> None:
    feed = Feed(max_readers=64)
    readers = [feed.join() for _ in range(70)]
    joined = [reader for reader in readers if reader is not None]
    assert (len(joined), feed.reader_count) == (64, 64)
    feed.leave(joined[0])
    assert feed.join() is not None
    assert feed.join() is None


async def test_of_seventy_streams_opened_at_once_sixty_four_are_answered_and_their_places_come_back(
    store: GatedStore,
) -> None:
    async with contextlib.AsyncExitStack() as closing:
        backend = await closing.enter_async_context(Backend(store))
        client = await closing.enter_async_context(
            httpx.AsyncClient(base_url=backend.query_url, timeout=20, limits=httpx.Limits(max_connections=None))
        )

        async def status_of_stream() -> tuple[int, Any]:
            stream = client.stream("GET", "/api/lab/stream")
            response = await stream.__aenter__()
            return response.status_code, stream

        opened = await asyncio.gather(*(status_of_stream() for _ in range(70)))
        assert sorted(status for status, _ in opened) == [200] * 64 + [503] * 6
        for _, stream in opened:
            await stream.__aexit__(None, None, None)

        async def reader_count() -> int:
            return int(backend._feed.reader_count)

        await eventually_async(reader_count, until=lambda count: count == 0)
