"""What a group of series shows step by step: rates, sums, levels, quantiles, heat maps, exemplars."""

from __future__ import annotations

from typing import Any

import pytest

from otel.backend.metrics.query import Aggregate, Line, Steps, layout_of_all, line_of
from otel.backend.stores.memory import MemoryStore
from tests.contract.measurements import (
    DELTA,
    exemplar,
    exponential,
    exponential_metric,
    gauge_metric,
    histogram,
    histogram_metric,
    moment,
    number_point,
    resource_metrics,
    sum_metric,
    summary,
    summary_metric,
)
from tests.contract.telemetry import SECOND, trace_id


def asked(aggregate: Aggregate, *metrics: Any, seconds: int = 30, step_s: int = 10) -> Line:
    """One line of everything in `metrics`, from 0 s on."""
    store = MemoryStore()
    store.write([], [], [resource_metrics(f"instance {index}", [metric]) for index, metric in enumerate(metrics)])
    series = store.metric_series()
    points = dict(store.metric_points([each.number for each in series], 0, 2**63))
    steps = Steps(moment(0), step_s * SECOND, seconds // step_s)
    return line_of(series, points, layout_of_all(series, points), aggregate, steps)


def test_a_rate_is_what_grew_by_second() -> None:
    metric = sum_metric("calls", [number_point(50, at_s=10), number_point(70, at_s=20)])
    assert asked(Aggregate.RATE, metric).values == [5.0, 2.0, None]


def test_a_rate_is_the_same_whether_it_was_sent_as_deltas_or_cumulative() -> None:
    deltas = sum_metric("calls", [number_point(50, at_s=10), number_point(20, at_s=20, start_s=10)], temporality=DELTA)
    assert asked(Aggregate.RATE, deltas).values == [5.0, 2.0, None]


def test_a_process_that_began_anew_loses_nothing() -> None:
    metric = sum_metric("calls", [number_point(50, at_s=10), number_point(60, at_s=20, start_s=12)])
    assert asked(Aggregate.SUM, metric).values == [50.0, 60.0, None]


def test_the_rate_of_a_histogram_is_that_of_its_measurements_and_its_sum_what_was_measured() -> None:
    metric = histogram_metric("took", [histogram([1, 2, 3, 4], at_s=10, total=7.5)])
    assert asked(Aggregate.RATE, metric).values == [1.0, None, None]
    assert asked(Aggregate.SUM, metric).values == [7.5, None, None]


def test_the_rate_of_a_summary_is_that_of_its_measurements() -> None:
    assert asked(Aggregate.RATE, summary_metric("took", [summary(20, at_s=10)])).values == [2.0, None, None]


def test_series_of_one_group_are_added() -> None:
    metrics = [sum_metric("calls", [number_point(10 * count, at_s=10)]) for count in (1, 2)]
    assert asked(Aggregate.RATE, *metrics).values == [3.0, None, None]


def test_a_gauge_shows_the_last_level_of_each_step_added_over_series() -> None:
    one = gauge_metric("queue", [number_point(level, at_s=at_s) for level, at_s in ((3, 1), (4, 9), (7, 11))])
    other = gauge_metric("queue", [number_point(100, at_s=5)])
    assert asked(Aggregate.SUM, one, other).values == [104.0, 7.0, None]


def test_a_sum_that_goes_up_and_down_shows_its_level_even_where_it_is_sent_as_deltas() -> None:
    points = [number_point(value, at_s=at_s) for value, at_s in ((5, 5), (-2, 15))]
    metric = sum_metric("open", points, temporality=DELTA, is_monotonic=False)
    assert asked(Aggregate.SUM, metric).values == [5.0, 3.0, None]


def test_quantiles_are_those_of_all_series_together() -> None:
    fast = histogram_metric("took", [histogram([10, 0, 0, 0], at_s=10)])
    slow = histogram_metric("took", [histogram([0, 0, 10, 0], at_s=10)])
    assert asked(Aggregate.P50, fast, slow).values == [0.01, None, None]
    assert asked(Aggregate.P95, fast, slow).values == [pytest.approx(0.1 + 0.9 * 0.9), None, None]


def test_quantiles_of_exponential_histograms_too() -> None:
    metric = exponential_metric("took", [exponential([0, 10], at_s=10)])
    assert asked(Aggregate.P50, metric).values == [3.0, None, None]


def test_a_step_without_any_call_has_a_rate_of_zero_and_no_quantile() -> None:
    metric = histogram_metric("took", [histogram([5, 0, 0, 0], at_s=10), histogram([5, 0, 0, 0], at_s=20)])
    assert asked(Aggregate.RATE, metric).values == [0.5, 0.0, None]
    assert asked(Aggregate.P99, metric).values[1:] == [None, None]


def test_a_heat_map_counts_by_step_and_bucket() -> None:
    metric = histogram_metric("took", [histogram([1, 2, 0, 0], at_s=10), histogram([1, 2, 0, 3], at_s=20)])
    assert asked(Aggregate.HEATMAP, metric).values == [[1, 2, 0, 0], [0, 0, 0, 3], None]


def test_exemplars_are_told_once_though_they_are_sent_with_every_point() -> None:
    slow = exemplar(0.5, at_s=4, trace=1)
    points = [histogram([0, 0, 1, 0], at_s=at_s, exemplars=[slow]) for at_s in (10, 20)]
    found = asked(Aggregate.HEATMAP, histogram_metric("took", points)).exemplars
    assert [(each.trace_id, each.value, each.time_unix_nano) for each in found] == [(trace_id(1), 0.5, moment(4))]


def test_exemplars_of_other_times_and_without_a_trace_are_not_told() -> None:
    nameless = exemplar(0.5, at_s=5, trace=1)
    nameless.trace_id = b""
    outside = [exemplar(0.5, at_s=-1, trace=2), exemplar(0.5, at_s=31, trace=3)]
    metric = histogram_metric("took", [histogram([0, 0, 3, 0], at_s=30, exemplars=[nameless, *outside])])
    assert asked(Aggregate.RATE, metric).exemplars == []


def test_of_each_step_and_bucket_a_few_exemplars_are_told() -> None:
    many = [
        exemplar(value, at_s=at_s, trace=100 * at_s + index)
        for at_s in (5, 15)
        for index, value in enumerate([0.005, 0.005, 0.005, 0.005, 0.5])
    ]
    found = asked(Aggregate.HEATMAP, histogram_metric("took", [histogram([8, 0, 2, 0], at_s=20, exemplars=many)]))
    assert [each.value for each in found.exemplars] == [0.005, 0.005, 0.5] * 2
