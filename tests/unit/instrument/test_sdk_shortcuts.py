"""What the shortcuts leave out is the check of each value, nothing else: each way is compared with the SDK's own."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram, NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.trace import INVALID_SPAN, Span, set_span_in_context

from otel.instrument.sdk_shortcuts import record_duration, set_attributes

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


def points(record: Any, views: tuple[View, ...] = ()) -> list[tuple[Any, ...]]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    histogram = provider.get_meter("m").create_histogram("h", "s", explicit_bucket_boundaries_advisory=(0.1, 1.0))
    span = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s", None)
    for number, duration_s in enumerate((0.0, 0.05, 0.5, 5.0)):
        record(histogram, duration_s, {"rpc.method": "a/B", "server.port": number % 2}, set_span_in_context(span))
    data: Any = reader.get_metrics_data()
    found = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    return [
        (
            dict(point.attributes),
            point.count,
            point.sum,
            point.bucket_counts,
            point.min,
            point.max,
            [
                (e.value, e.filtered_attributes, (e.trace_id, e.span_id) == tuple(span.get_span_context()[:2]))
                for e in point.exemplars
            ],
        )
        for point in found
    ]


def by_the_sdk(histogram: Histogram, duration_s: float, attributes: dict[str, Any], context: Context) -> None:
    histogram.record(duration_s, attributes, context)


@pytest.mark.parametrize(
    "views", [(), (View(instrument_name="h", attribute_keys={"rpc.method"}),)], ids=["plain", "view"]
)
def test_durations_are_recorded_as_by_the_sdk_with_views_and_exemplars(views: tuple[View, ...]) -> None:
    assert points(record_duration, views) == points(by_the_sdk, views)


def test_a_histogram_of_another_kind_is_asked_itself() -> None:
    record_duration(NoOpMeterProvider().get_meter("m").create_histogram("h"), 1.0, {}, Context())
