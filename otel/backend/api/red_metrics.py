"""Rates, errors and durations of the Monitor tab, computed from stored spans. Pure, O(n log n) in spans.

A point's value covers the `rate_per` before it; points stand every `step` from the window's begin to its end. Source:
jaeger internal/extension/jaegerquery, internal/proto/metrics/openmetrics.proto.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from otel.backend.api.parameters import rfc3339
from otel.backend.ports import SpanMeasure

NANOS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """Which moments to compute, in nanoseconds."""

    end_unix_nano: int
    lookback_ns: int
    step_ns: int
    rate_per_ns: int

    @property
    def begin_unix_nano(self) -> int:
        """The first point."""
        return self.end_unix_nano - self.lookback_ns

    def points(self) -> range:
        """Return the moments, oldest first."""
        return range(self.begin_unix_nano, self.end_unix_nano + 1, self.step_ns)


@dataclass(frozen=True, slots=True)
class Series:
    """The spans of one service or operation, by start."""

    spans: Sequence[SpanMeasure]
    starts_unix_nano: Sequence[int]
    error_counts: Sequence[int]

    @classmethod
    def of(cls, spans: Iterable[SpanMeasure]) -> Series:
        """Order spans by start."""
        ordered = sorted(spans, key=lambda span: span.start_unix_nano)
        errors = list(accumulate((int(span.is_error) for span in ordered), initial=0))
        return cls(ordered, [span.start_unix_nano for span in ordered], errors)

    def between(self, after_unix_nano: int, until_unix_nano: int) -> tuple[int, int]:
        """Return the first and one past the last index of spans that started in (after, until]."""
        return bisect_right(self.starts_unix_nano, after_unix_nano), bisect_right(
            self.starts_unix_nano, until_unix_nano
        )


ValueOf = Callable[[Series, int, int], float]


def call_rate(window: Window) -> ValueOf:
    """Return calls per second."""
    return lambda _, begin, end: (end - begin) / (window.rate_per_ns / 1e9)


def error_ratio(series: Series, begin: int, end: int) -> float:
    """Return the share of calls that failed; NaN where there were no calls, 0 in a series without any error."""
    if series.error_counts[-1] == 0:
        return 0.0
    return (series.error_counts[end] - series.error_counts[begin]) / (end - begin) if end > begin else math.nan


def latency_ms(quantile: float) -> ValueOf:
    """Return a quantile of the durations in milliseconds, interpolated; NaN where there were no calls."""

    def value(series: Series, begin: int, end: int) -> float:
        if end == begin:
            return math.nan
        durations = sorted(span.duration_ns for span in series.spans[begin:end])
        place = quantile * (len(durations) - 1)
        low = math.floor(place)
        high = min(low + 1, len(durations) - 1)
        return (durations[low] + (durations[high] - durations[low]) * (place - low)) / NANOS_PER_MS

    return value


def metric_family(
    name: str, description: str, spans: Iterable[SpanMeasure], window: Window, value_of: ValueOf, *, by_operation: bool
) -> dict[str, Any]:
    """Write one OpenMetrics family; `metrics` is a list even when there is nothing to tell."""
    groups: dict[tuple[str, str], list[SpanMeasure]] = {}
    for span in spans:
        groups.setdefault((span.service, span.operation if by_operation else ""), []).append(span)
    metrics = [
        {
            "labels": _labels(service, operation, by_operation),
            "metricPoints": _points(Series.of(group), window, value_of),
        }
        for (service, operation), group in sorted(groups.items())
    ]
    return {"name": name, "type": "GAUGE", "help": description, "metrics": metrics}


def _labels(service: str, operation: str, by_operation: bool) -> list[dict[str, str]]:
    labels = [{"name": "service_name", "value": service}]
    if by_operation:
        labels.append({"name": "operation", "value": operation})
    return labels


def _points(series: Series, window: Window, value_of: ValueOf) -> list[dict[str, Any]]:
    points = []
    for moment in window.points():
        begin, end = series.between(moment - window.rate_per_ns, moment)
        value = value_of(series, begin, end)
        shown = "NaN" if math.isnan(value) else value
        points.append({"gaugeValue": {"doubleValue": shown}, "timestamp": rfc3339(moment)})
    return points
