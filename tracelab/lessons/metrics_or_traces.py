"""Metrics or traces: a count of everything, or everything about some; an exemplar leads from one to the other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from opentelemetry import baggage
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanContext, format_trace_id

from generated.user_pb2 import GetUserRequest
from generated.user_pb2_grpc import UserServiceStub
from otel.analysis.model import Span, SpanKind
from otel.instrument.interceptors import aio_client_interceptors
from otel.query import MetricLine, MetricSearch, TraceQuery
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.shop import fill_shop
from tracelab.lessons.sampling import SameIds, span_counts

CALLS = 60
SLOW_EVERY, SLOW_FIRST = 12, 7
DELAY_MS = 400
# A bound of the histogram between what is slow here and what is not.
SLOW_S = 0.25
CLIENT = "metrics-lesson"
DURATION = "rpc.client.call.duration"
# Longer than the lesson: it sends its metrics itself.
NEVER_MS = 3_600_000
WHOLE_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was made: its trace, whether that is kept, and whether it was for the slow user."""

    trace_id: str
    is_kept: bool
    is_slow: bool


async def run(lab: Lab) -> Outcome:
    """Make 60 calls, each twelfth a slow one, keep a quarter of the traces, and ask both what happened."""
    await lab.start("user")
    slow_user, other_user = await fill_shop(lab, users=2, orders_per_user=0)
    calls = await make_calls(lab, slow_user, other_user)
    kept = [call.trace_id for call in calls if call.is_kept]
    slow = [call.trace_id for call in calls if call.is_kept and call.is_slow]

    counted = await lab.ask(lambda query: answer_of(query, "rate"), lambda line: line is not None)
    measured = await lab.ask(lambda query: answer_of(query, "sum"), lambda line: line is not None)
    p99 = await lab.ask(lambda query: answer_of(query, "p99"), lambda line: line is not None)
    assert counted is not None
    assert measured is not None
    assert p99 is not None
    count = round((counted.values[0] or 0) * WHOLE_HOUR_S)
    slowest = max(counted.exemplars, key=lambda exemplar: exemplar.value)
    sizes = await lab.ask(lambda query: span_counts(query, kept), lambda found: all(size == 3 for size in found))
    known = await lab.ask(lambda query: query.metrics.metrics(CLIENT), bool)

    facts = (
        equal("calls that the metric counts", CALLS, count),
        equal("traces that are kept, each whole", len(kept), sizes.count(3)),
        holds("most calls have no trace", f"fewer than {CALLS // 2}", len(kept), len(kept) < CALLS // 2),
        holds("slow calls that have a trace", "some of 5, not all", len(slow), 0 < len(slow) < 5),
        equal("by their mean all calls are fast", True, (measured.values[0] or 0) / count < SLOW_S),
        equal("by the 99th percentile some are slow", True, (p99.values[0] or 0) >= SLOW_S),
        equal("attributes of the metric that tell the user", [], [key for key in known[0].attributes if "user" in key]),
        equal(
            "the slowest exemplar's trace is of a call for the slow user",
            True,
            slowest.trace_id in slow,
        ),
    )
    return Outcome(facts, (await lab.exhibit("behind the slowest exemplar", await lab.trace(slowest.trace_id), mark),))


async def make_calls(lab: Lab, slow_user: str, other_user: str) -> Sequence[Call]:
    """Make the calls one after the other; when they are done all of their telemetry has been sent."""
    endpoint, address = lab.stack.otlp_endpoint, lab.stack.address("user")
    resource = Resource.create({"service.name": CLIENT})
    traces = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(0.25)), id_generator=SameIds(), resource=resource, shutdown_on_exit=False
    )
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint), schedule_delay_millis=100))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint), export_interval_millis=NEVER_MS)
    meters = MeterProvider([reader], resource, shutdown_on_exit=False)
    tracing = aio_client_interceptors(traces, target=address, meter_provider=meters)
    fault = f"UserService/GetUser:delay={DELAY_MS}ms:when=user_id={slow_user}"
    calls = []
    async with grpc.aio.insecure_channel(address, interceptors=tracing) as channel:
        for number in range(CALLS):
            is_slow = number % SLOW_EVERY == SLOW_FIRST
            request = GetUserRequest(user_id=slow_user if is_slow else other_user)
            identity = await ask(traces, channel, request, fault)
            calls.append(Call(format_trace_id(identity.trace_id), identity.trace_flags.sampled, is_slow))
    await asyncio.to_thread(meters.shutdown)
    await asyncio.to_thread(traces.shutdown)
    return calls


async def ask(traces: TracerProvider, channel: grpc.aio.Channel, request: GetUserRequest, fault: str) -> SpanContext:
    """Make one call under a root of its own, which carries the fault as baggage."""
    token = attach(baggage.set_baggage("fault", fault, Context()))
    try:
        with traces.get_tracer("lesson").start_as_current_span("ask for a user") as span:
            await UserServiceStub(channel).GetUser(request, timeout=5)
        return span.get_span_context()
    finally:
        detach(token)


def answer_of(query: TraceQuery, aggregate: str) -> MetricLine | None:
    """The lesson's own calls as one line with one value, for the last hour; None while there is none."""
    lines = query.metrics.query(MetricSearch(DURATION, aggregate, service=CLIENT, step_s=WHOLE_HOUR_S)).lines
    return lines[0] if lines else None


def mark(span: Span) -> str | None:
    """What to look at."""
    return "here it waited; its log line says for whom" if span.kind is SpanKind.SERVER else None


LESSON = Lesson(
    slug="metrics-or-traces",
    chapter=Chapter.READ_A_TRACE,
    number=8,
    question="One call in twelve waits 400 ms and a sampler keeps 25 % of the traces. What tells how often it happens?",
    prediction=Prediction(
        (
            "the traces: each says how long it took",
            "the metric: it counts every call, but not whose",
            "neither, unless all traces are kept",
        ),
        "b",
    ),
    run=run,
    notice="A metric counts every call and forgets each; a trace remembers one. An exemplar is the way between them.",
    explain=(
        "The histogram of call durations has all 60 calls, sampled or not, so rates, error shares and percentiles come "
        "from it. Its mean hides the five that waited; the 99th percentile shows them. It cannot say whose they were: "
        "an attribute for each user would be a series for each user. The SDK keeps, for each bucket, the last "
        "measurement whose span was sampled: the exemplar, with its trace id. So one gets from a slow bucket to a call "
        "that was in it, and there the span and its logs say why."
    ),
    source="OpenTelemetry: Metrics data model, Exemplars; Metrics SDK: ExemplarFilter (trace_based)",
    try_it=TryIt(
        task="Let exemplars be kept of calls whose trace is not. What would they be good for?",
        hint="The SDK's exemplar filter is named by an OTEL_* variable.",
        solution="OTEL_METRICS_EXEMPLAR_FILTER=always_on ./lab up: their trace ids lead to log lines, not to traces.",
    ),
)
