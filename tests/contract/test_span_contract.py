"""What a span promises to whoever touches or processes it: the SDK's own and those of calls."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from otel.instrument.call_spans import CallSpan
from otel.instrument.deferred import Deferred
from otel.instrument.otlp_spans import SpanEncoder
from tests.contract.call_spans import (
    END_NS,
    FIRST,
    LATE,
    NAME,
    REMOTE,
    START_NS,
    Start,
    Traced,
    perform,
    start_by_sdk,
    start_by_us,
)


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
    requests = [encoder.encode([encoder.at_end(by_us.finished())]) for _ in range(2)]  # the second knows its head

    assert requests[0] == requests[1]
    encoded = ExportTraceServiceRequest.FromString(requests[0])
    assert encoded == encode_spans([by_sdk.finished()])
    assert by_us.finished().to_json() == by_sdk.finished().to_json()


def test_a_span_that_nobody_touched_waits_as_its_fields_and_any_other_as_it_is() -> None:
    encoder = SpanEncoder()
    touched, odd = Traced(start_by_us), Traced(start_by_us)
    touched.span.add_event("early")
    odd.span.set_status(Status(StatusCode.ERROR, "\ud800"))
    encoder.encode([Traced(start_by_us).finished()])  # the first of a method makes its head known

    assert isinstance(encoder.at_end(Traced(start_by_us).finished()), Deferred)
    for readable in (touched.finished(), odd.finished(), Traced(start_by_sdk).finished()):
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


def test_links_of_another_make_are_the_sdks(start: Start) -> None:
    traced = Traced(start)
    traced.span.add_link(REMOTE, {"a": 1})

    assert [(link.context, dict(link.attributes or {})) for link in traced.finished().links] == [
        (Link(REMOTE).context, {"a": 1})
    ]
