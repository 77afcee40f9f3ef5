"""Text forms, repaired UTF-8, hostile JSON, host names."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from otel.backend.api.adjusters import adjusted
from otel.backend.api.host_check import host_name
from otel.backend.api.pages import based_index, jaeger_index
from otel.backend.codec.attribute_text import float_text, text_of
from otel.backend.codec.legacy_json import traces_json
from otel.backend.codec.otlp_json import read_json
from otel.backend.codec.utf8_repair import parse_with_repair
from otel.backend.errors import MalformedTelemetryError
from otel.tls.reach import is_loopback


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0.0, "0"),
        (3.0, "3"),
        (0.5, "0.5"),
        (-2.25, "-2.25"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-9, "1.5e-9"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (-1.25e30, "-1.25e+30"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_a_double_is_written_as_go_writes_it(number: float, expected: str) -> None:
    assert float_text(number) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_double_s_text_means_the_same_number(number: float) -> None:
    assert float(float_text(number)) == number


def test_an_empty_value_is_an_empty_text() -> None:
    assert text_of(AnyValue()) == ""


@given(st.binary(max_size=200))
def test_repairing_never_raises(body: bytes) -> None:
    parse_with_repair(body, TracesData)


@given(st.text(max_size=20), st.binary(max_size=20))
def test_repairing_changes_only_what_is_not_utf8(name: str, attribute: bytes) -> None:
    message = TracesData()
    span = message.resource_spans.add().scope_spans.add().spans.add(name=name)
    span.attributes.add(key="k").value.bytes_value = attribute
    assert parse_with_repair(message.SerializeToString(), TracesData) == message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "resourceSpans",
                    "resource",
                    "attributes",
                    "scopeSpans",
                    "spans",
                    "traceId",
                    "name",
                    "kind",
                    "key",
                    "value",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values)
def test_any_json_is_read_or_refused(document: Any) -> None:
    with contextlib.suppress(MalformedTelemetryError):
        read_json(document, TracesData())


def test_endless_nesting_is_refused() -> None:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(500):
        value = {"arrayValue": {"values": [value]}}
    document = {"resourceSpans": [{"resource": {"attributes": [{"key": "k", "value": value}]}}]}
    with pytest.raises(MalformedTelemetryError, match="nested deeper"):
        read_json(document, TracesData())


@pytest.mark.parametrize(
    ("header", "expected"),
    [("localhost:16686", "localhost"), ("[::1]:16686", "::1"), ("LocalHost.", "localhost"), ("127.0.0.1", "127.0.0.1")],
)
def test_a_host_header_names_a_host(header: str, expected: str) -> None:
    assert host_name(header) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_an_index_finds_its_files_under_a_base_path() -> None:
    text = '<script src="/static/a.js"></script><a href="/static/b.css">'
    assert based_index(text, "/x") == '<script src="/x/static/a.js"></script><a href="/x/static/b.css">'
    assert based_index(text, "") == text


def test_an_index_of_another_ui_is_left_as_it_is() -> None:
    assert jaeger_index("<p>hello</p>") == "<p>hello</p>"


def test_a_trace_that_is_adjusted_as_it_is_written_is_the_one_that_is_adjusted_before() -> None:
    first, second = (
        [KeyValue(key=key, value=AnyValue(string_value=key)) for key in keys]
        for keys in (("service.name", "a"), ("a", "service.name"))
    )
    warning = KeyValue(key="@jaeger@warnings")
    warning.value.array_value.values.add(string_value="told before")
    spans = [
        Span(trace_id=b"t" * 16, span_id=b"1" * 8, parent_span_id=b"0" * 8, attributes=[*first, *second]),
        Span(trace_id=b"t" * 16, span_id=b"2" * 8, parent_span_id=b"0" * 8, attributes=[*first, warning]),
        Span(
            trace_id=b"t" * 16,
            span_id=b"3" * 8,
            parent_span_id=b"1" * 8,
            events=[Span.Event(name="late", time_unix_nano=2000, attributes=first), Span.Event(time_unix_nano=1000)],
            links=[Span.Link(span_id=b"4" * 8), Span.Link(trace_id=b"t" * 16, span_id=b"1" * 8)],
        ),
    ]
    found = TracesData()
    for attributes, span in zip((first, second, second), spans, strict=True):
        part = found.resource_spans.add()
        part.resource.attributes.extend(attributes)
        part.scope_spans.add().spans.append(span)
    written = traces_json(found, is_adjusted=True)
    assert written != traces_json(found)
    assert written == traces_json(adjusted(found))
    assert [span["warnings"] for span in written[0]["spans"]] == [
        ["parent span 3030303030303030 is not in the trace"],
        ["told before"],
        None,
    ]
