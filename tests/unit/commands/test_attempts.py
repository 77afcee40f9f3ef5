"""What `lab trace` says of attempts: only what metrics prove of this trace's calls."""

from __future__ import annotations

import httpx
import pytest
from starlette.datastructures import QueryParams

from otel.analysis.model import Resource, Span, SpanKind, Trace
from otel.backend.api.lab_metrics import answer, listed, metric_query_of
from otel.backend.metrics.selection import Selection
from otel.backend.stores.memory import MemoryStore
from otel.query import TraceQuery
from tests.contract.measurements import histogram, histogram_metric, number_point, resource_metrics, sum_metric
from tests.contract.telemetry import SECOND, T0
from tracelab.commands.attempts import attempt_sentences

METHOD = "tracelab.user.v1.UserService/GetUser"


def call(number: int) -> Span:
    return Span(
        trace_id="7" * 32,
        span_id=f"{number:016x}",
        parent_span_id="",
        name=METHOD,
        kind=SpanKind.CLIENT,
        start_time_unix_nano=T0 + 20 * SECOND,
        end_time_unix_nano=T0 + 21 * SECOND,
        attributes={"rpc.method": METHOD},
        resource=Resource({"service.name": "cli"}),
    )


def said(*, span_count: int, call_count: int, attempt_count: int | None) -> list[str]:
    """What is said of a trace of so many calls, where metrics know of `call_count` and of these attempts."""
    store = MemoryStore()
    metrics = [
        histogram_metric(
            "rpc.client.call.duration",
            [histogram([call_count, 0, 0, 0], at_s=25, start_s=19, attributes={"rpc.method": METHOD})],
        )
    ]
    if attempt_count is not None:
        point = number_point(attempt_count, at_s=25, start_s=19, attributes={"grpc.method": METHOD})
        metrics.append(sum_metric("grpc.client.attempt.started", [point]))
    store.write([], [], [resource_metrics("cli", metrics)])

    def answered(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/lab/metrics":
            return httpx.Response(200, json={"metrics": listed(store.metric_series(), Selection())})
        return httpx.Response(200, json=answer(store, metric_query_of(QueryParams(request.url.query.decode()), 0)))

    trace = Trace("7" * 32, tuple(call(number) for number in range(1, span_count + 1)))
    with TraceQuery("http://127.0.0.1:1", transport=httpx.MockTransport(answered)) as query:
        return attempt_sentences(query.metrics, trace)


def test_a_retried_call_is_told_with_its_attempts() -> None:
    told = said(span_count=1, call_count=1, attempt_count=3)
    assert told == ["gRPC counted 3 attempts for 1 call of UserService/GetUser by cli"]


def test_calls_of_one_method_are_told_together() -> None:
    told = said(span_count=2, call_count=2, attempt_count=5)
    assert told == ["gRPC counted 5 attempts for 2 calls of UserService/GetUser by cli"]


@pytest.mark.parametrize(
    ("call_count", "attempt_count"),
    [(1, 1), (2, 4), (1, None)],
    ids=["one attempt", "another call in the same seconds", "core counted nothing"],
)
def test_where_nothing_more_is_proved_nothing_is_said(call_count: int, attempt_count: int | None) -> None:
    assert said(span_count=1, call_count=call_count, attempt_count=attempt_count) == []
