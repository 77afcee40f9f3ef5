"""Many measurements of one histogram at once, straight into the SDK's own aggregations.

For each measurement the SDK asks the exemplar filter, copies, sorts and hashes the attributes and takes two locks. Here
a series takes them once a batch. Only what the SDK makes of a histogram by default is known: fixed bounds, totals since
the start, the last measurement of each bucket as its exemplar. Everything else goes to the SDK's consumer one by one.
The private names are held by tests/unit/instrument/test_sdk_seams.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes, _ViewInstrumentMatch
from opentelemetry.sdk.metrics._internal.aggregation import _ExplicitBucketHistogramAggregation
from opentelemetry.sdk.metrics._internal.exemplar import (
    AlignedHistogramBucketExemplarReservoir,
    AlwaysOffExemplarFilter,
    ExemplarFilter,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics._internal.instrument import _Histogram
from opentelemetry.sdk.metrics._internal.measurement import Measurement
from opentelemetry.sdk.metrics._internal.measurement_consumer import SynchronousMeasurementConsumer
from opentelemetry.sdk.metrics._internal.metric_reader_storage import MetricReaderStorage
from opentelemetry.util.types import AttributeValue

MOST_SERIES: Final = 2000  # as many as the SDK tells apart in one histogram

Attributes = Mapping[str, AttributeValue]
Measured = tuple[float, int, Context, Attributes]
"""A value, its moment in Unix nanoseconds, the context with the exemplar's span, attributes that stay as they are."""

_Aggregations = tuple[_ExplicitBucketHistogramAggregation, ...]
# They decide by the measurement alone, so that one that is overwritten at once need not be asked about. Where every
# measurement is kept, the SDK gives one without a span the ids of the one before.
_FILTERS: Final = frozenset({AlwaysOffExemplarFilter, TraceBasedExemplarFilter})


class HistogramBatches:
    """Records batches in one histogram of the SDK; safe in any thread."""

    __slots__ = ("_histogram", "_known")

    def __init__(self, histogram: _Histogram) -> None:
        self._histogram = histogram
        # What the aggregations belong to; by the identity of attributes, which are held so that it stays theirs.
        self._known: tuple[object, dict[int, tuple[Attributes, _Aggregations]]] = (None, {})

    def record(self, batch: Sequence[Measured]) -> None:
        """Record a batch in its order, as the SDK would one by one."""
        histogram = self._histogram
        if not histogram._is_enabled():
            return
        consumer: Any = histogram._measurement_consumer
        by_series: dict[_Aggregations, list[Measured]] = {}  # equal attributes may be several objects
        left_to_sdk: list[Measured] = []
        for measured in batch:
            aggregations = self._aggregations(consumer, measured[3])
            if aggregations is None:
                left_to_sdk.append(measured)
            else:
                by_series.setdefault(aggregations, []).append(measured)
        for aggregations, series in by_series.items():
            for aggregation in aggregations:
                _aggregate(aggregation, series, consumer._sdk_config.exemplar_filter)
        for value, time_unix_nano, context, attributes in left_to_sdk:
            consumer.consume_measurement(CheckedMeasurement(value, time_unix_nano, histogram, context, attributes))

    def _aggregations(self, consumer: Any, attributes: Attributes) -> _Aggregations | None:
        """Return where each reader has the series of `attributes`; None where that is the consumer's business."""
        if type(consumer) is not SynchronousMeasurementConsumer:
            return None
        storages = consumer._reader_storages
        owner, by_identity = self._known
        if owner is not storages:  # a reader was added or taken away
            by_identity = {}
            self._known = (storages, by_identity)
        known = by_identity.get(id(attributes))
        if known is not None:
            return known[1]
        if type(consumer._sdk_config.exemplar_filter) not in _FILTERS:
            return None
        found = _found(storages.values(), self._histogram, attributes)
        if found is not None:
            if len(by_identity) >= MOST_SERIES:
                by_identity.clear()
            by_identity[id(attributes)] = (attributes, found)
        return found


class CheckedMeasurement(Measurement):
    """A measurement whose attributes are a dictionary of strings and numbers, which is not changed any more."""

    def __post_init__(self) -> None:
        """Leave out the check of each value by type."""


def _found(storages: Any, histogram: _Histogram, attributes: Attributes) -> _Aggregations | None:
    found: list[_ExplicitBucketHistogramAggregation] = []
    for storage in storages:
        if type(storage) is not MetricReaderStorage:
            return None
        for match in storage._get_or_init_view_instrument_match(histogram):
            # A series of differences begins anew at each collection, and has to be asked for under a lock.
            is_usual = type(match) is _ViewInstrumentMatch and not match._reset_on_collect
            if not is_usual or match._view._attribute_keys is not None:
                return None
            aggregation = match._attributes_aggregation.get(_hash_attributes(attributes))
            if (
                type(aggregation) is not _ExplicitBucketHistogramAggregation
                or type(aggregation._reservoir) is not AlignedHistogramBucketExemplarReservoir
            ):
                return None
            found.append(aggregation)
    return tuple(found)


def _aggregate(
    aggregation: _ExplicitBucketHistogramAggregation, series: Sequence[Measured], exemplar_filter: ExemplarFilter
) -> None:
    """Do what `aggregate` does for each measurement: counts and sum in their order, an exemplar for each bucket."""
    bounds = aggregation._boundaries
    values = [measured[0] for measured in series]
    state: Any = aggregation
    with state._lock:
        if state._value is None:
            state._value = state._get_empty_bucket_counts()
        counts, total = state._value, state._sum
        for value in values:
            total += value
            counts[bisect_left(bounds, value)] += 1
        state._sum = total
        if state._record_min_max:
            state._min = min(state._min, *values)
            state._max = max(state._max, *values)
    filled: set[int] = set()
    for value, time_unix_nano, context, attributes in reversed(series):
        bucket = bisect_left(bounds, value)
        if bucket not in filled and exemplar_filter.should_sample(value, time_unix_nano, attributes, context):
            filled.add(bucket)
            state._reservoir.offer(value, time_unix_nano, attributes, context)
