"""Starts the spans of calls: `CallSpan`s under the SDK's tracer, any other tracer's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import SpanLimits, Tracer
from opentelemetry.sdk.trace._tracer_metrics import noop
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, ProxyTracer, Span, SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace import Tracer as ApiTracer
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.util.types import AttributeValue

from otel.instrument.call_spans import CallSpan
from otel.instrument.known_samplers import KnownDecisions
from otel.instrument.span_hooks import SpanHooks

Attributes = Mapping[str, AttributeValue]
# More than interceptors ever set: below this limit a span must count, which is the SDK's business.
MOST_ATTRIBUTES: Final = 32
_FLAGS: Final = tuple(TraceFlags(flags) for flags in range(4))
_SAMPLED: Final = TraceFlags.SAMPLED
_RANDOM: Final = TraceFlags.RANDOM_TRACE_ID


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
        parent = _parent(context)
        ids = tracer.id_generator
        if parent is None:
            trace_id, is_random = ids.generate_trace_id(), ids.is_trace_id_random()
        else:
            trace_id, is_random = parent.trace_id, bool(parent.trace_flags & _RANDOM)
        decision = self._decisions.of(tracer.sampler, parent)
        state: TraceState | None
        sampled: Any = attributes
        if decision is None:
            result = tracer.sampler.should_sample(context, trace_id, name, kind, attributes, ())
            decision, state, sampled = result.decision, result.trace_state, result.attributes
        else:
            state = None if parent is None else parent.trace_state
        flags = (_SAMPLED if decision is Decision.RECORD_AND_SAMPLE else 0) | (_RANDOM if is_random else 0)
        span_context = SpanContext(trace_id, ids.generate_span_id(), False, _FLAGS[flags], state)
        record_end_metrics = tracer._tracer_metrics.start_span(parent, decision)
        if decision is Decision.DROP:
            return NonRecordingSpan(span_context)
        span = CallSpan(tracer, self._hooks, name, span_context, parent, kind, attributes, start_time)
        if record_end_metrics is not noop:
            span._record_end_metrics = record_end_metrics
        if sampled is not attributes and sampled != attributes:  # the sampler's own, which may be anything
            span.first_attributes = {}
            span.set_attributes(sampled)
        for on_start in self._hooks.of(tracer.span_processor).on_start:
            on_start(span, parent_context=context)
        return span


def _parent(context: Context) -> SpanContext | None:
    span = context.get(_SPAN_KEY)
    if type(span) is not NonRecordingSpan and not isinstance(span, Span):
        return None
    parent = span.get_span_context()
    return parent if parent.is_valid else None


def _is_roomy(limits: SpanLimits) -> bool:
    most = limits.max_span_attributes
    return limits.max_span_attribute_length is None and (most is None or most >= MOST_ATTRIBUTES)
