"""What a span promises to whoever touches, processes or exports it: the SDK's own and those of calls."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from otel.instrument.call_spans import CallSpan
from otel.instrument.call_tracer import CallTracer
from otel.instrument.encoded import Encoded
from otel.instrument.otlp_spans import SpanEncoder

NAME, START_NS, END_NS = "a.B/C", 1_000, 2_000
FIRST: Mapping[str, Any] = {"rpc.system.name": "grpc", "rpc.method": "a.B/C", "server.port": 1}
LATE: Mapping[str, Any] = {"rpc.response.status_code": "OK", "tracelab.rpc.sent_message_count": 1}
REMOTE = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("k", "v")]))
LOCAL_OFF = SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(2))

Start = Callable[[TracerProvider, Context, Mapping[str, Any]], Span]


def start_by_sdk(provider: TracerProvider, context: Context, attributes: Mapping[str, Any]) -> Span:
    tracer = provider.get_tracer("scope", "1", "https://s/1")
    return tracer.start_span(NAME, context, SpanKind.SERVER, attributes, start_time=START_NS, record_exception=False)


def start_by_us(provider: TracerProvider, context: Context, attributes: Mapping[str, Any]) -> Span:
    tracer = CallTracer(provider.get_tracer("scope", "1", "https://s/1"))
    return tracer.start(NAME, context, SpanKind.SERVER, attributes, START_NS)[0]


class CountedIds(IdGenerator):
    """1, 2, 3, …"""

    def __init__(self) -> None:
        self._last = 0

    def generate_span_id(self) -> int:
        self._last += 1
        return self._last

    generate_trace_id = generate_span_id


@dataclass
class Traced:
    """A provider, what it exported, and a span that was started under it."""

    start: Start
    limits: SpanLimits = field(default_factory=SpanLimits)
    sampler: Sampler = sampling.ALWAYS_ON
    context: Context = field(default_factory=Context)
    attributes: Mapping[str, Any] = field(default_factory=lambda: FIRST)
    processors: Sequence[SpanProcessor] = ()
    ids: IdGenerator = field(default_factory=CountedIds)

    def __post_init__(self) -> None:
        self.exported = InMemorySpanExporter()
        self.provider = TracerProvider(
            sampler=self.sampler,
            resource=Resource({"service.name": "s"}),
            shutdown_on_exit=False,
            id_generator=self.ids,
            span_limits=self.limits,
        )
        for processor in (*self.processors, SimpleSpanProcessor(self.exported)):
            self.provider.add_span_processor(processor)
        self.span: Any = self.start(self.provider, self.context, self.attributes)

    def finished(self) -> ReadableSpan:
        """End the span if it has not ended, and return what was exported."""
        if self.span.is_recording():
            self.span.end(END_NS)
        (readable,) = self.exported.get_finished_spans()
        return readable


@pytest.fixture(params=[start_by_sdk, start_by_us], ids=["sdk", "ours"])
def start(request: pytest.FixtureRequest) -> Start:
    chosen: Start = request.param
    return chosen


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level("WARNING"):
        yield lambda: [record.getMessage() for record in caplog.records]


def test_ours_is_a_span_of_its_own_and_not_the_sdks() -> None:
    assert type(Traced(start_by_us).span) is CallSpan


def test_a_span_tells_what_it_was_started_with(start: Start) -> None:
    context = set_span_in_context(NonRecordingSpan(REMOTE), Context())

    traced = Traced(start, context=context)

    span = traced.span
    assert (span.name, span.kind, span.start_time, span.end_time) == (NAME, SpanKind.SERVER, START_NS, None)
    assert span.parent == REMOTE
    assert span.get_span_context() == span.context == SpanContext(7, 1, False, TraceFlags(1), REMOTE.trace_state)
    assert dict(span.attributes) == FIRST
    assert (span.events, span.links, span.status.status_code) == ((), (), StatusCode.UNSET)
    assert span.resource.attributes["service.name"] == "s"
    assert (span.instrumentation_scope.name, span.instrumentation_scope.schema_url) == ("scope", "https://s/1")
    assert span.is_recording()


def test_what_a_span_was_started_with_is_not_changed_by_what_is_set_on_it(start: Start) -> None:
    given = dict(FIRST)

    Traced(start, attributes=given).span.set_attribute("server.port", 2)

    assert given == FIRST


def test_an_attribute_that_is_set_again_has_the_last_value_and_the_last_place(start: Start) -> None:
    traced = Traced(start)

    traced.span.set_attribute("rpc.system.name", "other")
    traced.span.set_attributes({"added": True})

    expected = [("rpc.method", "a.B/C"), ("server.port", 1), ("rpc.system.name", "other"), ("added", True)]
    assert list(traced.finished().attributes.items()) == expected  # type: ignore[union-attr]  # it has some


@pytest.mark.parametrize(
    "limits",
    [
        SpanLimits(max_span_attributes=0),
        SpanLimits(max_span_attributes=2),
        SpanLimits(max_span_attributes=SpanLimits.UNSET),
        SpanLimits(max_span_attribute_length=4),
        SpanLimits(max_attributes=40, max_attribute_length=4),
    ],
    ids=["none", "two", "any number", "short", "short by the general limit"],
)
def test_limits_count_what_is_dropped_and_cut_what_is_long(limits: SpanLimits) -> None:
    kept = []
    for start in (start_by_sdk, start_by_us):
        traced = Traced(start, limits=limits)
        traced.span.set_attributes({**LATE, "long": "x" * 9})
        readable = traced.finished()
        kept.append((dict(readable.attributes or {}), readable.dropped_attributes))

    assert kept[0] == kept[1]


def test_more_attributes_than_the_limit_push_out_the_oldest_ones(start: Start) -> None:
    traced = Traced(start, limits=SpanLimits(max_span_attributes=40))

    traced.span.set_attributes({f"key {number}": number for number in range(39)})

    readable = traced.finished()
    assert readable.dropped_attributes == 2
    assert list(readable.attributes or {})[:2] == ["server.port", "key 0"]


def test_events_and_links_past_their_limits_push_out_the_oldest_ones(start: Start) -> None:
    traced = Traced(start, limits=SpanLimits(max_events=1, max_links=1, max_event_attributes=1))
    for number in range(3):
        traced.span.add_event(f"event {number}", {"a": 1, "b": 2}, number)
        traced.span.add_link(SpanContext(1, number + 1, is_remote=False))

    readable = traced.finished()
    (event,), (link,) = readable.events, readable.links
    assert (event.name, event.dropped_attributes, link.context.span_id) == ("event 2", 1, 3)
    assert (readable.dropped_events, readable.dropped_links) == (2, 2)


WRITES: Mapping[str, Callable[[Any], object]] = {
    "set_attribute": lambda span: span.set_attribute("late", 1),
    "set_attributes": lambda span: span.set_attributes({"late": 1}),
    "add_event": lambda span: span.add_event("late"),
    "add_link": lambda span: span.add_link(REMOTE),
    "update_name": lambda span: span.update_name("late"),
    "set_status": lambda span: span.set_status(Status(StatusCode.ERROR, "late")),
    "record_exception": lambda span: span.record_exception(ValueError("late")),
    "end": lambda span: span.end(9_999),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("touched", [False, True], ids=["untouched", "touched"])
def test_a_write_after_the_end_is_void_and_warned_of(
    start: Start, write: str, touched: bool, warned: Callable[[], list[str]]
) -> None:
    traced = Traced(start)
    if touched:
        traced.span.set_attribute("early", 1)
        traced.span.add_event("early", None, 5)
    traced.span.end(END_NS)
    before = traced.finished().to_json()

    WRITES[write](traced.span)

    assert len(warned()) == 1
    assert "ended span" in warned()[0]
    assert traced.finished().to_json() == before
    assert not traced.span.is_recording()


@pytest.mark.parametrize("touched", [False, True], ids=["untouched", "touched"])
def test_attributes_of_a_finished_span_cannot_be_written_past_it(start: Start, touched: bool) -> None:
    traced = Traced(start)
    if touched:
        traced.span.set_attribute("early", 1)
    readable: Any = traced.finished()

    with pytest.raises(TypeError):
        readable.attributes["late"] = 1
    with pytest.raises(TypeError):
        readable._attributes["late"] = 1


def test_ok_is_final_and_unset_says_nothing(start: Start) -> None:
    traced = Traced(start)
    traced.span.set_status(StatusCode.ERROR, "first")
    traced.span.set_status(StatusCode.UNSET)
    assert traced.span.status.description == "first"

    traced.span.set_status(StatusCode.OK)
    traced.span.set_status(Status(StatusCode.ERROR, "late"))

    assert traced.finished().status.status_code is StatusCode.OK


ENDINGS: Mapping[str, tuple[Any, ...]] = {
    "well": ("end_with", LATE, None, END_NS),
    "badly": ("end_with", LATE, Status(StatusCode.ERROR, "bad"), END_NS),
    "with what was set before": ("end_with", {"rpc.system.name": "other", "early": 2}, None, END_NS),
}
BEFORE_THE_END: Mapping[str, tuple[tuple[Any, ...], ...]] = {
    "nothing": (),
    "an attribute": (("set_attribute", "early", 1),),
    "an event": (("add_event", "early", {"a": 1}, 5),),
    "ok": (("set_status", Status(StatusCode.OK)),),
    "the end": (("end", 1_500),),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("before", BEFORE_THE_END)
def test_what_the_interceptors_say_at_the_end_is_said_as_by_the_sdks_methods(before: str, ending: str) -> None:
    by_sdk, by_us = Traced(start_by_sdk), Traced(start_by_us)
    for traced in (by_sdk, by_us):
        for operation in (*BEFORE_THE_END[before], ENDINGS[ending]):
            perform(traced.span, operation)

    encoder = SpanEncoder()
    encoded = ExportTraceServiceRequest.FromString(encoder.encode([encoder.at_end(by_us.finished())]))

    assert encoded == encode_spans([by_sdk.finished()])
    assert by_us.finished().to_json() == by_sdk.finished().to_json()


def test_a_span_that_nobody_touched_waits_as_bytes_and_any_other_as_it_is() -> None:
    encoder = SpanEncoder()
    touched = Traced(start_by_us)
    touched.span.add_event("early")

    assert isinstance(encoder.at_end(Traced(start_by_us).finished()), Encoded)
    for readable in (touched.finished(), Traced(start_by_sdk).finished()):
        assert encoder.at_end(readable) is readable


def test_leaving_the_block_by_an_exception_ends_the_span_as_an_error(start: Start) -> None:
    traced = Traced(start)

    with pytest.raises(ValueError, match="bad"), traced.span:
        raise ValueError("bad")

    readable = traced.finished()
    assert readable.status.description == "ValueError: bad"
    assert readable.events == ()  # started with record_exception=False


def test_a_recorded_exception_is_an_event(start: Start) -> None:
    traced = Traced(start)

    traced.span.record_exception(ValueError("bad"), {"extra": 1}, timestamp=5)

    (event,) = traced.finished().events
    assert (event.name, event.timestamp) == ("exception", 5)
    assert {"exception.type": "ValueError", "exception.message": "bad", "extra": 1}.items() <= dict(
        event.attributes or {}
    ).items()


class Watching(SpanProcessor):
    """Notes what it is told, and may write."""

    def __init__(self, *, writes: bool = False) -> None:
        self.told: list[tuple[str, Any]] = []
        self._writes = writes

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        self.told.append(("start", (span, parent_context, dict(span.attributes), span.is_recording())))
        if self._writes:
            span.set_attribute("by processor", 1)
            span.add_event("by processor", None, 5)

    def _on_ending(self, span: Any) -> None:
        self.told.append(("ending", (span, span.end_time)))

    def on_end(self, span: ReadableSpan) -> None:
        self.told.append(("end", span))


def test_processors_are_told_of_start_ending_and_end_in_their_order(start: Start) -> None:
    context = set_span_in_context(NonRecordingSpan(REMOTE), Context({"mine": 1}))
    first, second = Watching(writes=True), Watching()

    traced = Traced(start, context=context, processors=[first, second])
    readable = traced.finished()

    assert [event for event, _ in first.told] == ["start", "ending", "end"]
    started, parent_context, attributes, recording = first.told[0][1]
    assert (started, parent_context, attributes, recording) == (traced.span, context, FIRST, True)
    assert "by processor" in second.told[0][1][2]
    assert first.told[1][1] == (traced.span, END_NS)
    assert [event.name for event in readable.events] == ["by processor"]


def test_who_is_told_of_the_end_gets_a_readable_span_and_no_span(start: Start) -> None:
    watching = Watching()

    Traced(start, processors=[watching]).finished()

    told = watching.told[-1][1]
    assert isinstance(told, ReadableSpan)
    assert not isinstance(told, Span)


def test_a_processor_that_is_added_while_a_span_is_open_is_told_of_its_end(start: Start) -> None:
    traced = Traced(start)
    watching = Watching()
    traced.provider.add_span_processor(watching)

    traced.finished()

    assert [event for event, _ in watching.told] == ["ending", "end"]


def test_an_ending_processor_cannot_write_any_more(start: Start, warned: Callable[[], list[str]]) -> None:
    class Writing(SpanProcessor):
        def _on_ending(self, span: Any) -> None:
            span.set_attribute("late", 1)

    readable = Traced(start, processors=[Writing()]).finished()

    assert "late" not in (readable.attributes or {})
    assert len(warned()) == 1


def test_what_many_threads_write_at_once_is_all_there(start: Start) -> None:
    traced = Traced(start, limits=SpanLimits(max_span_attributes=SpanLimits.UNSET, max_events=SpanLimits.UNSET))
    together = threading.Barrier(8)

    def write(thread: int) -> None:
        together.wait()
        for number in range(50):
            traced.span.set_attribute(f"{thread}.{number}", number)
            traced.span.add_event(f"{thread}.{number}")
            assert dict(traced.span.attributes)["rpc.system.name"] == "grpc"

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    readable = traced.finished()
    assert len(readable.attributes or {}) == len(FIRST) + 400
    assert len(readable.events) == 400


def test_of_many_threads_that_end_a_span_one_does(start: Start) -> None:
    watching = Watching()
    traced = Traced(start, processors=[watching])
    together = threading.Barrier(8)

    def end() -> None:
        together.wait()
        traced.span.end()

    threads = [threading.Thread(target=end) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [event for event, _ in watching.told] == ["start", "ending", "end"]


def test_a_finished_span_cannot_be_pickled(start: Start) -> None:
    readable = Traced(start).finished()

    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(readable)


class Own(Sampler):
    """Decides as told, with attributes and a trace state of its own."""

    def __init__(self, decision: Decision, attributes: Mapping[str, Any] | None) -> None:
        self._decision = decision
        self._attributes = attributes

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        if self._attributes is not None:
            attributes = self._attributes
        return SamplingResult(self._decision, attributes, TraceState([("by", "sampler")]))

    def get_description(self) -> str:
        return "Own"


SAMPLERS: Mapping[str, Sampler] = {
    "always on": sampling.ALWAYS_ON,
    "always off": sampling.ALWAYS_OFF,
    "by parent": sampling.DEFAULT_ON,
    "by parent, else off": sampling.DEFAULT_OFF,
    "half": sampling.TraceIdRatioBased(0.5),
    "none": sampling.TraceIdRatioBased(0.0),
    "by parent, else half": sampling.ParentBasedTraceIdRatio(0.5),
    "by parent, turned round": sampling.ParentBased(
        sampling.ALWAYS_OFF,
        remote_parent_sampled=sampling.ALWAYS_OFF,
        remote_parent_not_sampled=sampling.ALWAYS_ON,
        local_parent_sampled=sampling.TraceIdRatioBased(0.0),
        local_parent_not_sampled=Own(Decision.RECORD_ONLY, None),
    ),
    "by parent, else another by parent": sampling.ParentBased(sampling.DEFAULT_OFF),
    "own": Own(Decision.RECORD_AND_SAMPLE, None),
    "own, attributes": Own(Decision.RECORD_AND_SAMPLE, {"rate": 0.5, "odd": object}),
    "own, record only": Own(Decision.RECORD_ONLY, {}),
    "own, drop": Own(Decision.DROP, None),
    "record all": sampling.AlwaysRecordSampler(sampling.ALWAYS_OFF),
}
PARENTS: Mapping[str, SpanContext | None] = {
    "no parent": None,
    "invalid": SpanContext(0, 0, is_remote=True),
    "remote": REMOTE,
    "remote, off": SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(0)),
    "remote, random": SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(3)),
    "local": SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(1)),
    "local, off": LOCAL_OFF,
}


@pytest.mark.parametrize("parent", PARENTS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_sampler_decides_the_same(sampler: str, parent: str) -> None:
    context = Context()
    found = PARENTS[parent]
    if found is not None:
        context = set_span_in_context(NonRecordingSpan(found), context)

    by_sdk, by_us = (Traced(start, sampler=SAMPLERS[sampler], context=context) for start in (start_by_sdk, start_by_us))

    assert by_us.span.get_span_context() == by_sdk.span.get_span_context()
    assert by_us.span.is_recording() == by_sdk.span.is_recording()
    assert isinstance(by_us.span, NonRecordingSpan) == isinstance(by_sdk.span, NonRecordingSpan)
    for traced in (by_sdk, by_us):
        traced.span.end(END_NS)
    assert jsons(by_us) == jsons(by_sdk)


def jsons(traced: Traced) -> list[str]:
    return [span.to_json() for span in traced.exported.get_finished_spans()]


def test_a_random_trace_id_is_flagged_as_one(start: Start) -> None:
    assert Traced(start, ids=RandomIdGenerator()).span.get_span_context().trace_flags == 3
    assert Traced(start, ids=CountedIds()).span.get_span_context().trace_flags == 1


def test_under_a_disabled_tracer_there_is_no_span(start: Start) -> None:
    traced = Traced(start)
    traced.finished()
    disabled = type("Config", (), {"is_enabled": False})()
    traced.provider._set_tracer_configurator(tracer_configurator=lambda _scope: disabled)

    span = start(traced.provider, Context(), FIRST)

    assert not span.is_recording()


def test_a_resource_that_is_updated_is_that_of_the_spans_started_from_then_on(start: Start) -> None:
    traced = Traced(start)
    traced.provider._update_resource(Resource({"process.pid": 5}))

    later = start(traced.provider, Context(), FIRST)

    assert "process.pid" not in traced.span.resource.attributes
    assert later.resource.attributes["process.pid"] == 5  # type: ignore[attr-defined]  # a readable one


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


def perform(span: Any, operation: tuple[Any, ...]) -> None:
    """Do one thing to a span; what the interceptors do in one step is several with the SDK's."""
    name, *arguments = operation
    if name == "look":
        dict(span.attributes), span.events, span.links, span.to_json()
    elif name == "end_with" and not isinstance(span, CallSpan):
        attributes, status, end_time = arguments
        span.set_attributes(attributes)
        if status is not None:
            span.set_status(status)
        span.end(end_time)
    else:
        getattr(span, name)(*arguments)


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
    at_end = ExportTraceServiceRequest.FromString(encoder.encode([encoder.at_end(readable)]))
    encoded = ExportTraceServiceRequest.FromString(encoder.encode([readable]))
    assert at_end == encoded == encode_spans([expected]) == encode_spans([readable])
    assert readable.to_json() == expected.to_json()
    assert by_us.span.to_json() == by_sdk.span.to_json()
    dropped = [(s.dropped_attributes, s.dropped_events, s.dropped_links) for s in (expected, readable)]
    assert dropped[0] == dropped[1]


def test_links_of_another_make_are_the_sdks(start: Start) -> None:
    traced = Traced(start)
    traced.span.add_link(REMOTE, {"a": 1})

    assert [(link.context, dict(link.attributes or {})) for link in traced.finished().links] == [
        (Link(REMOTE).context, {"a": 1})
    ]
