"""A span under a provider of its own, started by the SDK's tracer or by that of calls, for what the contract asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
)

from otel.instrument.call_spans import CallSpan
from otel.instrument.call_tracer import CallTracer

NAME, START_NS, END_NS = "a.B/C", 1_000, 2_000
FIRST: Mapping[str, Any] = {"rpc.system.name": "grpc", "rpc.method": "a.B/C", "server.port": 1}
LATE: Mapping[str, Any] = {"rpc.response.status_code": "OK", "tracelab.rpc.sent_message_count": 1}
REMOTE = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("k", "v")]))
LOCAL_OFF = SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(2))

Start = Callable[[TracerProvider, Context, Mapping[str, Any]], Span]


def start_by_sdk(provider: TracerProvider, context: Context, attributes: Mapping[str, Any]) -> Span:
    tracer = provider.get_tracer("scope", "1", "https://s/1")
    return tracer.start_span(NAME, context, SpanKind.SERVER, attributes, start_time=START_NS, record_exception=False)


def start_by_us(provider: TracerProvider, context: Context, attributes: Mapping[str, Any]) -> Span:
    tracer = CallTracer(provider.get_tracer("scope", "1", "https://s/1"))
    return tracer.start(NAME, context, SpanKind.SERVER, attributes, START_NS)[0]


class CountedIds(IdGenerator):
    """1, 2, 3, …"""

    def __init__(self) -> None:
        self._last = 0

    def generate_span_id(self) -> int:
        self._last += 1
        return self._last

    generate_trace_id = generate_span_id


@dataclass
class Traced:
    """A provider, what it exported, and a span that was started under it."""

    start: Start
    limits: SpanLimits = field(default_factory=SpanLimits)
    sampler: Sampler = sampling.ALWAYS_ON
    context: Context = field(default_factory=Context)
    attributes: Mapping[str, Any] = field(default_factory=lambda: FIRST)
    processors: Sequence[SpanProcessor] = ()
    ids: IdGenerator = field(default_factory=CountedIds)

    def __post_init__(self) -> None:
        self.exported = InMemorySpanExporter()
        self.provider = TracerProvider(
            sampler=self.sampler,
            resource=Resource({"service.name": "s"}),
            shutdown_on_exit=False,
            id_generator=self.ids,
            span_limits=self.limits,
        )
        for processor in (*self.processors, SimpleSpanProcessor(self.exported)):
            self.provider.add_span_processor(processor)
        self.span: Any = self.start(self.provider, self.context, self.attributes)

    def finished(self) -> ReadableSpan:
        """End the span if it has not ended, and return what was exported."""
        if self.span.is_recording():
            self.span.end(END_NS)
        (readable,) = self.exported.get_finished_spans()
        return readable


class Own(Sampler):
    """Decides as told, with attributes and a trace state of its own."""

    def __init__(self, decision: Decision, attributes: Mapping[str, Any] | None) -> None:
        self._decision = decision
        self._attributes = attributes

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        if self._attributes is not None:
            attributes = self._attributes
        return SamplingResult(self._decision, attributes, TraceState([("by", "sampler")]))

    def get_description(self) -> str:
        return "Own"


SAMPLERS: Mapping[str, Sampler] = {
    "always on": sampling.ALWAYS_ON,
    "always off": sampling.ALWAYS_OFF,
    "by parent": sampling.DEFAULT_ON,
    "by parent, else off": sampling.DEFAULT_OFF,
    "half": sampling.TraceIdRatioBased(0.5),
    "none": sampling.TraceIdRatioBased(0.0),
    "by parent, else half": sampling.ParentBasedTraceIdRatio(0.5),
    "by parent, turned round": sampling.ParentBased(
        sampling.ALWAYS_OFF,
        remote_parent_sampled=sampling.ALWAYS_OFF,
        remote_parent_not_sampled=sampling.ALWAYS_ON,
        local_parent_sampled=sampling.TraceIdRatioBased(0.0),
        local_parent_not_sampled=Own(Decision.RECORD_ONLY, None),
    ),
    "by parent, else another by parent": sampling.ParentBased(sampling.DEFAULT_OFF),
    "own": Own(Decision.RECORD_AND_SAMPLE, None),
    "own, attributes": Own(Decision.RECORD_AND_SAMPLE, {"rate": 0.5, "odd": object}),
    "own, record only": Own(Decision.RECORD_ONLY, {}),
    "own, drop": Own(Decision.DROP, None),
    "record all": sampling.AlwaysRecordSampler(sampling.ALWAYS_OFF),
}


def perform(span: Any, operation: tuple[Any, ...]) -> None:
    """Do one thing to a span; what the interceptors do in one step is several with the SDK's."""
    name, *arguments = operation
    if name == "look":
        dict(span.attributes), span.events, span.links, span.to_json()
    elif name == "end_with" and not isinstance(span, CallSpan):
        attributes, status, end_time = arguments
        span.set_attributes(attributes)
        if status is not None:
            span.set_status(status)
        span.end(end_time)
    else:
        getattr(span, name)(*arguments)
