"""From points to how much a series grew, and when: deltas and cumulative points, restarts and unknown starts. Pure.

A series' points become samples, each a few numbers at a time (one, or a histogram's buckets and sum), and these become
increases, each over the time in which it happened. Nothing is extrapolated: an increase is spread evenly over its time.
Source: opentelemetry.io/docs/specs/otel/metrics/data-model ("Temporality", "Resets and gaps").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint, SummaryDataPoint

from otel.backend.metric_ports import MetricPoint, Temporality
from otel.backend.metrics.buckets import Layout, counts_of

NO_RECORDED_VALUE = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """What a series showed at a time, since `start_unix_nano` (0: unknown). For a histogram: counts, then the sum."""

    start_unix_nano: int
    time_unix_nano: int
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Increase:
    """How much the values grew after one moment and until another."""

    after_unix_nano: int
    until_unix_nano: int
    values: tuple[float, ...]


def samples_of(points: Iterable[MetricPoint], layout: Layout = ()) -> list[Sample]:
    """Return the points of one series as samples; those that say that nothing was recorded are left out."""
    return [
        Sample(point.start_time_unix_nano, point.time_unix_nano, _values(point, layout))
        for point in points
        if not point.flags & NO_RECORDED_VALUE
    ]


def increases_of(samples: Sequence[Sample], temporality: Temporality) -> list[Increase]:
    """Return by how much a series grew from sample to sample; samples are by time."""
    return _of_deltas(samples) if temporality is Temporality.DELTA else _of_cumulative(samples)


def cumulated(samples: Sequence[Sample]) -> list[Sample]:
    """Return delta samples as cumulative ones that began with the first."""
    out: list[Sample] = []
    for sample in samples:
        total = out[-1].values if out else (0.0,) * len(sample.values)
        grown = tuple(before + value for before, value in zip(total, sample.values, strict=True))
        out.append(Sample(samples[0].start_unix_nano, sample.time_unix_nano, grown))
    return out


def is_restart(before: Sample, sample: Sample) -> bool:
    """Say whether a cumulative series began anew: it says so by its start, or what only grows became less."""
    if sample.start_unix_nano > before.start_unix_nano > 0:
        return True
    counts, counts_before = _only_growing(sample.values), _only_growing(before.values)
    return any(value < previous for value, previous in zip(counts, counts_before, strict=True))


def spread(increase: Increase, begin_unix_nano: int, step_ns: int, step_count: int) -> Iterable[tuple[int, float]]:
    """Yield each step that an increase touches, and the share of it that falls there."""
    after, until = increase.after_unix_nano, increase.until_unix_nano
    if until <= after:
        after = until - 1
    first = max(0, (after - begin_unix_nano) // step_ns)
    last = min(step_count - 1, (until - 1 - begin_unix_nano) // step_ns)
    for step in range(first, last + 1):
        begin = begin_unix_nano + step * step_ns
        yield step, (min(until, begin + step_ns) - max(after, begin)) / (until - after)


def _values(point: MetricPoint, layout: Layout) -> tuple[float, ...]:
    if isinstance(point, NumberDataPoint):
        return (number_of(point),)
    if isinstance(point, SummaryDataPoint):
        return (float(point.count), point.sum)
    return (*counts_of(point, layout), point.sum)


def number_of(point: Any) -> float:
    """Return the number of a data point or exemplar."""
    return float(point.as_int if point.WhichOneof("value") == "as_int" else point.as_double)


def _only_growing(values: tuple[float, ...]) -> tuple[float, ...]:
    """Leave out the sum of a histogram, which measurements below zero make less."""
    return values[:-1] if len(values) > 1 else values


def _of_deltas(samples: Sequence[Sample]) -> list[Increase]:
    increases = []
    previous_unix_nano = 0
    for sample in samples:
        after = sample.start_unix_nano or previous_unix_nano or sample.time_unix_nano
        increases.append(Increase(after, sample.time_unix_nano, sample.values))
        previous_unix_nano = sample.time_unix_nano
    return increases


def _of_cumulative(samples: Sequence[Sample]) -> list[Increase]:
    increases = []
    before: Sample | None = None
    for sample in samples:
        if before is None:
            # Without a start that is known, the first value is only where the others grow from.
            if 0 < sample.start_unix_nano < sample.time_unix_nano:
                increases.append(Increase(sample.start_unix_nano, sample.time_unix_nano, sample.values))
        elif is_restart(before, sample):
            after = max(before.time_unix_nano, sample.start_unix_nano)
            increases.append(Increase(after, sample.time_unix_nano, sample.values))
        else:
            grown = tuple(value - previous for value, previous in zip(sample.values, before.values, strict=True))
            increases.append(Increase(before.time_unix_nano, sample.time_unix_nano, grown))
        before = sample
    return increases
