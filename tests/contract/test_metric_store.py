"""One suite over every adapter of the telemetry store: what the port promises of metrics, in memory and in SQLite."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel.backend.metric_ports import MetricKind, MetricPoint, MetricSeries, Temporality
from otel.backend.ports import Retention, TelemetryStore
from otel.backend.stores import memory_metrics
from otel.backend.stores.memory import MemoryStore
from otel.backend.stores.sqlite import metric_rows
from otel.backend.stores.sqlite.store import SqliteStore
from tests.contract.conftest import Clock, StoreOf
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
from tests.contract.telemetry import MS, SECOND, log_record, resource_logs, resource_spans, span, trace_id

ALWAYS = (0, 2**64 - 1)


def write(store: TelemetryStore, *metrics: Any, service: str = "order", **more: Any) -> Any:
    return store.write([], [], [resource_metrics(service, metrics, **more)])


def found(store: TelemetryStore, name: str) -> list[tuple[MetricSeries, list[MetricPoint]]]:
    series = [each for each in store.metric_series() if each.metric.name == name]
    points = dict(store.metric_points([each.number for each in series], *ALWAYS))
    return [(each, list(points[each.number])) for each in series]


def values(store: TelemetryStore, name: str, bounds: tuple[int, int] = ALWAYS) -> list[float]:
    numbers = [each.number for each in store.metric_series() if each.metric.name == name]
    return [point.as_int for _, points in store.metric_points(numbers, *bounds) for point in points]  # type: ignore[union-attr]  # sums, by the tests that ask


def names(store: TelemetryStore) -> list[str]:
    return sorted(each.metric.name for each in store.metric_series())


KINDS = {
    "gauge": (gauge_metric("m", [number_point(1.5, at_s=1)]), MetricKind.GAUGE, Temporality.NONE, False),
    "sum": (sum_metric("m", [number_point(3, at_s=1)]), MetricKind.SUM, Temporality.CUMULATIVE, True),
    "up and down": (
        sum_metric("m", [number_point(3, at_s=1)], is_monotonic=False, temporality=DELTA),
        MetricKind.SUM,
        Temporality.DELTA,
        False,
    ),
    "histogram": (
        histogram_metric("m", [histogram([1, 2, 0, 1], at_s=1)]),
        MetricKind.HISTOGRAM,
        Temporality.CUMULATIVE,
        True,
    ),
    "exponential": (
        exponential_metric("m", [exponential([1, 2], at_s=1, offset=-3, zero_count=4)], temporality=DELTA),
        MetricKind.EXPONENTIAL_HISTOGRAM,
        Temporality.DELTA,
        True,
    ),
    "summary": (summary_metric("m", [summary(7, at_s=1)]), MetricKind.SUMMARY, Temporality.NONE, True),
}


@pytest.mark.parametrize(("metric", "kind", "temporality", "is_monotonic"), KINDS.values(), ids=KINDS)
def test_a_metric_of_every_kind_comes_back_as_it_was_sent(
    store: TelemetryStore, metric: Any, kind: MetricKind, temporality: Temporality, is_monotonic: bool
) -> None:
    sent = type(metric).FromString(metric.SerializeToString())
    assert write(store, metric).point_count == 1
    ((series, (point,)),) = found(store, "m")
    assert (series.kind, series.temporality, series.is_monotonic) == (kind, temporality, is_monotonic)
    assert (series.metric.unit, series.metric.description) == (sent.unit, sent.description)
    assert point == getattr(sent, kind).data_points[0]
    assert not getattr(series.metric, kind).data_points


def test_a_series_says_under_which_resource_and_scope_it_was_sent(store: TelemetryStore) -> None:
    write(store, sum_metric("calls", [number_point(1, at_s=1)]), service="user", scope="grpc", resource={"pid": 7})
    (series,) = store.metric_series()
    assert series.service == "user"
    assert {pair.key: pair.value.int_value for pair in series.resource.attributes if pair.key == "pid"} == {"pid": 7}
    assert (series.scope.name, series.scope.version) == ("grpc", "1")


def test_points_of_other_attributes_resources_scopes_and_units_are_series_of_their_own(store: TelemetryStore) -> None:
    write(store, sum_metric("calls", [number_point(1, at_s=1, attributes={"method": name}) for name in "ab"]))
    write(store, sum_metric("calls", [number_point(1, at_s=1, attributes={"method": "a"})]), service="user")
    write(store, sum_metric("calls", [number_point(1, at_s=1, attributes={"method": "a"})]), scope="other")
    write(store, sum_metric("calls", [number_point(1, at_s=1, attributes={"method": "a"})], unit="By"))
    assert len(store.metric_series()) == 5


def test_the_order_of_attributes_makes_no_other_series(store: TelemetryStore) -> None:
    write(store, sum_metric("calls", [number_point(1, at_s=1, attributes={"a": 1, "b": 2})]))
    write(store, sum_metric("calls", [number_point(2, at_s=2, attributes={"b": 2, "a": 1})]))
    ((series, points),) = found(store, "calls")
    assert [pair.key for pair in series.attributes] == ["a", "b"]
    assert len(points) == 2


def test_exemplars_stay_with_their_point(store: TelemetryStore) -> None:
    kept = exemplar(0.05, at_s=0.5, trace=42)
    write(store, histogram_metric("took", [histogram([0, 1, 0, 0], at_s=1, exemplars=[kept])]))
    ((_, (point,)),) = found(store, "took")
    assert [(each.trace_id, each.as_double) for each in point.exemplars] == [(trace_id(42), 0.05)]  # type: ignore[union-attr]  # a histogram's


def test_points_come_by_time_whatever_the_order_of_their_arrival(store: TelemetryStore) -> None:
    for at_s in (3, 1, 2):
        write(store, sum_metric("calls", [number_point(at_s, at_s=at_s)]))
    assert values(store, "calls") == [1, 2, 3]


def test_points_are_those_within_the_bounds_and_the_last_one_before_them(store: TelemetryStore) -> None:
    write(store, sum_metric("calls", [number_point(at_s, at_s=at_s) for at_s in range(1, 7)]))
    assert values(store, "calls", (moment(3), moment(5))) == [2, 3, 4, 5]
    assert values(store, "calls", (moment(1), moment(1))) == [1]
    assert values(store, "calls", (moment(7), moment(9))) == [6]
    assert values(store, "calls", (0, moment(0.5))) == []


def test_of_slots_the_last_point_of_each_start_is_told(store: TelemetryStore) -> None:
    points = [number_point(at_s, at_s=at_s) for at_s in (1, 2, 3, 10, 11, 19, 20, 21, 30)]
    restarted = number_point(100, at_s=15, start_s=12)
    write(store, sum_metric("calls", [*points, restarted]))
    (series,) = store.metric_series()

    def told(begin_s: float, end_s: float) -> list[int]:
        found = store.metric_points([series.number], moment(begin_s), moment(end_s), 10 * SECOND)
        return [point.as_int for _, slot in found for point in slot]  # type: ignore[union-attr]  # a sum's

    # Before 2 s is 1; then the slots to 12, 22 and 32 s, of which the second began anew in its middle.
    assert told(2, 32) == [2, 11, 100, 21, 30]
    # What stands at the begin belongs to what was before.
    assert told(10, 30) == [10, 100, 20, 30]
    assert told(40, 50) == [30]


def test_of_slots_the_last_point_with_exemplars_is_told_though_others_came_after_it(store: TelemetryStore) -> None:
    traced = [exemplar(0.05, at_s=1, trace=1)]
    points = [
        histogram([at_s, 0, 0, 0], at_s=at_s, exemplars=traced if at_s in (2, 3, 14) else []) for at_s in range(1, 25)
    ]
    write(store, histogram_metric("took", points))
    (series,) = store.metric_series()
    found = store.metric_points([series.number], moment(0), moment(30), 10 * SECOND)
    assert [point.count for _, slot in found for point in slot] == [3, 10, 14, 20, 24]  # type: ignore[union-attr]  # a histogram's


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 3), st.booleans()), max_size=25),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(1, 30),
)
def test_both_adapters_tell_the_same_points(
    tmp_path_factory: pytest.TempPathFactory, times: list[tuple[int, int, bool]], begin: int, length: int, every: int
) -> None:
    traced = [exemplar(0.05, at_s=1, trace=1)]
    plain, indexed = MemoryStore(), SqliteStore(tmp_path_factory.mktemp("drawn") / "store.sqlite")
    try:
        for store in (plain, indexed):
            points = [
                histogram([at_s, 0, 0, 0], at_s=at_s, start_s=start_s, exemplars=traced if is_traced else [])
                for at_s, start_s, is_traced in times
            ]
            write(store, histogram_metric("took", points))
        for slot in (0, every * SECOND):
            asked = ([1], moment(begin), moment(begin + length), slot)
            assert list(indexed.metric_points(*asked)) == list(plain.metric_points(*asked))
    finally:
        indexed.close()


def test_a_point_that_is_sent_again_is_stored_once(store: TelemetryStore) -> None:
    first = write(store, sum_metric("calls", [number_point(1, at_s=1), number_point(2, at_s=2)]))
    again = write(store, sum_metric("calls", [number_point(2, at_s=2), number_point(3, at_s=3)]))
    assert (first.point_count, first.duplicate_count) == (2, 0)
    assert (again.point_count, again.duplicate_count) == (1, 1)
    assert values(store, "calls") == [1, 2, 3]


def test_points_of_one_time_that_began_at_different_times_are_both_kept(store: TelemetryStore) -> None:
    write(store, sum_metric("calls", [number_point(1, at_s=9, start_s=1), number_point(2, at_s=9, start_s=2)]))
    assert values(store, "calls") == [1, 2]


def test_a_number_past_63_bits_of_time_is_no_trouble(store: TelemetryStore) -> None:
    point = number_point(1, at_s=1)
    point.time_unix_nano = 2**64 - 1
    write(store, sum_metric("calls", [point]))
    assert values(store, "calls") == [1]


def test_a_series_that_is_not_known_has_no_points(store: TelemetryStore) -> None:
    assert list(store.metric_points([99], *ALWAYS)) == []


def test_metrics_alone_make_no_service_of_spans_and_no_trace(store: TelemetryStore) -> None:
    written = write(store, sum_metric("calls", [number_point(1, at_s=1)]))
    assert (written.trace_ids, written.span_count, written.log_count) == (frozenset(), 0, 0)
    assert store.services() == []


def test_statistics_count_series_and_points(store: TelemetryStore) -> None:
    before = store.statistics()
    write(store, sum_metric("calls", [number_point(1, at_s=at_s, attributes={"m": at_s % 2}) for at_s in range(4)]))
    after = store.statistics()
    assert (before.series_count, before.point_count) == (0, 0)
    assert (after.series_count, after.point_count) == (2, 4)


def test_age_drops_points_and_the_series_that_have_none_left(store_of: StoreOf, clock: Clock) -> None:
    store = store_of(Retention(max_age_s=60), clock)
    write(store, sum_metric("old", [number_point(1, at_s=1)]), sum_metric("both", [number_point(1, at_s=1)]))
    clock.now_unix_nano += 50 * SECOND
    write(store, sum_metric("both", [number_point(2, at_s=2)]))
    clock.now_unix_nano += 20 * SECOND
    store.expire()
    assert names(store) == ["both"]
    assert values(store, "both") == [2]
    write(store, sum_metric("old", [number_point(3, at_s=3)]))
    assert values(store, "old") == [3]


def test_the_time_in_a_point_does_not_decide_when_it_goes(store_of: StoreOf, clock: Clock) -> None:
    store = store_of(Retention(max_age_s=60), clock)
    write(store, sum_metric("old clock", [number_point(1, at_s=-1e8)]))
    store.expire()
    assert names(store) == ["old clock"]


def test_bytes_drop_what_arrived_first_of_spans_logs_and_points_alike(store_of: StoreOf, clock: Clock) -> None:
    store = store_of(Retention(max_bytes=2_500_000), clock)
    write(store, sum_metric("first", [number_point(1, at_s=1)]))
    for index in range(1, 4000):
        clock.now_unix_nano += MS
        noise = "".join(f"{index * 7919 + key:x}" for key in range(40))
        store.write(
            [resource_spans("order", [span(index, 1, attributes={"noise": noise})])],
            [resource_logs("order", [log_record(noise, trace=index)])],
            [resource_metrics("order", [histogram_metric("took", [histogram([index, 0, 0, 0], at_s=index)])])],
        )
    statistics = store.statistics()
    assert statistics.used_bytes <= 2_500_000
    assert names(store) == ["took"]
    kept = [point.count for _, points in found(store, "took") for point in points]  # type: ignore[union-attr]  # a histogram's
    assert kept == list(range(4000 - len(kept), 4000))
    assert 200 < len(kept) < 3900  # a step drops a thousand traces, and this has room for some twelve hundred
    # What arrived together goes together, but for the steps in which it is dropped.
    assert store.trace(trace_id(3999)) is not None
    assert store.trace(trace_id(1)) is None


def test_metrics_alone_are_bounded_by_bytes_too(store_of: StoreOf, clock: Clock) -> None:
    store = store_of(Retention(max_bytes=500_000), clock)
    for index in range(6000):
        clock.now_unix_nano += MS
        write(store, histogram_metric("took", [histogram([index, 0, 0, 0], at_s=index)]))
    statistics = store.statistics()
    assert statistics.used_bytes <= 500_000
    assert 200 < statistics.point_count < 6000


def test_past_the_bound_on_series_those_that_were_silent_longest_go(
    store: TelemetryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metric_rows, "MAX_SERIES", 3)
    monkeypatch.setattr(metric_rows, "KEPT_SERIES_RATIO", 1.0)
    monkeypatch.setattr(memory_metrics, "MAX_SERIES", 3)
    for name in ("a", "b", "c"):
        write(store, sum_metric(name, [number_point(1, at_s=1)]))
    write(store, sum_metric("a", [number_point(2, at_s=2)]))
    write(store, sum_metric("d", [number_point(1, at_s=1)]))
    assert names(store) == ["a", "c", "d"]
    assert store.statistics().point_count == 4
    write(store, sum_metric("b", [number_point(5, at_s=5)]))
    assert (names(store), values(store, "b")) == (["a", "b", "d"], [5])


def test_reads_of_metrics_go_on_while_it_writes(store: TelemetryStore) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while not stop.is_set():
                known = {each.number for each in store.metric_series()}
                assert {number for number, _ in store.metric_points(known, *ALWAYS)} <= known
        except BaseException as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for index in range(150):
        write(store, sum_metric(f"m{index % 20}", [number_point(index, at_s=index)]))
        assert len(store.metric_series()) == min(20, index + 1)
    stop.set()
    reader.join()
    assert failures == []
