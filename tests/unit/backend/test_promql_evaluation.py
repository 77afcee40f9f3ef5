"""What expressions of PromQL's subset come to over stored metrics, and what these are called in Prometheus' model."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel.backend.errors import UnanswerableQueryError
from otel.backend.metric_ports import MetricStore
from otel.backend.promql import evaluation
from otel.backend.promql.evaluation import Evaluation, Value
from otel.backend.promql.functions import divided, histogram_quantile, increase, irate, rate
from otel.backend.promql.naming import family_name, labels_of
from otel.backend.promql.parser import parse
from otel.backend.stores.memory import MemoryStore
from tests.contract.measurements import (
    DELTA,
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


def stored(*metrics: Any, service: str = "order", **more: Any) -> MetricStore:
    store = MemoryStore()
    store.write([], [], [resource_metrics(service, metrics, **more)])
    return store


def value(store: MetricStore, query: str, at_s: float) -> Value:
    at_ms = moment(at_s) // 1_000_000
    return Evaluation(store, parse(query), at_ms, at_ms).at(at_ms)


def by(store: MetricStore, query: str, at_s: float, label: str) -> dict[str, float]:
    found = value(store, query, at_s)
    assert isinstance(found, dict)
    return {dict(labels).get(label, ""): each for labels, each in found.items()}


def one(store: MetricStore, query: str, at_s: float) -> float:
    found = value(store, query, at_s)
    assert isinstance(found, dict)
    (single,) = found.values()
    return single


def calls(values: dict[int, int], **attributes: str) -> Any:
    return sum_metric("calls", [number_point(each, at_s=at_s, attributes=attributes) for at_s, each in values.items()])


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (
            histogram_metric("rpc.server.call.duration", [histogram([1, 0, 0, 0], at_s=1)]),
            "rpc_server_call_duration_seconds",
        ),
        (sum_metric("calls", [number_point(1, at_s=1)]), "calls_total"),
        (sum_metric("calls.total", [number_point(1, at_s=1)]), "calls_total"),
        (sum_metric("sent", [number_point(1, at_s=1)], unit="By"), "sent_bytes_total"),
        (sum_metric("sent.bytes", [number_point(1, at_s=1)], unit="By"), "sent_bytes_total"),
        (sum_metric("open", [number_point(1, at_s=1)], is_monotonic=False), "open"),
        (gauge_metric("used", [number_point(1, at_s=1)]), "used_ratio"),
        (gauge_metric("speed", [number_point(1, at_s=1)], unit="m/s"), "speed_meters_per_second"),
        (gauge_metric("2nd--try", [number_point(1, at_s=1)], unit="{try}"), "_2nd_try"),
    ],
)
def test_a_metric_is_called_as_prometheus_would_call_it(metric: Any, name: str) -> None:
    (series,) = stored(metric).metric_series()
    assert family_name(series) == name


def test_labels_are_attributes_target_and_scope() -> None:
    metric = calls({1: 1}, **{"rpc.method": "a", "rpc_method": "b", "2nd": "c", "empty": ""})
    (series,) = stored(metric, resource={"service.namespace": "shop", "service.instance.id": "i1"}).metric_series()
    assert labels_of(series) == {
        "rpc_method": "a;b",
        "key_2nd": "c",
        "job": "shop/order",
        "instance": "i1",
        "otel_scope_name": "test",
        "otel_scope_version": "1",
    }


def test_a_counter_shows_its_last_value_for_five_minutes() -> None:
    store = stored(calls({60: 7}))
    assert one(store, "calls_total", 60) == one(store, "calls_total", 359.9) == 7
    assert value(store, "calls_total", 360) == {}


def test_a_rate_is_extended_to_the_edges_that_samples_come_near_to() -> None:
    values = {15 * index + 5: 10 * index for index in range(1, 25)}
    assert one(stored(calls(values)), "rate(calls_total[5m])", 362) == pytest.approx(10 / 15)


def test_a_rate_counts_what_happened_since_the_start_that_the_first_point_names() -> None:
    store = stored(sum_metric("calls", [number_point(30, at_s=30, start_s=0)]))
    assert one(store, "increase(calls_total[1m])", 30) == pytest.approx(30)


def test_without_a_start_one_point_has_no_rate() -> None:
    store = stored(sum_metric("calls", [number_point(30, at_s=30, start_s=None)]))
    assert value(store, "rate(calls_total[1m])", 30) == {}


def test_a_rate_goes_over_a_restart() -> None:
    points = [
        number_point(each, at_s=at_s, start_s=start) for each, at_s, start in ((100, 10, 0), (130, 20, 0), (5, 30, 20))
    ]
    store = stored(sum_metric("calls", points))
    assert one(store, "irate(calls_total[1m])", 30) == pytest.approx(0.5)
    assert one(store, "increase(calls_total[40s])", 30) == pytest.approx(135)


def test_deltas_are_added_up_to_a_counter() -> None:
    points = [number_point(5, at_s=at_s, start_s=at_s - 10) for at_s in (10, 20, 30)]
    store = stored(sum_metric("calls", points, temporality=DELTA))
    assert one(store, "calls_total", 30) == 15
    assert one(store, "rate(calls_total[30s])", 30) == pytest.approx(0.5)


def test_a_sum_that_goes_up_and_down_is_a_gauge() -> None:
    points = [number_point(each, at_s=at_s) for each, at_s in ((5, 1), (3, 2))]
    assert one(stored(sum_metric("open", points, is_monotonic=False)), "open", 2) == 3


def test_sums_are_grouped_by_labels_or_by_all_but_some() -> None:
    store = MemoryStore()
    for instance in ("i1", "i2"):
        metrics = [calls({10: 1}, method="a"), calls({10: 2}, method="b")]
        store.write([], [], [resource_metrics("order", metrics, resource={"service.instance.id": instance})])
    assert by(store, "sum by (method) (calls_total)", 10, "method") == {"a": 2, "b": 4}
    assert by(store, "sum without (method) (calls_total)", 10, "instance") == {"i1": 3, "i2": 3}
    assert value(store, "sum(calls_total)", 10) == {(): 6}
    assert value(store, "count(calls_total)", 10) == {(): 4}
    assert value(store, "avg(calls_total)", 10) == {(): 1.5}
    assert value(store, "max(calls_total) - min(calls_total)", 10) == {(): 1}


def test_matchers_narrow_a_selector() -> None:
    store = stored(calls({10: 1}, method="Get", status="OK"), calls({10: 2}, method="List", status="NOT_FOUND"))
    assert one(store, 'calls_total{method="Get"}', 10) == 1
    assert one(store, 'calls_total{status!="OK"}', 10) == 2
    assert one(store, 'calls_total{method=~"L.*|X"}', 10) == 2
    assert one(store, 'calls_total{method!~"L.*"}', 10) == 1
    assert one(store, '{__name__=~"calls.+",method="Get"}', 10) == 1
    assert len(value(store, 'calls_total{absent=""}', 10)) == 2  # type: ignore[arg-type]  # a vector
    assert value(store, 'calls_total{absent!=""}', 10) == {}


def test_a_histogram_has_buckets_a_count_and_a_sum() -> None:
    store = stored(histogram_metric("took", [histogram([1, 2, 3, 4], at_s=10, total=12.5)]))
    assert by(store, "took_seconds_bucket", 10, "le") == {"0.01": 1, "0.1": 3, "1": 6, "+Inf": 10}
    assert (one(store, "took_seconds_count", 10), one(store, "took_seconds_sum", 10)) == (10, 12.5)
    assert one(store, 'took_seconds_bucket{le="0.1"}', 10) == 3


def test_an_exponential_histogram_has_buckets_at_its_powers() -> None:
    store = stored(exponential_metric("took", [exponential([1, 2], at_s=10)]))
    assert by(store, "took_seconds_bucket", 10, "le") == {"1": 0, "2": 1, "4": 3, "+Inf": 3}


def test_exponential_histograms_of_several_series_share_their_buckets() -> None:
    store = MemoryStore()
    for scale, service in ((0, "order"), (1, "user")):
        metric = exponential_metric("took", [exponential([1, 1], at_s=10, scale=scale)])
        store.write([], [], [resource_metrics(service, [metric])])
    assert by(store, "sum by (le) (took_seconds_bucket)", 10, "le") == {"1": 0, "2": 3, "4": 4, "+Inf": 4}


def test_a_summary_has_quantiles_a_count_and_a_sum() -> None:
    store = stored(summary_metric("took", [summary(7, at_s=10)]))
    assert by(store, "took", 10, "quantile") == {"0.5": 1.0}
    assert (one(store, "took_count", 10), one(store, "took_sum", 10)) == (7, 7)


def test_a_quantile_of_rates_is_that_of_the_time() -> None:
    slow = [histogram([0, 0, count, 0], at_s=10 * count, attributes={"method": "a"}) for count in range(1, 7)]
    fast = [histogram([count, 0, 0, 0], at_s=10 * count, attributes={"method": "b"}) for count in range(1, 7)]
    store = stored(histogram_metric("took", [*slow, *fast]))
    query = "histogram_quantile(0.5, sum by (le, method) (rate(took_seconds_bucket[1m])))"
    assert by(store, query, 60, "method") == {"a": pytest.approx(0.55), "b": pytest.approx(0.005)}


def test_a_share_of_errors_is_a_division() -> None:
    store = stored(
        calls({10: 0, 20: 30}, method="a", status="OK"),
        calls({10: 0, 20: 10}, method="a", status="INTERNAL"),
        calls({10: 0, 20: 10}, method="b", status="OK"),
    )
    query = 'sum by (method) (rate(calls_total{status!="OK"}[1m])) / sum by (method) (rate(calls_total[1m]))'
    assert by(store, query, 20, "method") == {"a": pytest.approx(0.25)}


def test_operations_with_numbers_go_over_every_series_and_drop_the_name() -> None:
    store = stored(calls({10: 4}, method="a"))
    assert by(store, "100 * calls_total / 8 - 1", 10, "__name__") == {"": 49}
    assert value(store, "1 + 2 * 3", 10) == 7


def test_two_sides_meet_on_the_labels_that_are_named() -> None:
    store = stored(
        calls({10: 6}, method="a", status="OK"),
        gauge_metric("limit", [number_point(3, at_s=10, attributes={"method": "a"})], unit=""),
    )
    assert one(store, "calls_total / on (method) limit", 10) == 2
    assert one(store, "calls_total / ignoring (status) limit", 10) == 2
    assert value(store, "calls_total / limit", 10) == {}


def test_a_side_that_meets_more_than_once_is_refused() -> None:
    store = stored(calls({10: 1}, method="a"), calls({10: 2}, method="b"))
    with pytest.raises(UnanswerableQueryError, match="multiple matches for labels"):
        value(store, "calls_total / on () calls_total", 10)


def test_a_query_that_would_look_at_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "MAX_LOOKS", 5)
    with pytest.raises(UnanswerableQueryError, match="more than 5 samples"):
        value(stored(calls({each: each for each in range(1, 10)})), "rate(calls_total[1m])", 10)


def test_dividing_by_zero_is_as_in_ieee_754() -> None:
    assert divided(1, 0) == math.inf
    assert divided(-1, 0) == divided(1, -0.0) == -math.inf
    assert math.isnan(divided(0, 0))


def test_buckets_that_shrink_outwards_are_mended() -> None:
    assert histogram_quantile(1.0, [(1, 10), (2, 8), (math.inf, 10)]) == 1.0


def test_buckets_without_the_last_have_no_quantile() -> None:
    assert math.isnan(histogram_quantile(0.5, [(1, 10), (2, 12)]))
    assert math.isnan(histogram_quantile(0.5, [(math.inf, 12)]))


samples_drawn = st.lists(st.tuples(st.integers(1, 60_000), st.integers(0, 1000)), min_size=2, max_size=20)


@given(samples_drawn, st.integers(0, 100_000), st.integers(0, 100_000))
def test_an_increase_is_what_was_seen_or_a_little_more_never_less(
    steps: list[tuple[int, int]], before_ms: int, after_ms: int
) -> None:
    times, values = [1_000_000], [500.0]
    for length, grown in steps:
        times.append(times[-1] + length)
        values.append(values[-1] + grown if grown % 7 else float(grown))
    begin, end = times[0] - before_ms, times[-1] + after_ms
    seen = values[-1] - values[0] + sum(a for a, b in pairwise(values) if b < a)
    found = increase(times, values, begin, end)
    assert found is not None
    assert seen - 1e-6 <= found <= seen * (1 + 2.2 * 1.1) + 1e-6
    assert rate(times, values, begin, end) == pytest.approx(found / ((end - begin) / 1000))
    assert irate(times, values, begin, end) is not None
