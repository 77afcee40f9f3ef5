"""The caller's context out of gRPC metadata, and ours into it.

Almost every call carries a `traceparent` and nothing else. That case is written out here, for the W3C propagators
alone; the unusual (another propagator, baggage, `tracestate`, another version) is left to the propagator itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from grpc.aio import Metadata as AioMetadata
from opentelemetry import baggage, propagate
from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context, get_current
from opentelemetry.instrumentation.grpc import _client as library
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import Getter, TextMapPropagator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.span import DEFAULT_TRACE_STATE

from otel.instrument.metadata_limits import BAGGAGE, fit_baggage

Metadata = Sequence[tuple[str, Any]]

TRACEPARENT: Final = "traceparent"
_USUAL: Final = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_new: Final[Any] = tuple.__new__
_FLAGS: Final = tuple(TraceFlags(flags) for flags in range(256))


class _JoinedGetter(Getter[dict[str, str]]):
    def get(self, carrier: dict[str, str], key: str) -> list[str] | None:
        value = carrier.get(key)
        return None if value is None else [value]

    def keys(self, carrier: dict[str, str]) -> list[str]:
        return list(carrier)


_GETTER = _JoinedGetter()


class ContextReader:
    """Reads a remote context with one propagator; immutable, safe in any thread."""

    def __init__(self, propagator: TextMapPropagator) -> None:
        self._propagator = propagator
        self._fields = frozenset(propagator.fields)
        self._is_w3c = is_w3c(propagator)

    def extract(self, metadata: Metadata) -> Context:
        """Return the caller's context on top of an empty one, never of the one that the server was started in.

        Metadata is bounded by gRPC itself, baggage by its propagator (8 KiB, 180 members). Of a key that comes twice
        (`baggage`, `tracestate`) the values are joined by a comma, as HTTP says; the library keeps the last one.
        """
        carrier: dict[str, str] = {}
        for key, value in metadata:
            if key in self._fields and isinstance(value, str):
                carrier[key] = f"{carrier[key]},{value}" if key in carrier else value
        if not carrier:
            return Context()
        if self._is_w3c and len(carrier) == 1 and TRACEPARENT in carrier:
            parent = _usual_parent(carrier[TRACEPARENT])
            if parent is not None:
                return Context({_SPAN_KEY: NonRecordingSpan(parent)})
        return self._propagator.extract(carrier, Context(), _GETTER)


def with_context(
    metadata: Iterable[tuple[str, Any]] | None, span_context: SpanContext, context: Context | None = None
) -> AioMetadata:
    """Return a copy of `metadata` with the current context as the global propagator writes it.

    `span_context` is the current span's; `context` is the current one, where it is at hand.
    """
    if context is None:
        context = get_current()
    if not metadata and _is_usual(span_context, context):
        only = AioMetadata()
        entries: Any = only
        entries._metadata[TRACEPARENT] = [_traceparent(span_context)]  # what it does with a pair, without its two calls
        return only
    copied = AioMetadata(*metadata) if metadata else AioMetadata()
    if TRACEPARENT not in copied and _is_usual(span_context, context):  # type: ignore[comparison-overlap]  # keys are what it has
        copied.add(TRACEPARENT, _traceparent(span_context))
    else:
        propagate.inject(copied, setter=library._carrier_setter)
    _keep_within_limits(copied)
    return copied


def _keep_within_limits(metadata: AioMetadata) -> None:
    """Leave out what a server may refuse of the baggage that was just written."""
    written = str(metadata[BAGGAGE]) if BAGGAGE in metadata and baggage.get_all() else None  # type: ignore[comparison-overlap]  # as above
    fitting = fit_baggage(metadata, header=written, span=get_current_span())
    if fitting == written:
        return
    if fitting is None:
        del metadata[BAGGAGE]
    else:
        metadata[BAGGAGE] = fitting


@lru_cache(maxsize=8)
def is_w3c(propagator: TextMapPropagator) -> bool:
    """Say whether `propagator` reads and writes `traceparent` as W3C Trace Context says, and besides only baggage."""
    parts = propagator._propagators if type(propagator) is CompositePropagator else (propagator,)
    kinds = {type(part) for part in parts}
    return TraceContextTextMapPropagator in kinds and kinds <= {TraceContextTextMapPropagator, W3CBaggagePropagator}


def _is_usual(span_context: SpanContext, context: Context) -> bool:
    _, _, _, _, trace_state, is_valid = span_context
    return (
        is_valid
        and (trace_state is DEFAULT_TRACE_STATE or not trace_state)
        and not (_BAGGAGE_KEY in context and baggage.get_all(context))
        and is_w3c(propagate.get_global_textmap())
    )


def _traceparent(span_context: SpanContext) -> str:
    return "00-%032x-%016x-%02x" % (span_context[0], span_context[1], span_context[3])  # noqa: UP031  a third faster than the f-string


def _usual_parent(header: str) -> SpanContext | None:
    if _USUAL.fullmatch(header) is None:
        return None
    trace_id, span_id, flags = int(header[3:35], 16), int(header[36:52], 16), int(header[53:], 16)
    # What `SpanContext` makes of them; so many digits are never too large an id.
    return (
        _new(SpanContext, (trace_id, span_id, True, _FLAGS[flags], DEFAULT_TRACE_STATE, True))
        if trace_id and span_id
        else None
    )


def pairs_with_context(
    metadata: Iterable[tuple[str, Any]] | None, span_context: SpanContext
) -> tuple[tuple[str, Any], ...]:
    """Return `metadata` with the current context, as the synchronous API takes it: pairs, of one key any number.

    `span_context` is the current span's. Where the caller's metadata has a key that the propagator writes, the
    propagator's value takes its place.
    """
    pairs = tuple(metadata) if metadata else ()
    if _is_usual(span_context, get_current()) and all(key != TRACEPARENT for key, _ in pairs):
        sent = (*pairs, (TRACEPARENT, _traceparent(span_context)))
        if pairs:
            fit_baggage(sent, header=None, span=get_current_span())
        return sent
    written: dict[str, str] = {}
    propagate.inject(written, setter=library._carrier_setter)
    kept = tuple(pair for pair in pairs if pair[0] not in written)
    header = written.get(BAGGAGE)
    fitting = fit_baggage((*kept, *written.items()), header=header, span=get_current_span())
    if header is not None and fitting != header:
        written.pop(BAGGAGE)
        written.update({BAGGAGE: fitting} if fitting else {})
    return (*kept, *written.items())
