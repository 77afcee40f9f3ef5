"""OpenTelemetry's own Node exporters, by gRPC, protobuf and JSON: every field that they send is read back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.conformance import node_sender
from tests.conformance.engine import Engine
from tests.contract.telemetry import trace_id

pytestmark = [pytest.mark.ours, pytest.mark.timeout(300)]

NS_PER_S = 1_000_000_000
REMOTE_TRACE, REMOTE_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SCHEMA = "https://opentelemetry.io/schemas/1.38.0"
# The trace flag "sampled", with the bits that say whether the parent is remote.
LOCAL, REMOTE = 0x101, 0x301


def text(value: str) -> dict[str, Any]:
    return {"stringValue": value}


def integer(value: int) -> dict[str, Any]:
    return {"intValue": str(value)}


def listed(*values: dict[str, Any]) -> dict[str, Any]:
    return {"arrayValue": {"values": list(values)} if values else {}}


def mapped(**values: dict[str, Any]) -> dict[str, Any]:
    return {"kvlistValue": {"values": pairs(values)}}


def pairs(values: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in values.items()]


@pytest.fixture(scope="module")
def start_s() -> int:
    return time.time_ns() // NS_PER_S


@pytest.fixture(scope="module")
def sent(engine: Engine, start_s: int) -> dict[str, str]:
    """The id of the trace sent by each way."""
    assert engine.otlp_http is not None
    ids = {way: trace_id(engine.fresh()).hex() for way in node_sender.WAYS}
    node_sender.send(node_sender.installed(), engine.otlp_grpc, engine.otlp_http, ids, start_s * 1000)
    return ids


def resource(way: str) -> dict[str, Any]:
    named = {"service.name": text(f"node {way}"), "host.cpus": integer(2)}
    return {"attributes": pairs(named | {"service.tags": listed(text("a"), text("b"))})}


def root_attributes(way: str) -> dict[str, Any]:
    return {
        "text": text("grüße, 世界 \U0001f680"),
        "empty": text(""),
        "zero": integer(0),
        "negative": integer(-7),
        "largest.safe": integer(2**53 - 1),
        "large": integer(10**18) if way == "json" else {"doubleValue": 1e21},
        "ratio": {"doubleValue": 0.1},
        # JSON has no word for it, and JavaScript writes null.
        "not.a.number": {} if way == "json" else {"doubleValue": "NaN"},
        "yes": {"boolValue": True},
        "no": {"boolValue": False},
        "texts": listed(text("x"), text("y")),
        "numbers": listed(integer(1), integer(2)),
        "ratios": listed({"doubleValue": 0.5}, {"doubleValue": 1.5}),
        "flags": listed({"boolValue": True}, {"boolValue": False}),
        "none": listed(),
        "sixteenth": text("kept"),
    }


def spans(way: str, trace: str, start_s: int) -> list[dict[str, Any]]:
    """The spans as v3 gives them, in the order of their start, attributes by key."""

    def at(nanos: int) -> str:
        return str(start_s * NS_PER_S + nanos)

    root = {
        "traceId": trace,
        "spanId": "0000000000000001",
        "name": "POST /orders",
        "kind": 2,
        "flags": LOCAL,
        "startTimeUnixNano": at(1),
        "endTimeUnixNano": at(999_999_999),
        "attributes": pairs(dict(sorted(root_attributes(way).items()))),
        "droppedAttributesCount": 1,
        "events": [
            {"timeUnixNano": at(123_456_789), "name": "received", "attributes": pairs({"bytes": integer(512)})},
            {"timeUnixNano": at(200_000_000), "name": "bare"},
        ],
        "droppedEventsCount": 1,
        "links": [
            {
                "traceId": REMOTE_TRACE,
                "spanId": REMOTE_SPAN,
                "traceState": "vendor=abc",
                "attributes": pairs({"why": text("retried"), "tries": integer(2)}),
                "flags": REMOTE,
            }
        ],
        "droppedLinksCount": 1,
        "status": {"code": 1},
    }
    of_remote = {
        "traceId": trace,
        "spanId": "0000000000000003",
        "parentSpanId": REMOTE_SPAN,
        "traceState": "vendor=abc,other=1",
        "name": "remote child",
        "kind": 1,
        "flags": REMOTE,
        "startTimeUnixNano": at(5),
        "endTimeUnixNano": at(6),
        "attributes": pairs(
            {"@jaeger@warnings": listed(text(f"parent span {REMOTE_SPAN} is not in the trace"))},
        ),
        "status": {},
    }
    child = {
        "traceId": trace,
        "spanId": "0000000000000002",
        "parentSpanId": "0000000000000001",
        "name": "orders.Orders/Create",
        "kind": 3,
        "flags": LOCAL,
        "startTimeUnixNano": at(10_000_000),
        "endTimeUnixNano": at(20_000_001),
        "status": {"code": 2, "message": "no such user"},
    }
    return [root, of_remote, child]


def records(trace: str, start_s: int) -> list[dict[str, Any]]:
    """The log records as our log API gives them."""
    place = {"traceId": trace, "spanId": "0000000000000001", "flags": 1}

    def at(nanos: int) -> dict[str, str]:
        return {
            "timeUnixNano": str(start_s * NS_PER_S + nanos),
            "observedTimeUnixNano": str(start_s * NS_PER_S + nanos + 1),
        }

    nested = mapped(deep=listed(integer(1), mapped(er={"boolValue": True})))
    first = {
        "severityNumber": 13,
        "severityText": "WARN",
        "body": text("user is missing"),
        "attributes": pairs({"user.id": text("u-1"), "nested": nested, "raw": {"bytesValue": "AP8="}, "n": integer(4)}),
        "droppedAttributesCount": 1,
    }
    reasons = listed(text("user"), text("stock"))
    second = {
        "severityNumber": 9,
        "eventName": "order.refused",
        "body": mapped(code=integer(5), reasons=reasons, share={"doubleValue": 0.25}),
    }
    return [first | place | at(11_000_000), second | place | at(12_000_000)]


@pytest.mark.parametrize("way", node_sender.WAYS)
def test_every_field_of_spans_sent_by_node_is_read_back(
    engine: Engine, sent: dict[str, str], start_s: int, way: str
) -> None:
    engine.arrived(sent[way], 3)
    parts = engine.json(f"/api/v3/traces/{sent[way]}")["result"]["resourceSpans"]
    assert [part["schemaUrl"] for part in parts] == [SCHEMA]
    expected = resource(way)["attributes"]
    assert parts[0]["resource"] == {"attributes": sorted(expected, key=lambda pair: str(pair["key"]))}
    (scope,) = parts[0]["scopeSpans"]
    assert (scope["scope"], scope["schemaUrl"]) == (
        {"name": "node sender", "version": "1.2.3"},
        "https://example.org/scope",
    )
    found = sorted(scope["spans"], key=lambda span: int(span["startTimeUnixNano"]))
    assert found == spans(way, sent[way], start_s)


@pytest.mark.parametrize("way", node_sender.WAYS)
def test_every_field_of_logs_sent_by_node_is_read_back(
    engine: Engine, sent: dict[str, str], start_s: int, way: str
) -> None:
    (part,) = engine.json("/api/lab/logs", traceId=sent[way])["result"]["resourceLogs"]
    assert (part["resource"], part["schemaUrl"]) == (resource(way), SCHEMA)
    (scope,) = part["scopeLogs"]
    assert scope["scope"] == {"name": "node logger", "version": "4.5.6"}
    assert scope["logRecords"] == records(sent[way], start_s)
