"""The short ways that ingestion takes to a span's attributes and their hashes give what the long ways give."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel.backend.codec.attribute_text import text_of
from otel.backend.stores.sqlite.span_fields import attributes_in
from otel.backend.stores.sqlite.tokens import AttributeTokens, attribute_token

# Around the lengths where a length takes one, two and three bytes.
sizes = st.sampled_from([0, 1, 5, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 200, 16_383, 16_384, 20_000])
texts = st.text(max_size=8) | st.builds(lambda size, of: of * size, sizes, st.sampled_from("aé"))
doubles = st.floats() | st.sampled_from([0.0, -0.0, 1e21, 1e-7, 5e-324, float("inf"), float("-inf"), float("nan")])
values = st.one_of(
    st.builds(AnyValue),
    st.builds(AnyValue, string_value=texts),
    st.builds(AnyValue, double_value=doubles),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, bytes_value=st.binary(max_size=9)),
    st.builds(lambda text: AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=text)])), texts),
)
pairs = st.builds(KeyValue, key=texts, value=values) | st.builds(KeyValue, key=texts) | st.just(KeyValue())
times = st.integers(0, 2**64 - 1)
spans = st.builds(
    Span,
    trace_id=st.sampled_from([b"", b"J" * 16]),
    span_id=st.sampled_from([b"", b"\x4a\x05JJJJJ0"]),
    parent_span_id=st.sampled_from([b"", b"P" * 8]),
    trace_state=texts,
    name=texts,
    kind=st.sampled_from([0, 1, 5, 77, 300]),
    start_time_unix_nano=times,
    end_time_unix_nano=times,
    attributes=st.lists(pairs, max_size=4),
    dropped_attributes_count=st.sampled_from([0, 3]),
    events=st.lists(st.builds(Span.Event, name=texts, attributes=st.lists(pairs, max_size=1)), max_size=1),
    links=st.lists(st.builds(Span.Link, trace_id=st.just(b"J" * 16)), max_size=1),
    status=st.sampled_from([Status(), Status(code=Status.STATUS_CODE_ERROR, message="J")]),
    flags=st.sampled_from([0, 0x101]),
)


@given(spans)
def test_attributes_are_cut_out_as_they_would_be_written(span: Span) -> None:
    assert attributes_in(span.SerializeToString()) == [pair.SerializeToString() for pair in span.attributes]


def test_a_span_with_fields_of_a_later_otlp_keeps_its_attributes() -> None:
    span = Span(name="later", attributes=[KeyValue(key="a"), KeyValue(key="b")])
    # Fields 21 and 1000, a text each, which this version does not know.
    later = Span.FromString(span.SerializeToString() + b"\xaa\x01\x01x" + b"\xc2\x3e\x01y")
    assert attributes_in(later.SerializeToString()) == [pair.SerializeToString() for pair in span.attributes]


@given(pairs)
@example(KeyValue(key="a", value=AnyValue(string_value="")))
@example(KeyValue(key="a" * 125, value=AnyValue(string_value="b" * 125)))
def test_a_hash_is_that_of_the_key_and_the_text(pair: KeyValue) -> None:
    assert AttributeTokens()[pair.SerializeToString()] == attribute_token(pair.key, text_of(pair.value))


@pytest.mark.parametrize("tail", [b"\x0a\x01y", struct.pack("<Bd", 0x21, 2.5), b"\x18\x05"])
def test_a_value_written_twice_has_the_hash_of_the_last(tail: bytes) -> None:
    value = b"\x0a\x01x" + tail
    content = b"\x0a\x01k\x12" + bytes((len(value),)) + value
    pair = KeyValue.FromString(content)
    assert AttributeTokens()[content] == attribute_token(pair.key, text_of(pair.value))
