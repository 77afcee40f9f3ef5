"""Expressions at moments: a number, or a value for each set of labels. One thread, one query.

A series' value at a moment is its last sample within five minutes before; a range leaves its begin out, as Prometheus 3
does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from otel.backend.errors import UnanswerableQueryError
from otel.backend.metric_ports import MetricStore
from otel.backend.promql.functions import AGGREGATIONS, OPERATIONS, RANGE_FUNCTIONS, histogram_quantile
from otel.backend.promql.parser import NAME_LABEL
from otel.backend.promql.samples import LabelledSamples
from otel.backend.promql.source import select
from otel.backend.promql.syntax import Aggregation, Binary, Call, Expression, Number, Selector

LOOKBACK_MS = 5 * 60 * 1000
# Samples looked at over all moments; more would take many seconds.
MAX_LOOKS = 5_000_000

Labels: TypeAlias = tuple[tuple[str, str], ...]
Vector: TypeAlias = dict[Labels, float]
Value: TypeAlias = float | Vector


class Evaluation:
    """Computes one expression at any number of moments; reads the samples for all of them at once."""

    def __init__(self, store: MetricStore, expression: Expression, begin_ms: int, end_ms: int) -> None:
        self._expression = expression
        self._looks = 0
        self._selected: dict[Selector, list[tuple[Labels, LabelledSamples]]] = {}
        for selector in selectors_of(expression):
            if selector not in self._selected:
                window_ms = selector.range_ms or LOOKBACK_MS
                found = select(store, selector, begin_ms - window_ms + 1, end_ms)
                self._selected[selector] = [(_key(each.labels), each) for each in found]

    def at(self, moment_ms: int) -> Value:
        """Return the expression's value; UnanswerableQueryError where it costs too much or labels meet twice."""
        return self._value(self._expression, moment_ms)

    def samples(self, selector: Selector, moment_ms: int) -> Iterator[tuple[Labels, Sequence[int], Sequence[float]]]:
        """Yield the samples that a range selector has at a moment, by series."""
        begin_ms = moment_ms - selector.range_ms
        for labels, series in self._selected[selector]:
            first, end = bisect_right(series.times_ms, begin_ms), bisect_right(series.times_ms, moment_ms)
            self._count(end - first)
            if end > first:
                yield labels, series.times_ms[first:end], series.values[first:end]

    def _value(self, expression: Expression, moment_ms: int) -> Value:
        if isinstance(expression, Number):
            return expression.value
        if isinstance(expression, Selector):
            return self._instant(expression, moment_ms)
        if isinstance(expression, Call):
            return self._called(expression, moment_ms)
        if isinstance(expression, Aggregation):
            return self._aggregated(expression, moment_ms)
        return self._joined(expression, moment_ms)

    def _instant(self, selector: Selector, moment_ms: int) -> Vector:
        vector: Vector = {}
        for labels, series in self._selected[selector]:
            last = bisect_right(series.times_ms, moment_ms) - 1
            self._count(1)
            if last >= 0 and series.times_ms[last] > moment_ms - LOOKBACK_MS:
                vector[labels] = series.values[last]
        return vector

    def _called(self, call: Call, moment_ms: int) -> Vector:
        if call.function in RANGE_FUNCTIONS:
            (selector,) = call.arguments
            assert isinstance(selector, Selector)
            return self._over_range(call.function, selector, moment_ms)
        share, argument = (self._value(each, moment_ms) for each in call.arguments)
        assert isinstance(share, float)
        assert isinstance(argument, dict)
        return _quantiles(share, argument)

    def _over_range(self, function: str, selector: Selector, moment_ms: int) -> Vector:
        vector: Vector = {}
        for labels, times_ms, values in self.samples(selector, moment_ms):
            value = RANGE_FUNCTIONS[function](times_ms, values, moment_ms - selector.range_ms, moment_ms)
            if value is not None:
                vector[_without(labels, NAME_LABEL)] = value
        return vector

    def _aggregated(self, aggregation: Aggregation, moment_ms: int) -> Vector:
        argument = self._value(aggregation.argument, moment_ms)
        assert isinstance(argument, dict)
        groups: dict[Labels, list[float]] = {}
        for labels, value in argument.items():
            kept = (
                _without(labels, NAME_LABEL, *aggregation.labels)
                if aggregation.without
                else _only(labels, aggregation.labels)
            )
            groups.setdefault(kept, []).append(value)
        compute = AGGREGATIONS[aggregation.operator]
        return {labels: compute(values) for labels, values in groups.items()}

    def _joined(self, binary: Binary, moment_ms: int) -> Value:
        left, right = self._value(binary.left, moment_ms), self._value(binary.right, moment_ms)
        compute = OPERATIONS[binary.operator]
        if isinstance(left, dict) and isinstance(right, dict):
            by_right = _matched(binary, right)
            return {
                labels: compute(value, by_right[labels])
                for labels, value in _matched(binary, left).items()
                if labels in by_right
            }
        if isinstance(left, dict):
            assert isinstance(right, float)
            return {_without(labels, NAME_LABEL): compute(value, right) for labels, value in left.items()}
        if isinstance(right, dict):
            return {_without(labels, NAME_LABEL): compute(left, value) for labels, value in right.items()}
        return compute(left, right)

    def _count(self, looks: int) -> None:
        self._looks += looks
        if self._looks > MAX_LOOKS:
            raise UnanswerableQueryError(
                f"the query would look at more than {MAX_LOOKS} samples; make step longer or the range shorter"
            )


def selectors_of(expression: Expression) -> Iterator[Selector]:
    """Yield every selector of an expression."""
    if isinstance(expression, Selector):
        yield expression
    elif isinstance(expression, Call):
        for argument in expression.arguments:
            yield from selectors_of(argument)
    elif isinstance(expression, Aggregation):
        yield from selectors_of(expression.argument)
    elif isinstance(expression, Binary):
        yield from selectors_of(expression.left)
        yield from selectors_of(expression.right)


def _quantiles(share: float, vector: Vector) -> Vector:
    buckets: dict[Labels, list[tuple[float, float]]] = {}
    for labels, count in vector.items():
        bound = _bound(dict(labels).get("le", ""))
        if bound is not None:
            buckets.setdefault(_without(labels, NAME_LABEL, "le"), []).append((bound, count))
    return {labels: histogram_quantile(share, found) for labels, found in buckets.items()}


def _bound(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _matched(binary: Binary, vector: Vector) -> Vector:
    """Return a side of an operation by the labels that must be equal on both."""
    out: Vector = {}
    for labels, value in vector.items():
        kept = _only(labels, binary.labels) if binary.is_on else _without(labels, NAME_LABEL, *binary.labels)
        if kept in out:
            raise UnanswerableQueryError("multiple matches for labels: one side of an operation has them twice")
        out[kept] = value
    return out


def _key(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _only(labels: Labels, names: Sequence[str]) -> Labels:
    return tuple(pair for pair in labels if pair[0] in names)


def _without(labels: Labels, *names: str) -> Labels:
    return tuple(pair for pair in labels if pair[0] not in names)
