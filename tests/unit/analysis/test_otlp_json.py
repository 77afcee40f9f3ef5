"""OTLP/JSON in and out."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from otel.analysis.example import example_trace, failing_trace
from otel.analysis.model import AttributeValue, SpanKind, StatusCode
from otel.analysis.otlp_json import log_records_from_otlp_json, spans_from_otlp_json, traces_from_spans
from otel.analysis.otlp_json_writing import (
    attribute_value_to_json,
    log_records_to_otlp_json,
    spans_to_otlp_json,
)

JAEGER_ANSWER = {
    "resourceSpans": [
        {
            "resource": {
                "attributes": [
                    {"key": "process.pid", "value": {"intValue": "4711"}},
                    {"key": "service.name", "value": {"stringValue": "user"}},
                ]
            },
            "scopeSpans": [
                {
                    "scope": {"name": "otel.instrument"},
                    "spans": [
                        {
                            "traceId": "5a1f0c3e9b7d42468ce013579bdf2468",
                            "spanId": "00c7a1b2d3e4f501",
                            "parentSpanId": "91aa00bb22cc33dd",
                            "flags": 257,
                            "name": "tracelab.user.v1.UserService/GetUser",
                            "kind": 2,
                            "startTimeUnixNano": "1795456800004100000",
                            "endTimeUnixNano": "1795456800006900000",
                            "attributes": [
                                {"key": "ratio", "value": {"doubleValue": 0.5}},
                                {"key": "retried", "value": {"boolValue": False}},
                                {"key": "rpc.response.size", "value": {"intValue": "42"}},
                            ],
                            "events": [
                                {"timeUnixNano": "1795456800006000000", "name": "a.later"},
                                {
                                    "timeUnixNano": "1795456800005000000",
                                    "name": "cache.miss",
                                    "attributes": [{"key": "tries", "value": {"intValue": "1"}}],
                                },
                            ],
                            "links": [{"traceId": "0123456789abcdef0123456789abcdef", "spanId": "1111222233334444"}],
                            "status": {"message": "no such user", "code": 2},
                        }
                    ],
                }
            ],
            "schemaUrl": "https://opentelemetry.io/schemas/1.30.0",
        }
    ]
}


def test_what_jaeger_sends_is_read() -> None:
    (span,) = spans_from_otlp_json(JAEGER_ANSWER)

    assert (span.service_name, span.kind, span.duration_ns) == ("user", SpanKind.SERVER, 2_800_000)
    assert (span.status_code, span.status_message, span.flags) == (StatusCode.ERROR, "no such user", 257)
    assert span.attributes == {"ratio": 0.5, "retried": False, "rpc.response.size": 42}
    assert span.links[0].span_id == "1111222233334444"
    assert span.resource.schema_url == "https://opentelemetry.io/schemas/1.30.0"


def test_events_are_sorted_by_time_since_jaeger_sorts_them_by_name() -> None:
    (span,) = spans_from_otlp_json(JAEGER_ANSWER)

    assert [event.name for event in span.events] == ["cache.miss", "a.later"]


def test_snake_case_numbers_enum_names_and_unknown_fields_are_tolerated() -> None:
    obj = {
        "resource_spans": [
            {
                "scope_spans": [
                    {
                        "spans": [
                            {
                                "trace_id": "AB",
                                "span_id": "0000000000000000",
                                "kind": "SPAN_KIND_CLIENT",
                                "start_time_unix_nano": 5,
                                "endTimeUnixNano": 1e1,
                                "status": {"code": "STATUS_CODE_ERROR"},
                                "attributes": [{"key": "n", "value": {"int_value": 7}}, {"key": "none"}, "?"],
                                "whatever": {},
                            }
                        ]
                    }
                ]
            },
            None,
        ]
    }

    (span,) = spans_from_otlp_json(obj)

    assert (span.trace_id, span.span_id) == ("ab".rjust(32, "0"), "")
    assert (span.kind, span.status_code) == (SpanKind.CLIENT, StatusCode.ERROR)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (5, 10)
    assert span.attributes == {"n": 7, "none": None}


def test_an_object_without_spans_has_none() -> None:
    empty: list[dict[str, Any]] = [{}, {"resourceSpans": None}, {"resourceSpans": [{"scopeSpans": [{}]}]}]
    for obj in empty:
        assert spans_from_otlp_json(obj) == []


def test_spans_are_written_as_they_were_read() -> None:
    again = spans_from_otlp_json(json.loads(json.dumps(spans_to_otlp_json(spans_from_otlp_json(JAEGER_ANSWER)))))

    assert again == spans_from_otlp_json(JAEGER_ANSWER)


def test_the_examples_survive_the_way_there_and_back() -> None:
    for trace, logs in (example_trace(), failing_trace()):
        spans_obj = json.loads(json.dumps(spans_to_otlp_json(trace.spans)))
        logs_obj = json.loads(json.dumps(log_records_to_otlp_json(logs)))

        assert traces_from_spans(spans_from_otlp_json(spans_obj))[0].spans == trace.spans
        assert sorted(log_records_from_otlp_json(logs_obj), key=lambda r: r.time_unix_nano) == list(logs)


def test_traces_come_newest_first_and_spans_by_start() -> None:
    first, second = example_trace()[0].spans[:2]

    (trace,) = traces_from_spans([second, first])

    assert trace.spans == (first, second)


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_any_attribute_value_survives_the_way_there_and_back(value: AttributeValue) -> None:
    span = spans_to_otlp_json([])
    span["resourceSpans"] = [
        {
            "resource": {"attributes": [{"key": "k", "value": attribute_value_to_json(value)}]},
            "scopeSpans": [{"spans": [{}]}],
        }
    ]

    (read,) = spans_from_otlp_json(json.loads(json.dumps(span)))

    assert read.resource.attributes == {"k": value}
