"""Histograms of both kinds as counts between bounds that all of them share. Pure, safe in any thread.

A layout is ascending bounds; n of them make n + 1 buckets, each without its lower bound and with its upper one. Counts
are only put together at bounds that every histogram has, so that none is ever split by a guess.
Sources: opentelemetry.io/docs/specs/otel/metrics/data-model ("Histogram", "ExponentialHistogram"); quantiles:
prometheus/promql/quantile.go, `BucketQuantile`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, HistogramDataPoint

from otel.backend.metric_ports import MetricPoint

Layout = tuple[float, ...]
HistogramPoint = HistogramDataPoint | ExponentialHistogramDataPoint

# As many as SDKs make at most; a wider range is told with coarser ones.
MAX_EXPONENTIAL_BUCKETS = 160
MIN_SCALE = -10


def layout_of(points: Iterable[MetricPoint]) -> Layout:
    """Return the bounds that the histograms among these points have in common; one without buckets has no say."""
    explicit: set[float] | None = None
    exponential: list[ExponentialHistogramDataPoint] = []
    for point in points:
        if isinstance(point, ExponentialHistogramDataPoint):
            exponential.append(point)
        elif isinstance(point, HistogramDataPoint) and point.bucket_counts:
            bounds = point.explicit_bounds
            explicit = set(bounds) if explicit is None else explicit.intersection(bounds)
    shared = _exponential_layout(exponential) if exponential else None
    if explicit is None or shared is None:
        return tuple(sorted(explicit or ())) or (shared or ())
    return tuple(sorted(explicit.intersection(shared)))


def counts_of(point: HistogramPoint, layout: Layout) -> tuple[float, ...]:
    """Return a point's counts by bucket of a layout that `layout_of` made of it and others."""
    counts = [0.0] * (len(layout) + 1)
    if isinstance(point, ExponentialHistogramDataPoint):
        # What is zero or below has no bounds of its own here.
        counts[0] += point.zero_count + sum(point.negative.bucket_counts)
        for index, count in enumerate(point.positive.bucket_counts, point.positive.offset):
            if count:
                counts[bisect_left(layout, _bound(index + 1, point.scale))] += count
    elif point.bucket_counts:
        for bound, count in zip((*point.explicit_bounds, math.inf), point.bucket_counts, strict=True):
            counts[bisect_left(layout, bound)] += count
    else:
        counts[-1] += point.count
    return tuple(counts)


def quantile(share: float, layout: Layout, counts: Sequence[float]) -> float:
    """Return the value below which `share` (0 to 1) of the measurements lie, by linear interpolation in its bucket.

    The lowest bucket begins at 0 where its bound is above; what lies in the highest is told as its lower bound.
    NaN where there are no measurements or no bounds.
    """
    if share < 0 or share > 1:
        return math.copysign(math.inf, share)
    cumulative = list(accumulate(counts))
    if not layout or cumulative[-1] <= 0 or math.isnan(share):
        return math.nan
    rank = share * cumulative[-1]
    # For a share of 0 Prometheus looks at the first bucket even where it is empty, and says NaN.
    search = bisect_left if rank else bisect_right
    bucket = search(cumulative, rank, hi=len(layout))
    if bucket == len(layout):
        return layout[-1]
    if bucket == 0 and layout[0] <= 0:
        return layout[0]
    begin = layout[bucket - 1] if bucket else 0.0
    below = cumulative[bucket - 1] if bucket else 0.0
    inside = cumulative[bucket] - below
    return begin + (layout[bucket] - begin) * ((rank - below) / inside)


def _exponential_layout(points: Sequence[ExponentialHistogramDataPoint]) -> Layout:
    """Return the bounds of the finest scale that all points have and whose buckets are not too many."""
    scale = min(point.scale for point in points)
    ranges = [found for point in points if (found := _used_range(point)) is not None]
    if not ranges:
        return ()
    while True:
        first = min(low >> (own - scale) for low, _, own in ranges)
        last = max(high >> (own - scale) for _, high, own in ranges)
        if last - first < MAX_EXPONENTIAL_BUCKETS or scale <= MIN_SCALE:
            break
        scale -= 1
    bounds = (_bound(index, scale) for index in range(first, last + 2))
    return tuple(bound for bound in dict.fromkeys(bounds) if 0 < bound < math.inf)


def _used_range(point: ExponentialHistogramDataPoint) -> tuple[int, int, int] | None:
    """Return the indexes of the first and last bucket with counts, and their scale."""
    used = [index for index, count in enumerate(point.positive.bucket_counts, point.positive.offset) if count]
    return (used[0], used[-1], point.scale) if used else None


def _bound(index: int, scale: int) -> float:
    """Return the lower bound of a bucket: 2 to the power of index · 2^-scale."""
    exponent = math.ldexp(index, -scale)
    if exponent >= 1024:
        return math.inf
    return 2.0**exponent if exponent > -1075 else 0.0
