"""Metrics over time: rates, sums, quantiles and heat maps by step, each with exemplars that lead to traces. Pure.

A step is `step_ns` long, without its begin and with its end; the last one ends at or after the end of the time asked
for. Costs O(points · buckets).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import SummaryDataPoint

from otel.backend.metric_ports import MetricKind, MetricPoint, MetricSeries, Temporality
from otel.backend.metrics.buckets import Layout, layout_of, quantile
from otel.backend.metrics.increases import Sample, cumulated, increases_of, number_of, samples_of, spread

HISTOGRAMS = (MetricKind.HISTOGRAM, MetricKind.EXPONENTIAL_HISTOGRAM)
# Of each step and bucket so many exemplars are told: enough to look at, whatever was sent.
EXEMPLARS_PER_CELL = 2

Points = Mapping[int, Sequence[MetricPoint]]
Values = list[float] | None


class Aggregate(StrEnum):
    """What is made of the points of each step."""

    RATE = "rate"
    SUM = "sum"
    P50 = "p50"
    P95 = "p95"
    P99 = "p99"
    HEATMAP = "heatmap"


QUANTILES = {Aggregate.P50: 0.5, Aggregate.P95: 0.95, Aggregate.P99: 0.99}


@dataclass(frozen=True, slots=True)
class Steps:
    """The time asked for, cut into steps."""

    begin_unix_nano: int
    step_ns: int
    count: int

    def begins(self) -> list[int]:
        """Return when each step begins."""
        return [self.begin_unix_nano + number * self.step_ns for number in range(self.count)]

    def of(self, time_unix_nano: int) -> int | None:
        """Return the step that a moment belongs to; None where it belongs to none."""
        number = (time_unix_nano - 1 - self.begin_unix_nano) // self.step_ns
        return number if 0 <= number < self.count else None


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One measurement, with the span in which it was made; ids are bytes, empty where there was no span."""

    time_unix_nano: int
    value: float
    trace_id: bytes
    span_id: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """What the series of a group show together: a value a step, or for a heat map counts by bucket; None: unknown."""

    values: Sequence[float | Sequence[float] | None]
    exemplars: Sequence[Exemplar]


def layout_of_all(series: Sequence[MetricSeries], points: Points) -> Layout:
    """Return the bounds that the histograms among these series share."""
    return layout_of(point for each in series for point in points.get(each.number, ()))


def line_of(group: Sequence[MetricSeries], points: Points, layout: Layout, aggregate: Aggregate, steps: Steps) -> Line:
    """Return what a group of series shows; all are histograms where the aggregate is of histograms."""
    exemplars = _exemplars(group, points, layout, steps)
    if aggregate is Aggregate.SUM and not any(grows(each) for each in group):
        return Line(_levels(group, points, steps), exemplars)
    totals = _grown(group, points, layout, steps)
    return Line([None if total is None else _told(total, layout, aggregate, steps) for total in totals], exemplars)


def grows(series: MetricSeries) -> bool:
    """Say whether a series counts what happened, so that it has a rate; else it shows a level."""
    return series.is_monotonic


def _told(total: list[float], layout: Layout, aggregate: Aggregate, steps: Steps) -> float | list[float] | None:
    counts = total[: len(layout) + 1]
    if aggregate is Aggregate.HEATMAP:
        return counts
    if aggregate in QUANTILES:
        found = quantile(QUANTILES[aggregate], layout, counts)
        return None if math.isnan(found) else found
    if aggregate is Aggregate.SUM:
        return total[-1]
    # A sum has one number, a histogram's last one is the sum of what was measured.
    count = total[0] if len(total) == 1 else sum(total[:-1])
    return count / (steps.step_ns / 1e9)


def _grown(group: Sequence[MetricSeries], points: Points, layout: Layout, steps: Steps) -> list[Values]:
    totals: list[Values] = [None] * steps.count
    for series in group:
        samples = samples_of(points.get(series.number, ()), layout)
        for increase in increases_of(samples, series.temporality):
            for step, share in spread(increase, steps.begin_unix_nano, steps.step_ns, steps.count):
                grown = [value * share for value in increase.values]
                before = totals[step]
                totals[step] = grown if before is None else [a + b for a, b in zip(before, grown, strict=True)]
    return totals


def _levels(group: Sequence[MetricSeries], points: Points, steps: Steps) -> list[float | None]:
    """Return the sum over the series of the last value that each showed in a step."""
    totals: list[float | None] = [None] * steps.count
    for series in group:
        samples: Sequence[Sample] = samples_of(points.get(series.number, ()))
        if series.temporality is Temporality.DELTA:
            samples = cumulated(samples)
        last = {step: sample.values[0] for sample in samples if (step := steps.of(sample.time_unix_nano)) is not None}
        for step, value in last.items():
            totals[step] = (totals[step] or 0.0) + value
    return totals


def _exemplars(group: Sequence[MetricSeries], points: Points, layout: Layout, steps: Steps) -> list[Exemplar]:
    """Return exemplars within the time, a few for each step and bucket, by time."""
    kept: dict[tuple[int, int], list[Exemplar]] = {}
    seen: set[tuple[int, float, bytes, bytes]] = set()
    for point in (point for series in group for point in points.get(series.number, ())):
        for found in _exemplars_of(point):
            step = steps.of(found.time_unix_nano)
            # An exemplar may be sent with every point until another takes its place.
            identity = (found.time_unix_nano, found.value, found.trace_id, found.span_id)
            if step is None or identity in seen:
                continue
            seen.add(identity)
            cell = kept.setdefault((step, bisect_left(layout, found.value)), [])
            if len(cell) < EXEMPLARS_PER_CELL:
                cell.append(found)
    return sorted((each for cell in kept.values() for each in cell), key=lambda each: each.time_unix_nano)


def _exemplars_of(point: MetricPoint) -> list[Exemplar]:
    if isinstance(point, SummaryDataPoint):
        return []
    return [_exemplar(each) for each in point.exemplars if each.trace_id]


def _exemplar(found: Any) -> Exemplar:
    return Exemplar(found.time_unix_nano, number_of(found), found.trace_id, found.span_id)
