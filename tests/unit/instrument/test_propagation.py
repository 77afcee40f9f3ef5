"""The short way for a plain `traceparent` against the propagator itself: the same context, the same metadata."""

from __future__ import annotations

from typing import Any

import pytest
from grpc.aio import ClientCallDetails
from grpc.aio import Metadata as AioMetadata
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, attach, detach
from opentelemetry.instrumentation.grpc import _client
from opentelemetry.instrumentation.grpc._aio_client import _BaseAioClientInterceptor
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel.instrument.propagation import ContextReader, is_w3c, pairs_with_context, with_context

W3C = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
IDS = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))
hexes = st.text("0123456789abcdefABCDEF-", max_size=60)
headers = st.one_of(
    hexes,
    st.tuples(
        st.sampled_from(["00", "01", "ff", "0"]),
        st.integers(0, 2**128 - 1).map("{:032x}".format),
        st.integers(0, 2**64 - 1).map("{:016x}".format),
        st.integers(0, 255).map("{:02x}".format),
        st.sampled_from(["", "", "", "-x", " "]),
    ).map(lambda parts: "-".join(parts[:4]) + parts[4]),
    st.sampled_from([f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'1' * 32}-{'0' * 16}-01"]),
)


@given(
    members=st.lists(
        st.one_of(
            st.tuples(st.just("traceparent"), headers),
            st.tuples(st.sampled_from(["tracestate", "baggage", "user-agent"]), st.sampled_from(["k=v", "", "x"])),
        ),
        max_size=3,
    )
)
def test_any_metadata_gives_the_context_that_the_propagator_gives(members: list[tuple[str, Any]]) -> None:
    reader = ContextReader(W3C)
    shortened = reader.extract(members)
    reader._is_w3c = False
    expected = reader.extract(members)

    assert told(shortened) == told(expected)


def told(context: Context) -> Any:
    span_context = trace.get_current_span(context).get_span_context()
    return span_context, span_context.is_remote, dict(span_context.trace_state), dict(baggage.get_all(context))


class Own(TraceContextTextMapPropagator):
    """May write whatever it likes."""

    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None:
        """Write something of its own."""
        setter.set(carrier, "own", "1")


PLAIN = set_span_in_context(NonRecordingSpan(IDS), Context())
IN_STATE = SpanContext(1, 2, is_remote=False, trace_state=TraceState([("k", "v")]))


@pytest.mark.parametrize(
    ("metadata", "context", "propagator"),
    [
        (None, PLAIN, W3C),
        (AioMetadata(), PLAIN, W3C),
        (AioMetadata(("a", "1"), ("b-bin", b"\0"), ("a", "2")), PLAIN, W3C),
        (AioMetadata(("traceparent", "the caller's own")), PLAIN, W3C),
        (None, baggage.set_baggage("k", "v", PLAIN), W3C),
        (None, set_span_in_context(NonRecordingSpan(IN_STATE), Context()), W3C),
        (None, Context(), W3C),
        (None, PLAIN, CompositePropagator([Own()])),
    ],
    ids=["none", "empty", "other keys", "a traceparent", "baggage", "trace state", "no span", "another propagator"],
)
def test_the_metadata_is_what_the_library_would_send(
    metadata: AioMetadata | None, context: Context, propagator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", propagator)
    before = list(metadata or ())
    token = attach(context)
    try:
        details = ClientCallDetails("/s/m", None, metadata, None, None)
        expected = _BaseAioClientInterceptor.propagate_trace_in_details(details).metadata

        ours = with_context(metadata, trace.get_current_span().get_span_context())
    finally:
        detach(token)
    assert list(ours) == list(expected)
    assert list(metadata or ()) == before, "the caller's metadata was changed"


@pytest.mark.parametrize(
    ("context", "propagator"),
    [
        (PLAIN, W3C),
        (baggage.set_baggage("k", "v", PLAIN), W3C),
        (set_span_in_context(NonRecordingSpan(IN_STATE), Context()), W3C),
        (Context(), W3C),
        (PLAIN, CompositePropagator([Own()])),
    ],
    ids=["a traceparent", "baggage", "trace state", "no span", "another propagator"],
)
@pytest.mark.parametrize(
    "theirs", [None, (), (("a", "1"), ("b", "2"), ("a", "3")), (("baggage", "x=1"), ("traceparent", "old"))]
)
def test_the_pairs_of_the_synchronous_api_are_the_callers_and_what_the_propagator_writes(
    theirs: Any, context: Context, propagator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(propagate, "_HTTP_TEXT_FORMAT", propagator)
    written: dict[str, str] = {}
    propagator.inject(written, context, _client._carrier_setter)
    token = attach(context)
    try:
        pairs = pairs_with_context(theirs, trace.get_current_span(context).get_span_context())
    finally:
        detach(token)

    kept = [pair for pair in theirs or () if pair[0] not in written]
    assert list(pairs) == [*kept, *written.items()]


def test_only_the_w3c_propagators_have_a_short_way() -> None:
    kinds = (W3C, TraceContextTextMapPropagator(), W3CBaggagePropagator(), Own())
    assert [is_w3c(propagator) for propagator in kinds] == [True, True, False, False]


def test_baggage_that_no_server_would_take_beside_the_rest_is_left_out_of_the_pairs() -> None:
    token = attach(baggage.set_baggage("large", "v" * 6000, baggage.set_baggage("small", "v", PLAIN)))
    try:
        pairs = dict(pairs_with_context((("theirs", "x" * 3000),), IDS))
    finally:
        detach(token)

    assert pairs["baggage"] == "small=v"
    assert pairs["theirs"] == "x" * 3000
