"""What a sender of spans may rely on, over gRPC and HTTP (JAEGER's receivers, the OTLP specification)."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.conformance.engine import JSON, PROTOBUF, TRACE_EXPORT, Engine, plain
from tests.contract.telemetry import MS, resource_spans, span, trace_id


def now() -> int:
    return time.time_ns() // 1000 * 1000


def request_of(number: int, *, start: int | None = None) -> ExportTraceServiceRequest:
    begin = start or now()
    spans = [span(number, 1, name="root", start=begin), span(number, 2, 1, name="child", start=begin + MS)]
    return ExportTraceServiceRequest(resource_spans=[resource_spans("conformance", spans)])


def test_spans_sent_over_grpc_can_be_read(engine: Engine) -> None:
    number = engine.fresh()
    answer = engine.export(TRACE_EXPORT, request_of(number).SerializeToString())
    assert not ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans
    assert [each["name"] for each in engine.arrived(trace_id(number).hex(), 2)] == ["root", "child"]


def test_a_gzipped_grpc_message_is_taken(engine: Engine) -> None:
    number = engine.fresh()
    engine.export(TRACE_EXPORT, request_of(number).SerializeToString(), compression=grpc.Compression.Gzip)
    assert len(engine.arrived(trace_id(number).hex(), 2)) == 2


@pytest.mark.parametrize("content_encoding", ["", "gzip"], ids=["plain", "gzipped"])
def test_protobuf_over_http_is_taken_and_answered_in_protobuf(http: Engine, content_encoding: str) -> None:
    number = http.fresh()
    body = request_of(number).SerializeToString()
    if content_encoding:
        body = gzip.compress(body)
    headers = {"content_encoding": content_encoding} if content_encoding else {}
    answer = http.post("/v1/traces", body, content_type=PROTOBUF, **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, PROTOBUF)
    ExportTraceServiceResponse.FromString(answer.content)
    assert len(http.arrived(trace_id(number).hex(), 2)) == 2


def json_request(number: int, **changed: Any) -> dict[str, Any]:
    begin = now()
    made = {
        "traceId": trace_id(number).hex(),
        "spanId": "00000000000000AA",
        "name": "from json",
        "kind": 2,
        "startTimeUnixNano": str(begin),
        "endTimeUnixNano": str(begin + MS),
        "attributes": [{"key": "n", "value": {"intValue": "9007199254740993"}}],
        "status": {"code": 2, "message": "no"},
        "someFieldOfTomorrow": {"x": 1},
    } | changed
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "conformance"}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "s"}, "spans": [made]}]}]}


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({}, id="integers as strings"),
        pytest.param({"attributes": [{"key": "n", "value": {"intValue": 9007199254740993}}]}, id="integers as numbers"),
        pytest.param(
            {"startTimeUnixNano": 1_795_456_800_000_000_000, "endTimeUnixNano": 1_795_456_800_001_000_000},
            id="times as numbers",
        ),
    ],
)
def test_json_with_hex_ids_is_taken_in_both_integer_forms(http: Engine, changed: dict[str, Any]) -> None:
    number = http.fresh()
    body = json.dumps(json_request(number, **changed)).encode()
    answer = http.post("/v1/traces", body, content_type=f"{JSON}; charset=utf-8")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, JSON)
    assert answer.json().get("partialSuccess", {}) == {}
    found = http.arrived(trace_id(number).hex(), 1)[0]
    assert (found["name"], found["kind"], found["spanId"]) == ("from json", 2, "00000000000000aa")
    assert plain(found["attributes"])["n"] == "9007199254740993"


def test_enum_names_are_taken_in_json(http: Engine) -> None:
    number = http.fresh()
    made = json_request(number, kind="SPAN_KIND_CLIENT", status={"code": "STATUS_CODE_ERROR"})
    assert http.post("/v1/traces", json.dumps(made).encode(), content_type=JSON).status_code == 200
    found = http.arrived(trace_id(number).hex(), 1)[0]
    assert (found["kind"], found["status"]["code"]) == (3, 2)


@pytest.mark.parametrize(
    "recorded",
    [
        pytest.param(
            {
                "parentSpanId": "",
                "kind": 1,
                "droppedAttributesCount": 0,
                "events": [],
                "droppedEventsCount": 0,
                "links": [],
                "droppedLinksCount": 0,
                "status": {"code": 0},
                "flags": 257,
                "attributes": [{"key": "n", "value": {"intValue": 5}}],
            },
            id="JavaScript: every field, integers as numbers",
        ),
        pytest.param(
            {
                "traceState": None,
                "kind": "SPAN_KIND_INTERNAL",
                "flags": "257",
                "attributes": [{"key": "n", "value": {"intValue": "5"}}],
            },
            id="protobuf's own JSON: nulls, names, numbers as strings",
        ),
        pytest.param(
            {"kind": 1, "attributes": [{"key": "n", "value": {"intValue": 5.0}}, {"key": "none", "value": {}}]},
            id="a language without integers",
            marks=pytest.mark.ours,  # a Collector wants 5 or "5", and answers 400
        ),
    ],
)
def test_what_exporters_of_other_languages_send_is_taken(http: Engine, recorded: dict[str, Any]) -> None:
    number = http.fresh()
    body = json.dumps(json_request(number, **recorded)).encode()
    assert http.post("/v1/traces", body, content_type=JSON).status_code == 200
    found = http.arrived(trace_id(number).hex(), 1)[0]
    assert (found["kind"], plain(found["attributes"])["n"]) == (1, "5")


def test_an_empty_request_is_fine(http: Engine) -> None:
    assert http.post("/v1/traces", b"", content_type=PROTOBUF).status_code == 200
    assert http.post("/v1/traces", b"{}", content_type=JSON).status_code == 200


def test_a_method_other_than_post_is_405(http: Engine) -> None:
    import httpx

    assert httpx.get(f"{http.otlp_http}/v1/traces").status_code == 405


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml"])
def test_another_content_type_is_415(http: Engine, content_type: str) -> None:
    assert http.post("/v1/traces", b"x", content_type=content_type).status_code == 415


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(b"\xff\xff\xff", {"content_type": PROTOBUF}, id="no protobuf"),
        pytest.param(b"not gzip", {"content_type": PROTOBUF, "content_encoding": "gzip"}, id="no gzip"),
    ],
)
def test_what_cannot_be_parsed_is_400_with_a_status_in_protobuf(
    http: Engine, body: bytes, headers: dict[str, str]
) -> None:
    answer = http.post("/v1/traces", body, **headers)
    assert answer.status_code == 400
    assert status_pb2.Status.FromString(answer.content).message


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[]", id="no object", marks=pytest.mark.ours),
        pytest.param(json.dumps(json_request(1, traceId="abc")).encode(), id="a trace id of another length"),
        pytest.param(json.dumps(json_request(1, traceId="z" * 32)).encode(), id="a trace id that is not hex"),
        pytest.param(json.dumps(json_request(1, name=5)).encode(), id="a number for a name", marks=pytest.mark.ours),
    ],
)
def test_what_cannot_be_parsed_is_400_with_a_status_in_json(http: Engine, body: bytes) -> None:
    answer = http.post("/v1/traces", body, content_type=JSON)
    assert answer.status_code == 400
    assert answer.json()["message"]


PAST_64_BITS = [
    pytest.param(
        {"attributes": [{"key": "n", "value": {"intValue": 1e21}}]}, ".attributes[0].value.intValue", id="a float"
    ),
    pytest.param({"attributes": [{"key": "n", "value": {"intValue": str(2**63)}}]}, ".value.intValue", id="a string"),
    pytest.param({"startTimeUnixNano": str(2**64)}, ".startTimeUnixNano", id="a time"),
]


@pytest.mark.parametrize(("changed", "path"), PAST_64_BITS)
def test_a_number_past_64_bits_is_400_in_json(http: Engine, changed: dict[str, Any], path: str) -> None:
    body = json.dumps(json_request(http.fresh(), **changed)).encode()
    assert http.post("/v1/traces", body, content_type=JSON).status_code == 400


@pytest.mark.ours
@pytest.mark.parametrize(("changed", "path"), PAST_64_BITS)
def test_the_refusal_of_a_number_past_64_bits_names_its_path(http: Engine, changed: dict[str, Any], path: str) -> None:
    body = json.dumps(json_request(http.fresh(), **changed)).encode()
    message = http.post("/v1/traces", body, content_type=JSON).json()["message"]
    assert message.startswith("resourceSpans[0].scopeSpans[0].spans[0].")
    assert f"{path} is out of the range of 64 bits" in message


def test_an_unknown_content_encoding_is_400(http: Engine) -> None:
    assert http.post("/v1/traces", b"", content_type=PROTOBUF, content_encoding="rot13").status_code == 400


def test_what_cannot_be_parsed_is_refused_over_grpc(engine: Engine) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        engine.export(TRACE_EXPORT, b"\xff\xff\xff")
    assert caught.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL)


@pytest.mark.ours
def test_the_refusal_over_grpc_is_invalid_argument_with_a_sentence(engine: Engine) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        engine.export(TRACE_EXPORT, b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "not an OTLP traces request" in (caught.value.details() or "")


@pytest.mark.ours
def test_a_body_of_very_many_gzip_members_is_not_unpacked(http: Engine) -> None:
    body = gzip.compress(b"") * 1000
    answer = http.post("/v1/traces", body, content_type=PROTOBUF, content_encoding="gzip")
    assert (answer.status_code, "gzip members" in answer.text) == (400, True)


def test_a_gzip_bomb_is_413(http: Engine) -> None:
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    answer = http.post("/v1/traces", bomb, content_type=PROTOBUF, content_encoding="gzip")
    # The receiver of Jaeger 2.20 calls it a bad request.
    assert answer.status_code in ({413} if http.is_ours else {400, 413})


@pytest.mark.ours
def test_a_body_over_the_limit_is_413(http: Engine) -> None:
    assert http.post("/v1/traces", bytes(21 * 1024 * 1024), content_type=PROTOBUF).status_code == 413


@pytest.mark.ours
def test_a_large_batch_fits_over_grpc(engine: Engine) -> None:
    number = engine.fresh()
    request = request_of(number)
    request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="big").value.string_value = "x" * 12_000_000
    engine.export(TRACE_EXPORT, request.SerializeToString())
    assert len(engine.arrived(trace_id(number).hex(), 2)) == 2


@pytest.mark.parametrize("number", [-(2**63), 2**63 - 1])
def test_the_last_numbers_of_64_bits_are_kept(http: Engine, number: int) -> None:
    made = http.fresh()
    body = json.dumps(json_request(made, attributes=[{"key": "n", "value": {"intValue": number}}])).encode()
    assert http.post("/v1/traces", body, content_type=JSON).status_code == 200
    assert plain(http.arrived(trace_id(made).hex(), 1)[0]["attributes"])["n"] == str(number)


@pytest.mark.ours
def test_spans_without_usable_ids_are_rejected_and_the_rest_is_stored(http: Engine) -> None:
    number = http.fresh()
    request = request_of(number)
    request.resource_spans[0].scope_spans[0].spans.add(name="no ids")
    request.resource_spans[0].scope_spans[0].spans.add(name="zero", trace_id=bytes(16), span_id=b"12345678")
    answer = http.export(TRACE_EXPORT, request.SerializeToString())
    assert ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans == 2
    assert len(http.arrived(trace_id(number).hex(), 2)) == 2
    document = http.post("/v1/traces", json.dumps(json_request(number, spanId="")).encode(), content_type=JSON).json()
    assert document["partialSuccess"]["rejectedSpans"] == "1"


@pytest.mark.ours
def test_text_that_is_not_utf8_costs_only_itself(engine: Engine) -> None:
    number = engine.fresh()
    body = request_of(number).SerializeToString().replace(b"child", b"ch\xffld")
    engine.export(TRACE_EXPORT, body)
    assert [each["name"] for each in engine.arrived(trace_id(number).hex(), 2)] == ["root", "ch\ufffdld"]


@pytest.mark.ours
def test_names_that_are_missing_are_given_as_jaeger_gives_them(engine: Engine) -> None:
    number = engine.fresh()
    request = ExportTraceServiceRequest()
    for service in (None, "", 5):
        part = request.resource_spans.add()
        if service is not None:
            part.resource.CopyFrom(resource_spans("x", []).resource)
            value = part.resource.attributes[0].value
            if service == 5:
                value.int_value = 5
            else:
                value.string_value = ""
        added = part.scope_spans.add().spans.add()
        added.CopyFrom(span(number, len(request.resource_spans), start=now()))
        added.name = ""
    engine.export(TRACE_EXPORT, request.SerializeToString())
    found = engine.arrived(trace_id(number).hex(), 3)
    assert {each["name"] for each in found} == {"empty-span-name"}
    assert {each["service"] for each in found} == {
        "missing-service-name",
        "empty-service-name",
        "service-name-wrong-type",
    }


@pytest.mark.ours
def test_a_zero_length_span_keeps_its_length_without_a_warning(engine: Engine) -> None:
    number = engine.fresh()
    engine.send(resource_spans("conformance", [span(number, 1, duration=0, start=now())]))
    found = engine.arrived(trace_id(number).hex(), 1)[0]
    assert found["startTimeUnixNano"] == found["endTimeUnixNano"]
    assert "attributes" not in found


def test_pieces_come_in_any_order_twice_and_late(engine: Engine) -> None:
    number, begin = engine.fresh(), now()
    child = resource_spans("inner", [span(number, 2, 1, name="child", start=begin + MS)])
    root = resource_spans("outer", [span(number, 1, name="root", start=begin)])
    for piece in (child, root, child, root):
        engine.send(piece)
    found = engine.arrived(trace_id(number).hex(), 2)
    assert [(each["service"], each["name"]) for each in found] == [("outer", "root"), ("inner", "child")]


@pytest.mark.ours
def test_browsers_of_other_origins_may_not_send_unless_they_are_named(http: Engine) -> None:
    answer = http.post("/v1/traces", b"{}", content_type=JSON, origin="https://elsewhere.example")
    assert "access-control-allow-origin" not in answer.headers
