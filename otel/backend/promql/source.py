"""Which series of a store a selector means, with their samples. Safe in any thread; a query makes its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from otel.backend.errors import UnanswerableQueryError
from otel.backend.metric_ports import MetricPoint, MetricSeries, MetricStore, Temporality
from otel.backend.metrics.buckets import layout_of
from otel.backend.promql.naming import family_name, labels_of
from otel.backend.promql.parser import NAME_LABEL
from otel.backend.promql.patterns import Pattern
from otel.backend.promql.samples import HISTOGRAMS, NANOS_PER_MS, LabelledSamples, labelled, names_of
from otel.backend.promql.syntax import Matcher, Selector

MAX_READ_POINTS = 200_000
# Known only once points are read.
LATE_LABELS = ("le", "quantile")


def stored_series(store: MetricStore, matchers: Iterable[Matcher]) -> list[MetricSeries]:
    """Return the series that may satisfy the matchers, by what is known without their points."""
    listed = [matcher for matcher in matchers if matcher.label not in LATE_LABELS]
    return [series for series in store.metric_series() if _may_match(series, listed)]


def select(store: MetricStore, selector: Selector, min_ms: int, max_ms: int) -> list[LabelledSamples]:
    """Return what a selector means, with samples from `min_ms` to `max_ms` and the last before."""
    series = stored_series(store, selector.matchers)
    points = _read(store, series, min_ms, max_ms)
    layouts = {name: layout_of(_points_of(family, points)) for name, family in _families(series).items()}
    found: dict[tuple[tuple[str, str], ...], LabelledSamples] = {}
    for each in series:
        for made in labelled(each, points.get(each.number, ()), layouts.get(family_name(each), ())):
            if made.times_ms and all(matches(matcher, made.labels) for matcher in selector.matchers):
                _add(found, made)
    return [found[key] for key in sorted(found)]


def label_sets(store: MetricStore, selectors: Iterable[Selector]) -> Iterator[Mapping[str, str]]:
    """Yield the labels of what the selectors mean, of everything without any; buckets are those of the last point."""
    for selector in list(selectors) or [Selector(())]:
        for series in stored_series(store, selector.matchers):
            for _, points in store.metric_points([series.number], 2**63 - 1, 2**63 - 1):
                for made in labelled(series, points[-1:], layout_of(points[-1:])):
                    if all(matches(matcher, made.labels) for matcher in selector.matchers):
                        yield made.labels


def matches(matcher: Matcher, labels: Mapping[str, str]) -> bool:
    """Say whether labels satisfy a matcher; a label that is missing is empty."""
    value = labels.get(matcher.label, "")
    if matcher.operator in ("=", "!="):
        return (value == matcher.value) == (matcher.operator == "=")
    return Pattern(matcher.value).matches(value) == (matcher.operator == "=~")


def _may_match(series: MetricSeries, matchers: Sequence[Matcher]) -> bool:
    labels = labels_of(series)
    return any(all(matches(matcher, {**labels, NAME_LABEL: name}) for matcher in matchers) for name in names_of(series))


def _families(series: Iterable[MetricSeries]) -> dict[str, list[MetricSeries]]:
    """Return the histograms by family: buckets that are added up by `le` must have the same bounds."""
    families: dict[str, list[MetricSeries]] = {}
    for each in series:
        if each.kind in HISTOGRAMS:
            families.setdefault(family_name(each), []).append(each)
    return families


def _points_of(series: Iterable[MetricSeries], points: Mapping[int, Sequence[MetricPoint]]) -> Iterable[MetricPoint]:
    return (point for each in series for point in points.get(each.number, ()))


def _read(
    store: MetricStore, series: Sequence[MetricSeries], min_ms: int, max_ms: int
) -> dict[int, Sequence[MetricPoint]]:
    found: dict[int, Sequence[MetricPoint]] = {}
    count = 0
    for each in series:
        # Deltas are added up from the first, so that every query says the same.
        first = 0 if each.temporality is Temporality.DELTA else min_ms * NANOS_PER_MS
        for number, points in store.metric_points([each.number], first, (max_ms + 1) * NANOS_PER_MS - 1):
            found[number] = points
            count += len(points)
        if count > MAX_READ_POINTS:
            raise UnanswerableQueryError(f"the query would read more than {MAX_READ_POINTS} points; ask for less time")
    return found


def _add(found: dict[tuple[tuple[str, str], ...], LabelledSamples], made: LabelledSamples) -> None:
    key = tuple(sorted(made.labels.items()))
    if key not in found:
        found[key] = made
        return
    # Two streams that Prometheus' model cannot tell apart: of one time the later wins.
    merged = dict(zip(found[key].times_ms, found[key].values, strict=True))
    merged |= dict(zip(made.times_ms, made.values, strict=True))
    found[key] = LabelledSamples(made.labels, sorted(merged), [merged[time_ms] for time_ms in sorted(merged)])
