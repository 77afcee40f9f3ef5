"""Sampling: the root decides once, and everybody after it obeys."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import format_trace_id

from generated.report_pb2 import GetUserReportRequest
from generated.report_pb2_grpc import ReportServiceStub
from otel.analysis.model import LogRecord, Span
from otel.instrument.interceptors import aio_client_interceptors
from otel.query import TraceQuery, TraceSearch
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.shop import fill_shop

CALLS = 40
SPANS_OF_A_CALL = 7


class SameIds(IdGenerator):
    """Ids from a seed, so that the same calls are kept on every run. For lessons only: ids must be random."""

    def __init__(self) -> None:
        self._random = random.Random(7)

    def generate_trace_id(self) -> int:
        """Draw 128 bits."""
        return self._random.getrandbits(128)

    def generate_span_id(self) -> int:
        """Draw 64 bits."""
        return self._random.getrandbits(64)


@dataclass(frozen=True, slots=True)
class Root:
    """What the root decided."""

    trace_id: str
    sampled: bool


async def run(lab: Lab) -> Outcome:
    """Make 40 calls with a sampler that keeps a quarter, and look for the traces and the logs of each."""
    await lab.start()
    (user_id,) = await fill_shop(lab, users=1, orders_per_user=1)
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(0.25)),
        id_generator=SameIds(),
        resource=Resource.create({"service.name": "lesson"}),
    )
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(lab.stack.otlp_endpoint), schedule_delay_millis=100)
    )
    address = lab.stack.address("report")
    tracing = aio_client_interceptors(provider, target=address)
    async with grpc.aio.insecure_channel(address, interceptors=tracing) as channel:
        roots = [await ask(provider, channel, user_id) for _ in range(CALLS)]

    kept = [root.trace_id for root in roots if root.sampled]
    dropped = [root.trace_id for root in roots if not root.sampled]
    lines = [await lines_of(lab, trace_id) for trace_id in dropped]
    sizes = await lab.ask(lambda query: span_counts(query, kept), lambda counts: set(counts) == {SPANS_OF_A_CALL})
    found = await lab.ask(lambda query: span_counts(query, dropped), lambda _: True)
    provider.shutdown()

    agreed = {line["traceparent"].split("-")[1]: int(line["traceparent"][-2:], 16) & 1 for line in entered(lab)}
    facts = (
        equal("kept and dropped are all calls", CALLS, len(kept) + len(dropped)),
        holds(
            "some of each", "at least one of each", f"{len(kept)} kept, {len(dropped)} dropped", bool(kept and dropped)
        ),
        equal(
            "calls whose last service was told what the root decided",
            CALLS,
            sum(agreed.get(r.trace_id) == r.sampled for r in roots),
        ),
        equal("kept traces that are whole", len(kept), sizes.count(SPANS_OF_A_CALL)),
        equal("spans of dropped traces", 0, sum(found)),
        equal("dropped calls that have logs all the same", len(dropped), sum(map(names_its_trace, lines))),
    )
    return Outcome(facts, (await lab.exhibit("one that was kept", await lab.trace(kept[0]), mark),))


async def ask(provider: TracerProvider, channel: grpc.aio.Channel, user_id: str) -> Root:
    """Make one call under a root of its own; the sampler decides when the root starts."""
    with provider.get_tracer("lesson").start_as_current_span("ask for a report", Context()) as span:
        await ReportServiceStub(channel).GetUserReport(GetUserReportRequest(user_id=user_id), timeout=5)
    identity = span.get_span_context()
    return Root(format_trace_id(identity.trace_id), identity.trace_flags.sampled)


async def lines_of(lab: Lab, trace_id: str) -> Sequence[LogRecord]:
    """The log lines of a call, once there are some."""
    return await lab.ask(lambda query: query.logs_of_trace(trace_id).records, bool)


def span_counts(query: TraceQuery, trace_ids: Sequence[str]) -> list[int]:
    """How many spans of each trace the backend has."""
    known = {trace.trace_id: trace.span_count for trace in query.trace_summaries(TraceSearch(limit=1000))}
    return [known.get(trace_id, 0) for trace_id in trace_ids]


def entered(lab: Lab) -> list[dict[str, str]]:
    """What OrderService, the last one asked, was told of each call that came with a trace."""
    return [line for line in lab.witness("order") if line["event"] == "entered" and line["traceparent"]]


def names_its_trace(lines: Sequence[LogRecord]) -> bool:
    """Whether there are lines, each with its ids and with the flag that says that its span was not kept."""
    return bool(lines) and all(line.span_id and not line.flags & 1 for line in lines)


def mark(span: Span) -> str | None:
    """What to look at."""
    return None if span.parent_span_id else "decided here, by the trace id; the six spans below obeyed"


LESSON = Lesson(
    slug="sampling",
    chapter=Chapter.READ_A_TRACE,
    number=6,
    question="Every request crosses three services and a sampler keeps 25 %. What do you find of 40 requests?",
    prediction=Prediction(
        (
            "about a quarter of the spans of each request",
            "some requests whole, of the others no span",
            "from each service a quarter of the requests, not the same ones",
        ),
        "b",
    ),
    run=run,
    notice="The decision is made once, at the root, and travels with the trace; logs do not ask for it.",
    explain=(
        "The ratio sampler compares the trace id with a bound, so it needs no state. ParentBased means: whoever has a "
        "parent obeys the parent's flag, the last bit of traceparent. So a trace is kept whole or not at all. An "
        "unsampled span still has ids and still travels; log lines bear them, with the flag off, and can be found by "
        "trace id though no trace is there. What you lose is the rare: at 25 %, three of four incidents have no trace."
    ),
    source="OpenTelemetry SDK: Sampling (ParentBased, TraceIdRatioBased); W3C Trace Context: sampled flag",
    try_it=TryIt(
        task="Some calls come without a trace. How would you start the services so that they keep 10 % of those?",
        hint="The SDK reads the sampler's name and its argument from two OTEL_* variables.",
        solution="OTEL_TRACES_SAMPLER=parentbased_traceidratio OTEL_TRACES_SAMPLER_ARG=0.1 ./lab up",
    ),
)
