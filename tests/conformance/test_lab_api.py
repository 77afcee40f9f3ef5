"""Our own API beside Jaeger's: logs, analysis, diff, the stream, and what guards the page."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
import pytest

from tests.conformance.engine import Engine
from tests.conformance.shapes import check
from tests.contract.telemetry import MS, SECOND, log_record, resource_logs, resource_spans, span, trace_id
from tests.polling import eventually

pytestmark = pytest.mark.ours
PROBLEM = {"type": str, "title": str, "status": int, "detail": str}


@pytest.fixture(scope="module")
def logged(engine: Engine) -> tuple[int, int]:
    """A trace with five records, two of them of one span; returns its number and when it began."""
    number, start = engine.fresh(), time.time_ns() // MS * MS
    engine.send(
        resource_spans("lab order", [span(number, 1, name="root", start=start), span(number, 2, 1, start=start + MS)])
    )
    records = [
        log_record(
            f"line {index} of the call",
            trace=number,
            number=1 + index % 2,
            time=start + index * 1000,
            severity=9 + index,
            attributes={"order_id": f"o-n{number & 0xFFFF:x}-{index}"},
        )
        for index in range(5)
    ]
    engine.send_logs(resource_logs("lab order", records))
    return number, start


def records_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        record
        for part in answer["result"]["resourceLogs"]
        for scope_logs in part["scopeLogs"]
        for record in scope_logs["logRecords"]
    ]


def bodies_of(answer: dict[str, Any]) -> list[str]:
    return [record["body"]["stringValue"][:6] for record in records_of(answer)]


def test_a_log_record_is_otlp_json(engine: Engine, logged: tuple[int, int]) -> None:
    number, start = logged
    answer = engine.json("/api/lab/logs", traceId=trace_id(number).hex(), limit="1")
    assert set(answer) == {"result", "nextCursor"}
    (record,) = records_of(answer)
    assert record["traceId"] == trace_id(number).hex()
    assert record["spanId"] == "0000000000000001"
    assert record["timeUnixNano"] == str(start)
    assert (record["severityNumber"], record["severityText"]) == (9, "INFO")


def test_the_status_has_the_documented_shape(engine: Engine) -> None:
    answer = engine.json("/api/lab/status")
    check(answer, {"storage": {"failing": bool, "error": str, "setAsideFile": str}})
    assert answer["storage"]["failing"] is False


def test_spans_that_share_an_id_are_counted_alike_in_the_summary_the_trace_and_the_analysis(engine: Engine) -> None:
    number, start = engine.fresh(), time.time_ns() // MS * MS
    spans = [span(number, 1, name="first", start=start), span(number, 1, name="second", start=start + MS, status=2)]
    engine.send(resource_spans("shared id", [*spans, span(number, 2, 1, start=start + 2 * MS)]))

    assert len(engine.arrived(trace_id(number).hex(), 3)) == 3
    (summary,) = [
        found
        for found in engine.json(
            "/api/v3/trace-summaries",
            **{
                "query.serviceName": "shared id",
                "query.startTimeMin": "2000-01-01T00:00:00Z",
                "query.startTimeMax": "2100-01-01T00:00:00Z",
            },
        )["summaries"]
        if found["traceId"] == trace_id(number).hex()
    ]
    analysis = engine.json(f"/api/lab/traces/{trace_id(number).hex()}/analysis")
    assert (summary["spanCount"], summary["errorSpanCount"]) == (analysis["spanCount"], analysis["errorSpanCount"])
    shown = {each["spanId"]: (each["name"], each["childSpanIds"]) for each in analysis["spans"]}
    assert shown == {
        "0000000000000001": ("first", ["0000000000000002"]),
        "0000000000000001_1": ("second", []),
        "0000000000000002": ("work", []),
    }


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["line 0", "line 1", "line 2", "line 3", "line 4"]),
        ({"spanId": "2"}, ["line 1", "line 3"]),
        ({"serviceName": "lab order"}, ["line 0", "line 1", "line 2", "line 3", "line 4"]),
        ({"serviceName": "nobody"}, []),
        ({"severityMin": "12"}, ["line 3", "line 4"]),
        ({"text": "CALL 3"}, ["line 3"]),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_logs_of_a_trace_by(
    engine: Engine, logged: tuple[int, int], parameters: dict[str, str], expected: list[str]
) -> None:
    assert bodies_of(engine.json("/api/lab/logs", traceId=trace_id(logged[0]).hex(), **parameters)) == expected


def test_logs_by_time(engine: Engine, logged: tuple[int, int]) -> None:
    number, start = logged
    seconds, nanos = divmod(start + 2000, SECOND)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{nanos:09d}Z"
    answer = engine.json("/api/lab/logs", traceId=trace_id(number).hex(), timeMin=moment, timeMax=moment)
    assert bodies_of(answer) == ["line 2"]


def test_pages_follow_the_cursor_to_its_end(engine: Engine, logged: tuple[int, int]) -> None:
    parameters = {"traceId": trace_id(logged[0]).hex(), "limit": "2"}
    seen: list[str] = []
    cursor = ""
    while True:
        answer = engine.json("/api/lab/logs", **parameters, cursor=cursor)
        seen += bodies_of(answer)
        cursor = answer["nextCursor"]
        if not cursor:
            break
    assert seen == ["line 0", "line 1", "line 2", "line 3", "line 4"]


@pytest.mark.parametrize(
    ("parameters", "title"),
    [
        ({"traceId": "zz"}, "Malformed traceId"),
        ({"spanId": "1" * 17}, "Malformed spanId"),
        ({"severityMin": "99"}, "Malformed severityMin"),
        ({"timeMin": "noon"}, "Malformed timeMin"),
        ({"timeMax": "noon"}, "Malformed timeMax"),
        ({"limit": "0"}, "Malformed limit"),
        ({"cursor": "nonsense"}, "Malformed cursor"),
        ({"trace_id": "7"}, "Malformed trace_id"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else None,
)
def test_a_bad_parameter_is_a_problem_that_names_it(engine: Engine, parameters: dict[str, str], title: str) -> None:
    answer = engine.get("/api/lab/logs", **parameters)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    check(answer.json(), PROBLEM)
    assert answer.json()["title"] == title


def test_the_analysis_names_the_spans_and_logs(engine: Engine, logged: tuple[int, int]) -> None:
    answer = engine.json(f"/api/lab/traces/{trace_id(logged[0]).hex()}/analysis")
    assert (answer["spanCount"], answer["logCount"], answer["rootOperation"]) == (2, 5, "root")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/api/lab/traces/{'9' * 32}/analysis", 404),
        ("/api/lab/traces/zz/analysis", 400),
        ("/api/lab/diff", 400),
        (f"/api/lab/diff?a={'9' * 32}&b={'9' * 32}", 404),
        ("/api/lab/nothing", 404),
    ],
)
def test_our_errors_are_problem_documents(engine: Engine, path: str, status: int) -> None:
    answer = engine.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    check(answer.json(), PROBLEM)


def test_a_trace_differs_from_itself_in_nothing(engine: Engine, logged: tuple[int, int]) -> None:
    text = trace_id(logged[0]).hex()
    assert engine.get("/api/lab/diff", a=text, b=text).status_code == 200


def test_the_stream_tells_of_new_traces_and_logs(engine: Engine) -> None:
    number = engine.fresh()
    events: list[tuple[str, Any]] = []
    listening = threading.Event()

    def listen() -> None:
        with httpx.stream("GET", f"{engine.query_url}/api/lab/stream", timeout=30) as answer:
            name = ""
            for line in answer.iter_lines():
                listening.set()
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    events.append((name, json.loads(line.removeprefix("data: "))))
                    if {"trace", "log"} <= {seen for seen, _ in events}:
                        return

    listener = threading.Thread(target=listen)
    listener.start()
    assert listening.wait(10)
    engine.send(resource_spans("streamed", [span(number, 1, start=time.time_ns())]))
    engine.send_logs(resource_logs("streamed", [log_record("streamed", trace=number, time=time.time_ns())]))
    listener.join(20)
    eventually(lambda: not listener.is_alive())
    summary = next(body for name, body in events if name == "trace")
    assert (summary["traceId"], summary["spanCount"]) == (trace_id(number).hex(), 1)
    logs = next(body for name, body in events if name == "log")
    assert logs["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["body"] == {"stringValue": "streamed"}


def test_the_page_may_load_nothing_from_elsewhere(engine: Engine) -> None:
    answer = engine.get("/")
    policy = dict(each.strip().partition(" ")[::2] for each in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert (policy["script-src"], policy["style-src"], policy["connect-src"]) == ("'self'",) * 3
    assert (policy["base-uri"], policy["frame-ancestors"]) == ("'none'", "'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:1234", 200),
        ("[::1]:16686", 200),
        ("lab.localhost", 200),
        ("rebound.example", 403),
        ("127.0.0.1.example:16686", 403),
    ],
)
def test_a_foreign_host_name_is_refused(engine: Engine, host: str, status: int) -> None:
    assert engine.client.get("/api/v3/services", headers={"host": host}).status_code == status


@pytest.mark.parametrize("path", ["/static/../backend/app.py", "/static/%2e%2e/backend/app.py", "/static/export.py"])
def test_nothing_but_the_page_s_files_is_served(engine: Engine, path: str) -> None:
    answer = engine.client.get(path)
    assert answer.status_code == 404 or answer.headers["content-type"].startswith("text/html")
    assert "def " not in answer.text
