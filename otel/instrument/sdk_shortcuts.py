"""Two things that the SDK does with attributes, without its check of each value: ours are strings and numbers.

That check, by type, is a quarter of what recording a duration costs and most of what setting attributes costs. Where
the SDK would do more than check (a limit that may be reached, a span that is over, another implementation of the API)
its own method is called. The private names are held by tests/unit/instrument/test_seams.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import time_ns

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics._internal.instrument import _Histogram
from opentelemetry.sdk.metrics._internal.measurement import Measurement
from opentelemetry.sdk.trace import _Span
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue


class _CheckedMeasurement(Measurement):
    """A measurement whose attributes are a dictionary of strings and numbers, which is not changed any more."""

    def __post_init__(self) -> None:
        """Check nothing."""


def record_duration(
    histogram: Histogram, duration_s: float, attributes: Mapping[str, AttributeValue], context: Context
) -> None:
    """Record a duration of at least 0 as `histogram.record` does; safe in any thread.

    `attributes` are strings and numbers, and are the SDK's from now on. `context` holds the span of the exemplar.
    """
    if type(histogram) is not _Histogram or not histogram._is_enabled():
        histogram.record(duration_s, attributes, context)
        return
    measurement = _CheckedMeasurement(duration_s, time_ns(), histogram, context, attributes)
    histogram._measurement_consumer.consume_measurement(measurement)


def set_attributes(span: Span, attributes: Mapping[str, AttributeValue]) -> None:
    """Set attributes as `span.set_attributes` does, where all values are strings and numbers; safe in any thread."""
    if type(span) is not _Span or not _took(span, attributes):
        span.set_attributes(attributes)


def _took(span: _Span, attributes: Mapping[str, AttributeValue]) -> bool:
    bounded = span._attributes
    if type(bounded) is not BoundedAttributes or bounded.max_value_len is not None:
        return False
    with span._lock, bounded._lock:
        if span._end_time is not None:
            return False
        if bounded.maxlen is not None and len(bounded._dict) + len(attributes) > bounded.maxlen:
            return False
        bounded._dict.update(attributes)
    return True
