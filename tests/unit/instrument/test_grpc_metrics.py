"""What is done to the figures of gRPC's core before they are recorded."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader

from otel.instrument import SettingsError, grpc_metrics
from otel.instrument.method_names import METHOD_CACHE_SIZE
from otel.instrument.settings import UNTRACED_SERVICES


def recorded(*methods: str) -> dict[str, int]:
    """By method, how often a counter of the provider that core is given was told of it."""
    reader = InMemoryMetricReader()
    provider = grpc_metrics._CoreMeterProvider(MeterProvider([reader]), UNTRACED_SERVICES)
    counter = provider.get_meter("grpc-python").create_counter("grpc.client.attempt.started")
    for method in methods:
        counter.add(1, {"grpc.method": method})
    data = reader.get_metrics_data()
    points: Any = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points if data else ()
    return {point.attributes["grpc.method"]: point.value for point in points}


def test_calls_of_exporters_and_of_services_that_leave_no_span_are_not_counted() -> None:
    export = "opentelemetry.proto.collector.trace.v1.TraceService/Export"

    assert recorded(export, "grpc.health.v1.Health/Check", "t.T/Work", "t.T/Work") == {"t.T/Work": 2}


def test_a_probe_that_names_any_number_of_methods_makes_no_more_series_than_are_remembered() -> None:
    counted = recorded(*(f"t.T/{number}" for number in range(METHOD_CACHE_SIZE + 10)))

    assert counted.pop("other") == 10
    assert len(counted) == METHOD_CACHE_SIZE


def test_durations_and_sizes_have_the_buckets_of_grfc_a66() -> None:
    reader = InMemoryMetricReader()
    meter = grpc_metrics._CoreMeterProvider(MeterProvider([reader]), UNTRACED_SERVICES).get_meter("grpc-python")
    meter.create_histogram("grpc.server.call.duration", "s").record(0.0004, {"grpc.method": "t.T/Work"})
    meter.create_histogram("grpc.server.call.sent", "By").record(5000, {"grpc.method": "t.T/Work"})

    data = reader.get_metrics_data()
    assert data is not None
    points: list[Any] = [m.data.data_points[0] for m in data.resource_metrics[0].scope_metrics[0].metrics]
    assert all(isinstance(point, HistogramDataPoint) for point in points)
    assert [tuple(point.explicit_bounds)[:4] for point in points] == [(0, 1e-05, 5e-05, 1e-04), (0, 1024, 2048, 4096)]


def test_where_the_library_is_not_installed_the_setting_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "grpc_observability":
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "grpc_observability", raising=False)
    with pytest.raises(SettingsError, match="LAB_GRPC_METRICS: grpcio-observability is not installed"):
        grpc_metrics.start_grpc_metrics(MeterProvider(), frozenset())
