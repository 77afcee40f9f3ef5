"""The short ways that ingestion takes to a span's attributes and their hashes give what the long ways give."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from otel.backend.codec.attribute_text import text_of
from otel.backend.stores.sqlite.span_fields import (
    as_spans_field,
    bodies_in,
    indexed_attributes,
    scopes_in,
    spans_in,
    status_code,
    status_of,
)
from otel.backend.stores.sqlite.tokens import AttributeTokens, token_of, tokens_of_text

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
    links=st.lists(
        st.builds(Span.Link, trace_id=st.just(b"J" * 16), attributes=st.lists(pairs, max_size=1)), max_size=1
    ),
    status=st.sampled_from([Status(), Status(code=Status.STATUS_CODE_ERROR, message="J")]),
    flags=st.sampled_from([0, 0x101]),
)


@given(st.lists(spans, max_size=3))
def test_fields_and_bodies_are_those_of_the_messages(sent: list[Span]) -> None:
    content = ScopeSpans(spans=sent).SerializeToString()
    assert [Span.FromString(body) for body in bodies_in(content)] == sent
    for fields, span in zip(spans_in(content), sent, strict=True):
        assert (fields.trace_id, fields.span_id, fields.parent_span_id) == (
            span.trace_id,
            span.span_id,
            span.parent_span_id,
        )
        assert (fields.name.decode("utf-8"), fields.kind) == (span.name, span.kind)
        assert (fields.start_time_unix_nano, fields.end_time_unix_nano) == (
            span.start_time_unix_nano,
            span.end_time_unix_nano,
        )
        assert status_code(status_of(fields)) == span.status.code
        assert list(fields.attributes) == [pair.SerializeToString() for pair in span.attributes]
        parts: list[Span.Event | Span.Link] = [*span.events, *span.links]
        assert list(indexed_attributes(fields))[len(fields.attributes) :] == [
            pair.SerializeToString() for part in parts for pair in part.attributes
        ]


@given(st.lists(st.lists(spans, max_size=2), max_size=3))
def test_scopes_are_cut_as_they_were_sent(groups: list[list[Span]]) -> None:
    scopes = [ScopeSpans(spans=group, schema_url="url") for group in groups]
    content = ResourceSpans(scope_spans=scopes, schema_url="url").SerializeToString()
    assert [ScopeSpans.FromString(each) for each in scopes_in(content)] == scopes


@given(st.binary(max_size=300) | st.builds(bytes, sizes))
def test_a_body_is_framed_as_a_scope_holds_it(name: bytes) -> None:
    body = Span(trace_id=name).SerializeToString()
    assert as_spans_field(body) == ScopeSpans(spans=[Span.FromString(body)]).SerializeToString()


def test_a_span_with_fields_of_a_later_otlp_keeps_its_attributes() -> None:
    span = Span(name="later", attributes=[KeyValue(key="a"), KeyValue(key="b")])
    # Fields 21 and 1000, a text each, which this version does not know.
    later = span.SerializeToString() + b"\xaa\x01\x01x" + b"\xc2\x3e\x01y"
    (fields,) = spans_in(as_spans_field(later))
    assert list(fields.attributes) == [pair.SerializeToString() for pair in span.attributes]
    assert list(bodies_in(as_spans_field(later))) == [later]


@given(pairs)
@example(KeyValue(key="a", value=AnyValue(string_value="")))
@example(KeyValue(key="a" * 125, value=AnyValue(string_value="b" * 125)))
def test_a_hash_is_among_those_that_a_search_for_the_text_asks_for(pair: KeyValue) -> None:
    token = AttributeTokens()[pair.SerializeToString()]
    assert token == token_of(pair.key, pair.value)
    assert token in set(tokens_of_text(pair.key, text_of(pair.value)))


@pytest.mark.parametrize("tail", [b"\x0a\x01y", struct.pack("<Bd", 0x21, 2.5), b"\x18\x05"])
def test_a_value_written_twice_has_the_hash_of_the_last(tail: bytes) -> None:
    value = b"\x0a\x01x" + tail
    content = b"\x0a\x01k\x12" + bytes((len(value),)) + value
    pair = KeyValue.FromString(content)
    assert AttributeTokens()[content] == token_of(pair.key, pair.value)


def test_texts_are_remembered_and_doubles_which_hardly_come_again_are_not() -> None:
    tokens = AttributeTokens()
    text = KeyValue(key="k", value=AnyValue(string_value="text")).SerializeToString()
    double = KeyValue(key="k", value=AnyValue(double_value=2.5)).SerializeToString()
    assert tokens[text] != tokens[double]
    assert list(tokens) == [text]
