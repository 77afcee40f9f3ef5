"""Starts the spans of calls: `CallSpan`s under the SDK's tracer, any other tracer's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from random import getrandbits
from typing import Any, Final

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import SpanLimits, Tracer
from opentelemetry.sdk.trace._tracer_metrics import NoOpTracerMetrics, noop
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, ProxyTracer, Span, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace import Tracer as ApiTracer
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.trace.span import DEFAULT_TRACE_STATE
from opentelemetry.util.types import AttributeValue

from otel.instrument.call_spans import CallSpan, call_span
from otel.instrument.known_samplers import KnownDecisions
from otel.instrument.span_hooks import SpanHooks

Attributes = Mapping[str, AttributeValue]
# More than interceptors ever set: below this limit a span must count, which is the SDK's business.
MOST_ATTRIBUTES: Final = 32
_FLAGS: Final = tuple(TraceFlags(flags) for flags in range(4))
_SAMPLED: Final = TraceFlags.SAMPLED
_RANDOM: Final = TraceFlags.RANDOM_TRACE_ID
_RECORD_AND_SAMPLE: Final = Decision.RECORD_AND_SAMPLE
_DROP: Final = Decision.DROP
_new_tuple: Final[Any] = tuple.__new__


class CallTracer:
    """Starts spans whose attributes are strings and numbers; safe in any thread.

    The SDK's tracer decides: sampler, ids, processors, limits and resource are its own, read at each start. Under
    another tracer, under tight limits and where the SDK counts its spans, it is asked to start the span itself.
    """

    __slots__ = ("_decisions", "_hooks", "_tracer")

    def __init__(self, tracer: ApiTracer) -> None:
        self._tracer = tracer
        self._hooks = SpanHooks()
        self._decisions = KnownDecisions()

    def start(
        self, name: str, context: Context | None, kind: SpanKind, attributes: Attributes, start_time_unix_nano: int
    ) -> tuple[Span, Context]:
        """Start a span under the one in `context` (None: the current context); return it and its own context.

        `attributes` may be shared by spans and are not changed.
        """
        if context is None:
            context = get_current()
        tracer = self._tracer
        if type(tracer) is ProxyTracer:
            tracer = tracer._tracer  # the provider's, once there is one
        if type(tracer) is Tracer and tracer._tracer_config.is_enabled and _is_roomy(tracer._span_limits):
            span = self._start(tracer, name, context, kind, attributes, start_time_unix_nano)
        else:
            span = tracer.start_span(
                name, context, kind, attributes, start_time=start_time_unix_nano, record_exception=False
            )
        return span, Context({**context, _SPAN_KEY: span})

    def _start(
        self, tracer: Tracer, name: str, context: Context, kind: SpanKind, attributes: Attributes, start_time: int
    ) -> Span:
        # Function by function this would be easier to read, and each costs more than what is in it: once a call.
        parent = None if (found := context.get(_SPAN_KEY)) is None else _parent(found)
        ids = tracer.id_generator
        has_usual_ids = type(ids) is RandomIdGenerator
        if parent is not None:
            trace_id, is_random = parent[0], bool(parent[3] & _RANDOM)
        elif has_usual_ids:
            trace_id, is_random = getrandbits(128) or ids.generate_trace_id(), True
        else:
            trace_id, is_random = ids.generate_trace_id(), ids.is_trace_id_random()
        decision = self._decisions.of(tracer.sampler, parent)
        state: TraceState | None
        sampled: Any = attributes
        if decision is None:
            result = tracer.sampler.should_sample(context, trace_id, name, kind, attributes, ())
            decision, state, sampled = result.decision, result.trace_state, result.attributes
        else:
            state = DEFAULT_TRACE_STATE if parent is None else parent[4]
        flags = _FLAGS[(_SAMPLED if decision is _RECORD_AND_SAMPLE else 0) | (_RANDOM if is_random else 0)]
        span_context = (
            # What `SpanContext` makes of valid ids.
            _new_tuple(SpanContext, (trace_id, getrandbits(64) or ids.generate_span_id(), False, flags, state, True))
            if has_usual_ids and state is not None
            else SpanContext(trace_id, ids.generate_span_id(), False, flags, state)
        )
        metrics = tracer._tracer_metrics
        record_end_metrics = noop if type(metrics) is NoOpTracerMetrics else metrics.start_span(parent, decision)
        if decision is _DROP:
            return NonRecordingSpan(span_context)
        span = call_span(tracer, self._hooks, name, span_context, parent, kind, attributes, start_time)
        if record_end_metrics is not noop:
            span._record_end_metrics = record_end_metrics
        if sampled is not attributes and sampled != attributes:  # the sampler's own, which may be anything
            span.first_attributes = {}
            span.set_attributes(sampled)
        for on_start in self._hooks.of(tracer.span_processor).on_start_in(context):
            on_start(span, parent_context=context)
        return span


def _parent(span: object) -> SpanContext | None:
    if type(span) is CallSpan or type(span) is NonRecordingSpan:
        parent = span._context
    elif isinstance(span, Span):
        parent = span.get_span_context()
    else:
        return None
    return parent if parent is not None and parent[5] else None


@lru_cache(maxsize=8)
def _is_roomy(limits: SpanLimits) -> bool:
    most = limits.max_span_attributes
    return limits.max_span_attribute_length is None and (most is None or most >= MOST_ATTRIBUTES)
