"""What the shortcut leaves out is the check of each value, nothing else: it is compared with the SDK's own way."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.trace import INVALID_SPAN, Span

from otel.instrument.sdk_shortcuts import set_attributes

STARTED: dict[str, Any] = {"rpc.method": "a/B", "server.port": 1}
LATE: dict[str, Any] = {"server.port": 2, "text": "x" * 9, "count": 3, "remaining_s": 1.5}


def span_with(limits: SpanLimits) -> Span:
    return TracerProvider(span_limits=limits, shutdown_on_exit=False).get_tracer("t").start_span("s", None)


def kept(span: Span) -> tuple[dict[str, Any], int]:
    readable: Any = span
    return dict(readable.attributes), readable.dropped_attributes


@pytest.mark.parametrize(
    "limits",
    [
        SpanLimits(),
        SpanLimits(max_span_attributes=SpanLimits.UNSET),
        SpanLimits(max_span_attributes=0),
        SpanLimits(max_span_attributes=3),
        SpanLimits(max_span_attribute_length=4),
    ],
    ids=["default", "no limit", "none", "three", "short"],
)
def test_attributes_are_kept_dropped_and_cut_as_by_the_sdk(limits: SpanLimits) -> None:
    by_sdk, by_us = span_with(limits), span_with(limits)
    for span in (by_sdk, by_us):
        span.set_attributes(STARTED)

    by_sdk.set_attributes(LATE)
    set_attributes(by_us, LATE)

    assert kept(by_us) == kept(by_sdk)


def test_a_span_that_is_over_takes_no_attributes() -> None:
    span = span_with(SpanLimits())
    span.end()

    set_attributes(span, LATE)

    assert kept(span) == ({}, 0)


def test_a_span_of_another_kind_is_asked_itself() -> None:
    set_attributes(INVALID_SPAN, LATE)
