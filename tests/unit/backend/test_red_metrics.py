"""Rates, errors and durations over moving windows."""

from __future__ import annotations

import math

import pytest

from otel.backend.api.red_metrics import Series, Window, call_rate, error_ratio, latency_ms, metric_family
from otel.backend.ports import SpanMeasure

S = 1_000_000_000
MS = 1_000_000
WINDOW = Window(end_unix_nano=100 * S, lookback_ns=20 * S, step_ns=10 * S, rate_per_ns=10 * S)


def measure(start_s: float, duration_ms: int = 1, *, is_error: bool = False, operation: str = "get") -> SpanMeasure:
    return SpanMeasure("order", operation, round(start_s * S), duration_ms * MS, is_error)


def values(family: dict[str, list[dict[str, list[dict[str, dict[str, object]]]]]]) -> list[list[object]]:
    return [[point["gaugeValue"]["doubleValue"] for point in each["metricPoints"]] for each in family["metrics"]]


def test_points_run_from_the_begin_of_the_window_to_its_end() -> None:
    assert list(WINDOW.points()) == [80 * S, 90 * S, 100 * S]


def test_a_rate_counts_what_started_in_the_time_before_its_point() -> None:
    spans = [measure(80), measure(80.1), measure(90), measure(95)]
    family = metric_family("n", "h", spans, WINDOW, call_rate(WINDOW), by_operation=False)
    assert values(family) == [[0.1, 0.2, 0.1]]


def test_no_span_at_all_is_an_empty_list() -> None:
    family = metric_family("n", "h", [], WINDOW, call_rate(WINDOW), by_operation=True)
    assert family == {"name": "n", "type": "GAUGE", "help": "h", "metrics": []}


def test_a_series_without_error_is_zero_at_every_point() -> None:
    assert values(metric_family("n", "h", [measure(95)], WINDOW, error_ratio, by_operation=False)) == [[0.0, 0.0, 0.0]]


def test_the_error_ratio_is_of_the_calls_in_the_window_and_nan_without_any() -> None:
    spans = [measure(95), measure(96, is_error=True)]
    assert values(metric_family("n", "h", spans, WINDOW, error_ratio, by_operation=False)) == [["NaN", "NaN", 0.5]]


def test_operations_are_grouped_and_labelled() -> None:
    spans = [measure(95, operation="list"), measure(95)]
    family = metric_family("n", "h", spans, WINDOW, call_rate(WINDOW), by_operation=True)
    assert [[label["value"] for label in each["labels"]] for each in family["metrics"]] == [
        ["order", "get"],
        ["order", "list"],
    ]


@pytest.mark.parametrize(("quantile", "expected"), [(0.0, 1.0), (0.5, 2.5), (1.0, 4.0), (0.25, 1.75)])
def test_a_quantile_is_interpolated(quantile: float, expected: float) -> None:
    series = Series.of([measure(95, duration) for duration in (4, 1, 3, 2)])
    assert latency_ms(quantile)(series, 0, 4) == expected


def test_a_quantile_of_nothing_is_nan() -> None:
    assert math.isnan(latency_ms(0.5)(Series.of([]), 0, 0))
