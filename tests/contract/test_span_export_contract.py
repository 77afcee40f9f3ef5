"""Whatever is done to the SDK's span and to that of a call, the same is exported."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import SpanLimits, sampling
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
    set_span_in_context,
)

from otel.instrument.otlp_spans import SpanEncoder
from tests.contract.call_spans import (
    FIRST,
    LATE,
    LOCAL_OFF,
    REMOTE,
    SAMPLERS,
    Traced,
    perform,
    start_by_sdk,
    start_by_us,
)

keys = st.one_of(st.sampled_from([*FIRST, *LATE]), st.text(max_size=4))
values = st.one_of(st.text(max_size=12), st.integers(-5, 5), st.booleans(), st.floats(allow_nan=False), st.none())
odd_values = st.one_of(values, st.lists(values, max_size=2), st.just(object), st.dictionaries(keys, values, max_size=2))
mappings = st.dictionaries(keys, odd_values, max_size=3)
moments = st.integers(1, 2**62)
contexts = st.sampled_from([REMOTE, LOCAL_OFF, SpanContext(0, 0, is_remote=False)])
statuses = st.sampled_from([Status(StatusCode.UNSET), Status(StatusCode.OK), Status(StatusCode.ERROR, "bad")])
# What may happen to a span, each as one call of a method; `end_with` stands for what the interceptors do at the end.
operations = st.one_of(
    st.tuples(st.just("set_attribute"), keys, odd_values),
    st.tuples(st.just("set_attributes"), mappings),
    st.tuples(st.just("add_event"), st.text(max_size=4), mappings, moments),
    st.tuples(st.just("add_link"), contexts, mappings),
    st.tuples(st.just("update_name"), st.text(max_size=4)),
    st.tuples(st.just("set_status"), statuses),
    st.tuples(st.just("record_exception"), st.just(ValueError("bad")), mappings, moments),
    st.tuples(st.just("look")),
    st.tuples(
        st.just("end_with"),
        st.dictionaries(keys.filter(bool), st.one_of(st.text(max_size=4), st.integers(-5, 5)), max_size=3),
        st.one_of(st.none(), st.just(Status(StatusCode.ERROR, "late"))),
        moments,
    ),
    st.tuples(st.just("end"), moments),
)
counts = st.one_of(st.none(), st.integers(0, 3), st.integers(32, 40))


@settings(max_examples=150, deadline=None)
@given(
    performed=st.lists(operations, max_size=6),
    limits=st.one_of(st.builds(SpanLimits), st.builds(SpanLimits, counts, counts, counts, counts, counts, counts)),
    sampler=st.sampled_from([sampling.ALWAYS_ON, SAMPLERS["own, attributes"]]),
)
def test_whatever_is_done_to_both_the_same_is_exported(
    performed: list[tuple[Any, ...]], limits: SpanLimits, sampler: Sampler
) -> None:
    context = set_span_in_context(NonRecordingSpan(REMOTE), Context())
    by_sdk, by_us = (
        Traced(start, limits=limits, sampler=sampler, context=context) for start in (start_by_sdk, start_by_us)
    )
    for traced in (by_sdk, by_us):
        for operation in performed:
            perform(traced.span, operation)

    expected, readable = by_sdk.finished(), by_us.finished()

    # Ours first, as the exporter does: what is looked at by others is made by the SDK's rules from then on.
    encoder = SpanEncoder()
    encoded = ExportTraceServiceRequest.FromString(encoder.encode([readable]))
    # What a span of this method begins with is known by now.
    at_end = ExportTraceServiceRequest.FromString(encoder.encode([encoder.at_end(readable)]))
    assert at_end == encoded == encode_spans([expected]) == encode_spans([readable])
    assert readable.to_json() == expected.to_json()
    assert by_us.span.to_json() == by_sdk.span.to_json()
    dropped = [(s.dropped_attributes, s.dropped_events, s.dropped_links) for s in (expected, readable)]
    assert dropped[0] == dropped[1]
