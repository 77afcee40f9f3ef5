"""Our OTLP encoding against the stock encoder's: whatever the record, the parsed requests are equal."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from otel.instrument import otlp_wire
from otel.instrument.deferred import Deferred
from otel.instrument.otlp_logs import LogEncoder
from otel.instrument.otlp_spans import SpanEncoder

any_text = st.text(max_size=40)
int64s = st.integers(-(2**63), 2**63 - 1)
scalars = st.one_of(any_text, st.booleans(), int64s, st.floats(allow_nan=False), st.binary(max_size=20), st.none())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
# What no encoder has a form for, next to what every one has.
odd_values = st.one_of(values, st.integers(2**63, 2**70), st.just("\ud800"), st.just(object()), st.just({1, 2}))
attributes = st.dictionaries(st.text(min_size=1, max_size=10), values, max_size=5)
times = st.integers(0, 2**64 - 1)
trace_ids = st.integers(1, 2**128 - 1)
span_ids = st.integers(1, 2**64 - 1)
trace_states = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True),
    st.from_regex(r"[!-+\--<>-~]{1,8}", fullmatch=True),
    max_size=3,
).map(lambda members: TraceState(list(members.items())))
contexts = st.builds(SpanContext, trace_ids, span_ids, st.booleans(), st.integers(0, 255).map(TraceFlags), trace_states)
limits = st.one_of(st.none(), st.integers(0, 3))
resources = st.builds(lambda members, url: Resource(members, url), attributes, st.sampled_from(["", "https://r/1"]))
scopes = st.one_of(
    st.none(),
    st.builds(
        InstrumentationScope, any_text, st.one_of(st.none(), any_text), st.sampled_from([None, "", "https://s/1"])
    ),
)
statuses = st.one_of(
    st.sampled_from([Status(StatusCode.UNSET), Status(StatusCode.OK)]),
    st.one_of(st.none(), any_text).map(lambda text: Status(StatusCode.ERROR, text)),
)


@st.composite
def bounded(draw: st.DrawFn) -> Any:
    """Attributes as the SDK keeps them, with what its limits dropped; sometimes a plain mapping or nothing."""
    members = draw(attributes)
    if draw(st.booleans()):
        return BoundedAttributes(draw(limits), members, immutable=draw(st.booleans()))
    return draw(st.sampled_from([None, members]))


@st.composite
def spans(draw: st.DrawFn, resource: Resource, scope: InstrumentationScope | None) -> ReadableSpan:
    return ReadableSpan(
        name=draw(any_text),
        context=draw(contexts),
        parent=draw(st.one_of(st.none(), contexts)),
        resource=resource,
        attributes=draw(bounded()),
        events=_in_list(draw, st.builds(Event, any_text, bounded(), times)),
        links=_in_list(draw, st.builds(Link, contexts, bounded())),
        kind=draw(st.sampled_from(SpanKind)),
        status=draw(statuses),
        start_time=draw(times),
        end_time=draw(times),
        instrumentation_scope=scope,
    )


def _in_list(draw: st.DrawFn, members: st.SearchStrategy[Any]) -> Sequence[Any]:
    made = draw(st.lists(members, max_size=3))
    return draw(st.sampled_from([tuple(made), BoundedList.from_seq(2, made)]))


@st.composite
def log_records(draw: st.DrawFn, resource: Resource, scope: InstrumentationScope | None) -> ReadableLogRecord:
    context = draw(
        st.one_of(st.just(Context()), contexts.map(lambda c: set_span_in_context(NonRecordingSpan(c), Context())))
    )
    record = LogRecord(
        timestamp=draw(st.one_of(st.none(), times)),
        observed_timestamp=draw(st.one_of(st.none(), times)),
        context=context,
        severity_text=draw(st.one_of(st.none(), any_text)),
        severity_number=draw(st.one_of(st.none(), st.sampled_from(SeverityNumber))),
        body=draw(values),
        attributes=draw(bounded()),
        event_name=draw(st.one_of(st.none(), any_text)),
    )
    return ReadableLogRecord(record, resource, scope)


@st.composite
def batches(draw: st.DrawFn, members: Any) -> list[Any]:
    """Records of a few resources and scopes, some equal but not identical, in any order."""
    owners = [(draw(resources), draw(scopes)) for _ in range(draw(st.integers(1, 3)))]
    owners += [(Resource(r.attributes, r.schema_url), s) for r, s in owners if draw(st.booleans())]
    return [draw(members(*draw(st.sampled_from(owners)))) for _ in range(draw(st.integers(0, 5)))]


def spans_of(encoded: bytes) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(encoded)


def logs_of(encoded: bytes) -> ExportLogsServiceRequest:
    return ExportLogsServiceRequest.FromString(encoded)


SPAN_ENCODER, LOG_ENCODER = SpanEncoder(), LogEncoder()  # one for all cases, so that caches are met full and stale


@settings(max_examples=100)
@given(batch=batches(spans))
def test_any_spans_are_the_stock_encoders(batch: list[ReadableSpan]) -> None:
    expected = encode_spans(batch)

    assert spans_of(SPAN_ENCODER.encode(batch)) == expected
    assert spans_of(SPAN_ENCODER.encode(batch)) == expected, "the second time, from the caches"


@settings(max_examples=100)
@given(batch=batches(log_records))
def test_any_log_records_are_the_stock_encoders(batch: list[ReadableLogRecord]) -> None:
    expected = encode_logs(batch)

    assert logs_of(LOG_ENCODER.encode(batch)) == expected
    assert logs_of(LOG_ENCODER.encode(batch)) == expected, "the second time, from the caches"


@given(members=st.dictionaries(st.one_of(st.text(max_size=8), st.just("\ud800")), odd_values, max_size=4))
def test_a_value_without_a_form_is_left_out_and_logged_as_by_the_stock_encoder(members: dict[str, Any]) -> None:
    logger = logging.getLogger("opentelemetry.exporter.otlp.proto.common._internal")
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]  # a handler in one line
    logger.addHandler(handler)
    try:
        batch = [span(attributes=members)]
        expected, said = encode_spans(batch), heard[:]
        heard.clear()

        assert spans_of(SPAN_ENCODER.encode(batch)) == expected
        assert heard == said
    finally:
        logger.removeHandler(handler)


def test_equal_values_of_different_types_stay_apart() -> None:
    for value in (1, True, 1.0, 0, False, 0.0, -0.0, "1", b"1"):
        batch = [span(attributes={"k": value})]
        assert spans_of(SPAN_ENCODER.encode(batch)) == encode_spans(batch), value


def test_a_number_that_is_not_one_is_encoded() -> None:
    (resource_spans,) = spans_of(SPAN_ENCODER.encode([span(attributes={"k": float("nan")})])).resource_spans

    value = resource_spans.scope_spans[0].spans[0].attributes[0].value
    assert value.WhichOneof("value") == "double_value"
    assert value.double_value != value.double_value


def test_spans_of_the_sdk_itself_are_the_stock_encoders() -> None:
    exported = InMemorySpanExporter()
    provider = TracerProvider(
        span_limits=SpanLimits(max_span_attributes=3, max_events=2, max_links=1, max_event_attributes=1),
        resource=Resource({"service.name": "user", "telemetry.list": ["a", "b"]}, "https://r/1"),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(SimpleSpanProcessor(exported))
    tracer = provider.get_tracer("scope", "1", "https://s/1", {"scope.key": "value"})
    other = SpanContext(1, 2, True, TraceFlags(1), TraceState([("k", "v")]))
    outer = tracer.start_as_current_span("outer", links=[Link(other), Link(other, {"k": 1})])
    inner = tracer.start_span("inner", set_span_in_context(NonRecordingSpan(other)), SpanKind.SERVER)
    inner.set_attributes({str(number): -number for number in range(5)})
    for number in range(4):
        inner.add_event("event", {"a": number, "b": "ü"})
    inner.end()
    with pytest.raises(ValueError, match="boom"), outer:
        raise ValueError("boom")

    batch = exported.get_finished_spans()

    assert [s.dropped_attributes for s in batch] == [2, 0]
    assert spans_of(SPAN_ENCODER.encode(batch)) == encode_spans(batch)


def test_what_waits_as_its_fields_is_sent_beside_what_only_the_stock_encoder_knows() -> None:
    resource, scope = Resource({"service.name": "user"}), InstrumentationScope("scope")
    context = SpanContext(1, 2, is_remote=False)
    early = Deferred((resource, scope, context, None, b"\x2a\x05early", 1, 2, Status(StatusCode.UNSET), {}))
    without_start = span(name="by stock", start_time=None)

    request = spans_of(SpanEncoder().encode([early, without_start]))

    names = [s.name for r in request.resource_spans for group in r.scope_spans for s in group.spans]
    assert names == ["early", "by stock"]
    assert request.resource_spans[0].resource.attributes[0].value.string_value == "user"


def test_what_the_limits_of_log_records_dropped_is_counted() -> None:
    record = LogRecord(observed_timestamp=1, attributes={"a": 1, "b": 2})
    with pytest.warns(match="dropped"):
        limited = ReadWriteLogRecord(record, limits=LogRecordLimits(max_log_record_attributes=1))
    batch = [ReadableLogRecord(limited.log_record, Resource.get_empty())]

    (resource_logs,) = logs_of(LOG_ENCODER.encode(batch)).resource_logs

    assert resource_logs.scope_logs[0].log_records[0].dropped_attributes_count == 1
    assert logs_of(LOG_ENCODER.encode(batch)) == encode_logs(batch)


@pytest.mark.parametrize("odd", [{"start_time": None}, {"end_time": 2**64}, {"name": "\ud800"}], ids=str)
def test_a_span_that_we_can_not_encode_is_left_to_the_stock_encoder(odd: dict[str, Any]) -> None:
    batch = [span(**odd)]
    try:
        expected = encode_spans(batch)
    except Exception as error:
        with pytest.raises(type(error)):
            SPAN_ENCODER.encode(batch)
    else:
        assert spans_of(SPAN_ENCODER.encode(batch)) == expected


def test_caches_stay_within_their_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_wire, "CACHE_SIZE", 8)
    encoder = SpanEncoder()
    for number in range(50):
        batch = [span(name=f"n{number}", attributes={"k": number, "text": "x" * 10_000})]
        assert spans_of(encoder.encode(batch)) == encode_spans(batch)

    assert 0 < len(encoder._names) <= 8
    assert 0 < len(encoder._attributes._cache) <= 8
    assert all(len(encoded) < 1_000 for encoded in encoder._attributes._cache.values())


@given(number=st.integers(0, 2**64 - 1))
def test_a_varint_reads_back(number: int) -> None:
    encoded = otlp_wire.varint(number)

    assert sum((byte & 127) << 7 * place for place, byte in enumerate(encoded)) == number
    assert [byte >> 7 for byte in encoded] == [1] * (len(encoded) - 1) + [0]


def span(**given_: Any) -> ReadableSpan:
    fields = {"name": "n", "context": SpanContext(1, 2, is_remote=False), "start_time": 1, "end_time": 2, **given_}
    return ReadableSpan(resource=Resource.get_empty(), **fields)


def test_one_batch_of_a_process_is_encoded_at_a_time() -> None:
    # In ten steps, between which any other thread may run.
    batch = [Deferred((Resource({}), None))] * 10 * otlp_wire.RECORDS_AT_ONCE
    encoded: list[str] = []

    def encode(name: str) -> None:
        def as_nothing(_record: Deferred) -> bytes:
            if not encoded:
                second.start()
            encoded.append(name)
            return b""

        otlp_wire.Envelope().request(batch, as_nothing)

    second = threading.Thread(target=encode, args=("second",))
    encode("first")
    second.join()
    assert encoded == ["first"] * len(batch) + ["second"] * len(batch)


FORK_WHILE_ENCODING: Final = """
import os, signal
from opentelemetry.sdk.resources import Resource
from otel.instrument.deferred import Deferred
from otel.instrument.otlp_wire import Envelope

def fork(_record):
    if os.fork():
        os.wait()
        return b""
    signal.alarm(10)  # ends a child that waits for ever
    Envelope().request([Deferred((Resource({}), None))], lambda _record: b"")
    os.write(1, b"encoded by the child")
    os._exit(0)

Envelope().request([Deferred((Resource({}), None))], fork)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_process_that_was_forked_while_a_batch_was_encoded_encodes_its_own() -> None:
    said = subprocess.run(
        [sys.executable, "-c", FORK_WHILE_ENCODING], capture_output=True, text=True, timeout=30, check=True
    )
    assert said.stdout == "encoded by the child"
