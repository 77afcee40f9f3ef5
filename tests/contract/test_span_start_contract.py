"""What decides how a span starts: samplers, parents, ids, the tracer's switch, the resource; as for the SDK's own."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    set_span_in_context,
)

from tests.contract.call_spans import (
    END_NS,
    FIRST,
    LOCAL_OFF,
    REMOTE,
    SAMPLERS,
    CountedIds,
    Start,
    Traced,
    start_by_sdk,
    start_by_us,
)

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
