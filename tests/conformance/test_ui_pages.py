"""Jaeger UI, page by page: the requests that each page makes, answered in the shapes that its code accepts."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import pytest

from tests.conformance.engine import Engine
from tests.conformance.shapes import (
    DEPENDENCIES,
    LEGACY_TRACES,
    METRICS,
    V3_OPERATIONS,
    V3_SERVICES,
    V3_SUMMARIES,
    check,
)
from tests.contract.telemetry import MS, resource_spans, span, trace_id

WEEK_MS = 604_800_000


@pytest.fixture(scope="session")
def shown(engine: Engine) -> str:
    """A trace that the pages show; returns its id."""
    number, start = engine.fresh(), time.time_ns() // MS * MS
    spans = [span(number, 1, name="GET /cart", start=start), span(number, 2, 1, name="query", kind=3, start=start)]
    shown = trace_id(number).hex()
    engine.send(resource_spans(shop(shown), spans))
    engine.arrived(shown, 2)
    return shown


def shop(shown: str) -> str:
    """The service of that trace: a name that no other run has, on an engine that keeps what it was sent."""
    return f"ui shop {shown}"


def browser_time(unix_ms: int) -> str:
    """What `new Date(…).toISOString()` writes."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_ms // 1000)) + f".{unix_ms % 1000:03d}Z"


@pytest.mark.parametrize(
    "path", ["/", "/search", "/trace/abc", "/trace/a...b", "/dependencies", "/monitor", "/any/path"]
)
def test_every_page_path_is_the_index(engine: Engine, path: str) -> None:
    answer = engine.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_the_search_page_before_a_search(engine: Engine, shown: str) -> None:
    check(engine.json("/api/v3/services"), V3_SERVICES)
    check(engine.json("/api/v3/operations", service=shop(shown)), V3_OPERATIONS)


def test_the_search_page_with_results(engine: Engine, shown: str) -> None:
    now_ms = time.time_ns() // MS
    parameters: dict[str, Any] = {
        "query.serviceName": shop(shown),
        "query.operationName": "GET /cart",
        "query.startTimeMin": browser_time(now_ms - 3_600_000),
        "query.startTimeMax": browser_time(now_ms + 1000),
        "query.searchDepth": "20",
        "query.durationMin": "1ms",
        "query.durationMax": "1.5s",
        "query.attributes": '{"scope.name":"test"}',
    }
    answer = engine.json("/api/v3/trace-summaries", **parameters)
    check(answer, V3_SUMMARIES)
    assert [each["traceId"] for each in answer["summaries"]] == [shown]


def test_downloading_results(engine: Engine, shown: str) -> None:
    check(engine.json(f"/api/traces/{shown}"), LEGACY_TRACES)


def test_the_trace_page_and_its_menu(engine: Engine, shown: str) -> None:
    first = engine.json(f"/api/traces/{shown}")["data"][0]
    assert first["traceID"] == shown
    assert all(each["processID"] in first["processes"] for each in first["spans"])
    assert all(each["startTime"] > 0 for each in first["spans"])
    check(engine.json(f"/api/traces/{shown}", prettyPrint="true"), LEGACY_TRACES)
    check(engine.json(f"/api/traces/{shown}", raw="true", prettyPrint="true"), LEGACY_TRACES)


def test_the_trace_page_of_a_trace_that_is_not_there_shows_the_message(engine: Engine) -> None:
    answer = engine.get(f"/api/traces/{trace_id(engine.fresh()).hex()}")
    assert answer.status_code == 404
    assert [(error["code"], bool(error["msg"])) for error in answer.json()["errors"]] == [(404, True)]


def test_the_upload_tab_takes_what_the_query_api_gave(engine: Engine, shown: str) -> None:
    document = engine.json(f"/api/v3/traces/{shown}")["result"]
    answer = engine.client.post("/api/transform", json=document)
    assert answer.status_code == 200
    check(answer.json(), LEGACY_TRACES)
    assert [each["traceID"] for each in answer.json()["data"]] == [shown]


def test_the_dependencies_page(engine: Engine, shown: str) -> None:
    answer = engine.json("/api/dependencies", endTs=str(time.time_ns() // MS), lookback=str(WEEK_MS))
    check(answer, DEPENDENCIES)


@pytest.mark.ours
@pytest.mark.parametrize(
    ("name", "more"),
    [
        *[("latencies", {"quantile": quantile}) for quantile in ("0.5", "0.75", "0.95")],
        *[(name, {"quantile": "0.95"}) for name in ("calls", "errors")],
        *[(name, {"quantile": "0.95", "groupByOperation": "true"}) for name in ("latencies", "calls", "errors")],
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value.values()) or "all",
)
def test_the_monitor_page(engine: Engine, shown: str, name: str, more: dict[str, str]) -> None:
    common = f"endTs={time.time_ns() // MS}&lookback=3600000&step=60000&ratePer=600000&spanKind=server"
    query = "&".join([f"service={shop(shown)}", common, *(f"{key}={value}" for key, value in more.items())])
    answer = engine.client.get(f"/api/metrics/{name}?{query}")
    assert answer.status_code == 200
    check(answer.json(), METRICS)
    assert answer.json()["metrics"]


@pytest.mark.dropped_after_2_20
def test_grafana_s_data_source(engine: Engine, shown: str) -> None:
    assert shop(shown) in engine.json("/api/services")["data"]
    assert "GET /cart" in engine.json(f"/api/services/{quote(shop(shown))}/operations")["data"]
    end_us = time.time_ns() // 1000
    window = {"start": str(end_us - 3_600_000_000), "end": str(end_us)}
    found = engine.json("/api/traces", service=shop(shown), operation="GET /cart", tags="{}", limit="20", **window)
    assert [each["traceID"] for each in found["data"]] == [shown]
    assert engine.json(f"/api/traces/{shown}", start=str(end_us // 1000 - 1), end=str(end_us // 1000))["data"]
    assert not engine.json("/api/dependencies", endTs=str(end_us // 1000), lookback="3600000")["errors"]
