"""Durations are recorded some at a time, and to whoever collects them it looks as if each had been recorded at once."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, AlwaysOnExemplarFilter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

from otel.instrument.call_durations import MOST_WAITING, CallDurations
from otel.instrument.semconv import CALL_DURATION_BUCKETS_S

NAME = "rpc.server.call.duration"
Point = tuple[dict[str, Any], int, float, tuple[int, ...], float, float, list[tuple[Any, ...]]]
SPAN = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("s", None)


class Metrics:
    """A meter provider of the SDK whose readers are asked by hand."""

    def __init__(self, *views: View, readers: int = 1, is_delta: bool = False, **options: Any) -> None:
        temporality: dict[type, AggregationTemporality] = {Histogram: AggregationTemporality.DELTA} if is_delta else {}
        self._readers = [InMemoryMetricReader(preferred_temporality=temporality) for _ in range(readers)]
        self.provider = MeterProvider(self._readers, views=views, shutdown_on_exit=False, **options)
        self.meter = self.provider.get_meter("m")

    def durations(self) -> CallDurations:
        return CallDurations(self.meter, NAME, "Duration.")

    def collected(self, reader: int = 0) -> list[Point]:
        data: Any = self._readers[reader].get_metrics_data()
        if data is None:
            return []
        (metric,) = data.resource_metrics[0].scope_metrics[0].metrics
        assert (metric.name, metric.unit) == (NAME, "s")
        return [
            (
                dict(point.attributes),
                point.count,
                point.sum,
                point.bucket_counts,
                point.min,
                point.max,
                [
                    (e.value, e.filtered_attributes, (e.trace_id, e.span_id) == tuple(SPAN.get_span_context()[:2]))
                    for e in point.exemplars
                ],
            )
            for point in metric.data.data_points
        ]


def counts(points: list[Point]) -> int:
    return sum(point[1] for point in points)


ONE_ATTRIBUTE = View(instrument_name=NAME, attribute_keys={"rpc.method"})
OTHER_BOUNDS = View(
    instrument_name=NAME, aggregation=ExplicitBucketHistogramAggregation((0.1, 1.0), record_min_max=False)
)


@pytest.mark.parametrize(
    ("views", "options"),
    [
        ((), {}),
        ((ONE_ATTRIBUTE,), {}),
        ((OTHER_BOUNDS,), {}),
        ((), {"is_delta": True}),
        ((), {"exemplar_filter": AlwaysOnExemplarFilter()}),
        ((), {"exemplar_filter": AlwaysOffExemplarFilter()}),
    ],
    ids=["plain", "one attribute", "other bounds", "differences", "every exemplar", "no exemplar"],
)
@given(st.lists(st.tuples(st.floats(0, 20), st.booleans()), min_size=1, max_size=3 * MOST_WAITING))
def test_whoever_collects_gets_what_the_sdk_would_have_recorded_one_by_one(
    views: tuple[View, ...], options: dict[str, Any], calls: list[tuple[float, bool]]
) -> None:
    by_us, by_sdk = Metrics(*views, **options), Metrics(*views, **options)
    durations = by_us.durations()
    histogram = by_sdk.meter.create_histogram(NAME, "s", explicit_bucket_boundaries_advisory=CALL_DURATION_BUCKETS_S)
    ports: list[dict[str, Any]] = [{"rpc.method": "a/B", "server.port": port} for port in range(2)]
    outcomes: list[dict[str, Any]] = [{"code": "OK"}, {"code": "UNKNOWN", "error.type": "E"}]
    for number, (duration_s, is_sampled) in enumerate(calls):
        # The interceptors share these among calls, and now and then make another one that is equal.
        method, outcome = ports[number % 2], outcomes[number % 3 % 2]
        context = set_span_in_context(SPAN) if is_sampled else Context()
        durations.record(duration_s, 1, method if number % 5 else dict(method), outcome, context)
        histogram.record(duration_s, {**method, **outcome}, context)
    for _ in range(2):
        assert by_us.collected() == by_sdk.collected()


def test_a_series_that_is_known_does_not_go_through_the_sdks_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    consumer = metrics.provider._measurement_consumer
    asked: list[Any] = []
    consume = consumer.consume_measurement

    def asked_for(measurement: Any) -> None:
        asked.append(measurement)
        consume(measurement)

    monkeypatch.setattr(consumer, "consume_measurement", asked_for)
    durations = metrics.durations()
    for _ in range(5 * MOST_WAITING):
        durations.record(0.1, 1, {}, {}, Context())
    assert len(asked) == 1
    assert counts(metrics.collected()) == 5 * MOST_WAITING


def test_a_reader_that_comes_later_is_told_of_what_comes_later() -> None:
    metrics = Metrics()
    durations = metrics.durations()
    durations.record(0.1, 1, {}, {}, Context())
    assert counts(metrics.collected()) == 1
    later = InMemoryMetricReader()
    metrics.provider.add_metric_reader(later)
    for _ in range(2 * MOST_WAITING):
        durations.record(0.1, 1, {}, {}, Context())
    metrics._readers.append(later)
    assert [counts(metrics.collected(reader)) for reader in (0, 1)] == [1 + 2 * MOST_WAITING, 2 * MOST_WAITING]


def test_an_exemplar_has_the_moment_at_which_the_call_ended() -> None:
    metrics = Metrics()
    metrics.durations().record(0.1, 1_700_000_000_000_000_007, {}, {}, set_span_in_context(SPAN))
    data: Any = metrics._readers[0].get_metrics_data()
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert [exemplar.time_unix_nano for exemplar in point.exemplars] == [1_700_000_000_000_000_007]


def test_a_series_begins_with_its_first_call_and_not_with_the_collection() -> None:
    metrics = Metrics()
    durations = metrics.durations()
    recorded_unix_nano: dict[str, int] = {}
    for method in ("a/B", "a/B", "a/C"):
        durations.record(0.1, 1, {"rpc.method": method}, {}, Context())
        recorded_unix_nano.setdefault(method, time.time_ns())
    data: Any = metrics._readers[0].get_metrics_data()
    points = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    began_unix_nano = {point.attributes["rpc.method"]: point.start_time_unix_nano for point in points}
    assert began_unix_nano.keys() == recorded_unix_nano.keys()
    assert all(began_unix_nano[method] <= recorded_unix_nano[method] for method in recorded_unix_nano)


def test_every_reader_gets_what_waited() -> None:
    metrics = Metrics(readers=2)
    metrics.durations().record(0.1, 1, {}, {}, Context())
    assert [counts(metrics.collected(reader)) for reader in (0, 1)] == [1, 1]


def test_the_channels_of_a_process_share_one_histogram_and_none_of_them_is_forgotten() -> None:
    metrics = Metrics()
    for durations in (metrics.durations(), metrics.durations(), metrics.durations()):
        durations.record(0.1, 1, {}, {}, Context())
    assert counts(metrics.collected()) == 3


def test_what_waits_is_bounded() -> None:
    metrics = Metrics()
    durations = metrics.durations()
    contexts: list[weakref.ref[Context]] = []
    for _ in range(10 * MOST_WAITING):
        context = Context({"number": len(contexts)})
        contexts.append(weakref.ref(context))
        durations.record(0.1, 1, {}, {}, context)
    del context
    gc.collect()
    assert sum(context() is not None for context in contexts) < MOST_WAITING


def test_shutting_the_metrics_down_exports_what_waited() -> None:
    exported: list[int] = []

    class Reader(InMemoryMetricReader):
        def _receive_metrics(self, metrics_data: Any, timeout_millis: float = 0, **kwargs: Any) -> None:
            points = metrics_data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
            exported.append(sum(point.count for point in points))

        def shutdown(self, timeout_millis: float = 0, **kwargs: Any) -> None:
            self.collect(timeout_millis)

    provider = MeterProvider([Reader()], shutdown_on_exit=False)
    CallDurations(provider.get_meter("m"), NAME, "").record(0.1, 1, {}, {}, Context())
    provider.shutdown()
    assert exported == [1]


def test_durations_of_many_threads_and_collections_between_are_each_recorded_once() -> None:
    metrics = Metrics()
    durations = metrics.durations()

    def call() -> None:
        for _ in range(1000):
            durations.record(0.1, 1, {}, {}, Context())

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        metrics.collected()
    for thread in threads:
        thread.join()
    assert counts(metrics.collected()) == 4000


def test_a_histogram_of_another_kind_is_told_of_each_at_once() -> None:
    recorded: list[Any] = []

    class Histogram:
        def record(self, *arguments: Any) -> None:
            recorded.append(arguments)

    class Meter:
        def create_histogram(self, *_arguments: Any, **_options: Any) -> Histogram:
            return Histogram()

    meter: Any = Meter()
    CallDurations(meter, NAME, "").record(0.1, 1, {"a": 1}, {}, Context())
    CallDurations(NoOpMeterProvider().get_meter("m"), NAME, "").record(0.1, 1, {}, {}, Context())
    assert recorded == [(0.1, {"a": 1}, Context())]
