"""The spans of calls: the SDK's, without what the SDK does for attributes that might be anything.

A `CallSpan` is started under the SDK's own provider: its sampler, id generator, processors, limits and resource. What
the interceptors set, strings and numbers, stays in plain dictionaries. Whoever else touches the span (an attribute, an
event, a link, an exception, or only a look) meets the SDK's own code and containers, which are made at that moment.
tests/unit/instrument/test_sdk_seams.py holds the private names, tests/contract/test_span*_contract.py the contract.
"""

from __future__ import annotations

import time
from _thread import RLock
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan, Span, Tracer
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from otel.instrument.span_hooks import SpanHooks

Attributes = Mapping[str, AttributeValue]
Made = TypeVar("Made")
_NONE: Final[Attributes] = {}


class _Lazily(Generic[Made]):
    """An attribute that is made at its first use, by one thread; from then on it is an ordinary one."""

    def __init__(self, make: Callable[[Any], Made]) -> None:
        self._make = make

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, span: Any, _owner: type | None = None) -> Any:
        if span is None:
            return self
        with span._lock:
            if self._name not in span.__dict__:
                span.__dict__[self._name] = self._make(span)
        return span.__dict__[self._name]


def _bounded_attributes(span: _State) -> BoundedAttributes:
    limits = span._limits
    made = BoundedAttributes(
        limits.max_span_attributes,
        {**span.first_attributes, **span.late_attributes},
        immutable=False,
        max_value_len=limits.max_span_attribute_length,
    )
    made._immutable = span._end_time is not None
    return made


class _State(ReadableSpan):
    """What a span and its finished form have in common: the same `__dict__`, so that both see what is made late."""

    first_attributes: Attributes
    late_attributes: Attributes = _NONE
    _hooks: SpanHooks
    _lock: Any
    _tracer: Tracer

    # A tracer's, the same for all of its spans.
    _instrumentation_info = property(lambda span: span._tracer.instrumentation_info)
    _instrumentation_scope: Any = property(lambda span: span._tracer._instrumentation_scope)
    _limits: Any = property(lambda span: span._tracer._span_limits)
    _sampler = property(lambda span: span._tracer.sampler)
    _span_processor = property(lambda span: span._tracer.span_processor)

    # What each span of ours starts with.
    _trace_config = None
    _record_exception = False
    _set_status_on_exception = True
    _record_end_metrics: Callable[[], None] | None = None
    _status = Status(StatusCode.UNSET)
    _end_time: int | None = None

    _attributes = _Lazily(_bounded_attributes)
    _events: Any = _Lazily(lambda span: BoundedList(span._limits.max_events))
    _links: Any = _Lazily(lambda span: BoundedList(span._limits.max_links))

    @property
    def is_untouched(self) -> bool:
        """Say whether nothing but the interceptors' own attributes is on this span: no event, no link, no other."""
        return self.__dict__.keys().isdisjoint(MADE_LATE)


MADE_LATE: Final = frozenset({"_attributes", "_events", "_links"})


class EndedCallSpan(_State):
    """A finished span as processors and exporters get it: readable, and no `Span` any more."""


class CallSpan(_State, Span):
    """The span of one call; safe in any thread, as the SDK's is.

    `first_attributes` are those it started with, shared by all spans of a method; `late_attributes` are set at its end.
    """

    def end(self, end_time: int | None = None) -> None:
        """End the span, now or at that moment; a second end is logged and void."""
        with self._lock:
            if self._end_time is None:
                self._finish(end_time)
                is_first = True
            else:
                is_first = False
        if is_first:
            self._tell_ended()
        else:
            super().end(end_time)  # the SDK says it in its words

    def end_with(self, attributes: Attributes, status: Status | None, end_time_unix_nano: int) -> None:
        """Set valid attributes and a status, then end; as three calls of the SDK's methods, of which no one is told."""
        with self._lock:
            is_done = self._end_time is None and "_attributes" not in self.__dict__
            if is_done:
                first = self.first_attributes
                if not first.keys().isdisjoint(attributes):  # as the SDK: what is set again moves to the end
                    self.first_attributes = {key: value for key, value in first.items() if key not in attributes}
                self.late_attributes = attributes
                if status is not None and self._status.status_code is not StatusCode.OK:
                    self._status = status
                self._end_time = end_time_unix_nano
        if is_done:
            self._tell_ended()
            return
        self.set_attributes(attributes)
        if status is not None:
            self.set_status(status)
        self.end(end_time_unix_nano)

    def _finish(self, end_time: int | None) -> None:
        self._end_time = time.time_ns() if end_time is None else end_time
        attributes = self.__dict__.get("_attributes")
        if attributes is not None:
            attributes._immutable = True

    def _tell_ended(self) -> None:
        if self._record_end_metrics is not None:
            self._record_end_metrics()
        hooks = self._hooks.of(self._tracer.span_processor)
        for on_ending in hooks.on_ending:
            on_ending(self)
        ended = self._readable_span()
        for on_end in hooks.on_end:
            on_end(ended)

    def _readable_span(self) -> EndedCallSpan:
        ended = EndedCallSpan.__new__(EndedCallSpan)
        ended.__dict__ = self.__dict__
        return ended


_new: Final[Any] = object.__new__


def call_span(
    tracer: Tracer,
    hooks: SpanHooks,
    name: str,
    context: SpanContext,
    parent: SpanContext | None,
    kind: SpanKind,
    attributes: Attributes,
    start_time_unix_nano: int,
) -> CallSpan:
    """Make a span, past the SDK's constructors: all of its own fields at once."""
    span: CallSpan = _new(CallSpan)
    span.__dict__ = {
        "_lock": RLock(),  # re-entrant: the SDK's methods hold it where they first use what is made late
        "_name": name,
        "_context": context,
        "_parent": parent,
        "_kind": kind,
        "first_attributes": attributes,
        "_start_time": start_time_unix_nano,
        "_hooks": hooks,
        "_tracer": tracer,
        "_resource": tracer.resource,  # a provider's may change
    }
    return span
