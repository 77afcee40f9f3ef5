"""Sets a span's attributes without the SDK's check of each value: ours are strings and numbers.

That check, by type, is most of what setting attributes costs. Where the SDK would do more than check (a limit that may
be reached, a span that is over, another implementation of the API) its own method is called. The private names are held
by tests/unit/instrument/test_seams.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import _Span
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue


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
