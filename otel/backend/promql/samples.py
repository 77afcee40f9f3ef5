"""Stored series as Prometheus has them: counters that only grow from 0, buckets by `le`, times in milliseconds. Pure.

Deltas are added up from the first that is stored. Where a point says when its series began, a 0 stands there, so that a
rate counts what happened before the first point; Prometheus does so under the name of created-timestamp zero ingestion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from opentelemetry.proto.metrics.v1.metrics_pb2 import SummaryDataPoint

from otel.backend.codec.attribute_text import float_text
from otel.backend.metric_ports import MetricKind, MetricPoint, MetricSeries, Temporality
from otel.backend.metrics.buckets import Layout
from otel.backend.metrics.increases import Sample, cumulated, is_restart, samples_of
from otel.backend.promql.naming import family_name, labels_of
from otel.backend.promql.parser import NAME_LABEL

NANOS_PER_MS = 1_000_000
HISTOGRAMS = (MetricKind.HISTOGRAM, MetricKind.EXPONENTIAL_HISTOGRAM)


@dataclass(frozen=True, slots=True)
class LabelledSamples:
    """A series of Prometheus': labels, the name among them, and samples by time."""

    labels: Mapping[str, str]
    times_ms: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def names_of(series: MetricSeries) -> tuple[str, ...]:
    """Return the names that a series appears under."""
    base = family_name(series)
    if series.kind in HISTOGRAMS:
        return (f"{base}_bucket", f"{base}_count", f"{base}_sum")
    return (base, f"{base}_count", f"{base}_sum") if series.kind is MetricKind.SUMMARY else (base,)


def labelled(series: MetricSeries, points: Sequence[MetricPoint], layout: Layout) -> Iterator[LabelledSamples]:
    """Yield what a series is in Prometheus' model; `layout` is of its buckets, where it has some."""
    samples = samples_of(points, layout)
    if series.temporality is Temporality.DELTA:
        samples = cumulated(samples)
    if series.is_monotonic:
        samples = list(_with_begins(samples))
    base, labels = family_name(series), labels_of(series)
    if series.kind in HISTOGRAMS:
        yield from _histogram(base, labels, samples, layout)
    elif series.kind is MetricKind.SUMMARY:
        yield from _quantiles(base, labels, points)
        yield _taken(f"{base}_count", labels, samples, lambda values: values[0])
        yield _taken(f"{base}_sum", labels, samples, lambda values: values[1])
    else:
        yield _taken(base, labels, samples, lambda values: values[0])


def _histogram(
    base: str, labels: Mapping[str, str], samples: Sequence[Sample], layout: Layout
) -> Iterator[LabelledSamples]:
    for number, bound in enumerate((*layout, float("inf")), 1):
        below = _below(number)
        yield _taken(f"{base}_bucket", {**labels, "le": float_text(bound)}, samples, below)
    yield _taken(f"{base}_count", labels, samples, lambda values: sum(values[:-1]))
    yield _taken(f"{base}_sum", labels, samples, lambda values: values[-1])


def _below(bucket_count: int) -> Callable[[tuple[float, ...]], float]:
    return lambda values: sum(values[:bucket_count])


def _quantiles(base: str, labels: Mapping[str, str], points: Sequence[MetricPoint]) -> Iterator[LabelledSamples]:
    found: dict[float, LabelledSamples] = {}
    for point in points:
        if isinstance(point, SummaryDataPoint):
            for each in point.quantile_values:
                named = {**labels, NAME_LABEL: base, "quantile": float_text(each.quantile)}
                series = found.setdefault(each.quantile, LabelledSamples(named))
                series.times_ms.append(point.time_unix_nano // NANOS_PER_MS)
                series.values.append(each.value)
    yield from found.values()


def _with_begins(samples: Sequence[Sample]) -> Iterator[Sample]:
    """Put a sample of zeros where a series says that it began."""
    before: Sample | None = None
    for sample in samples:
        start = sample.start_unix_nano
        begins = before is None or (is_restart(before, sample) and start > before.time_unix_nano)
        if begins and 0 < start < sample.time_unix_nano:
            yield Sample(start, start, (0.0,) * len(sample.values))
        yield sample
        before = sample


def _taken(
    name: str, labels: Mapping[str, str], samples: Sequence[Sample], take: Callable[[tuple[float, ...]], float]
) -> LabelledSamples:
    # A time has one sample: of those within a millisecond, the last.
    taken = {sample.time_unix_nano // NANOS_PER_MS: take(sample.values) for sample in samples}
    return LabelledSamples({**labels, NAME_LABEL: name}, list(taken), list(taken.values()))
