"""What a span costs on this machine, by the method of `lab compare`."""

from __future__ import annotations

from math import inf
from typing import Any

import grpc
from opentelemetry import trace as otel_trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from generated.user_pb2 import GetUserRequest, GetUserResponse
from generated.user_pb2_grpc import UserServiceServicer, UserServiceStub
from otel.analysis.model import Span, SpanKind
from tracelab.learn.comparison import compare
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess

SPANS = 50
SOME = 6  # twice the "two or three" of the question: a margin for a busy machine
UNSAMPLED = SpanContext(1, 1, is_remote=True, trace_flags=TraceFlags(0))


class Users(UserServiceServicer):
    """Makes as many spans as the request's id says, recorded or not."""

    def __init__(self, process: ServerProcess) -> None:
        self._tracer = process.telemetry.tracer

    async def GetUser(self, request: GetUserRequest, context: Any) -> GetUserResponse:
        """Make them one after the other, with nothing in them."""
        way, count = request.user_id.split()
        under = otel_trace.get_current_span() if way == "recorded" else NonRecordingSpan(UNSAMPLED)
        parent = otel_trace.set_span_in_context(under)
        for number in range(int(count)):
            with self._tracer.start_as_current_span("a piece of work", parent, attributes={"number": number}):
                pass
        return GetUserResponse()


async def run(lab: Lab) -> Outcome:
    """Compare a call without further spans with one that makes 50, and with one whose 50 are not sampled."""
    await lab.start("")
    server = await lab.servicer("tracelab.lessons.span_price:Users", "user")
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = UserServiceStub(channel)

        async def call(work: str) -> None:
            await stub.GetUser(GetUserRequest(user_id=work), timeout=5)

        compared = await compare(
            {
                "none": lambda: call("recorded 0"),
                "recorded": lambda: call(f"recorded {SPANS}"),
                "unsampled": lambda: call(f"unsampled {SPANS}"),
            }
        )
    with lab.span("three pieces") as root:
        await UserServiceStub(lab.channel(server.address)).GetUser(GetUserRequest(user_id="recorded 3"), timeout=5)
    trace = await lab.trace(root.trace_id, lambda trace: len(trace.spans) == 6)

    none, recorded, unsampled = (compared.median_us(name) for name in ("none", "recorded", "unsampled"))
    span_us = (recorded - none) / SPANS
    doubling = none / span_us if span_us > 0 else inf
    facts = (
        holds(
            "a call that makes 50 spans more is",
            "slower, or not resolved on a busy machine",
            compared.text("recorded"),
            compared.agrees_with_slower("recorded"),
        ),
        holds(
            "so a span costs, by the medians",
            f"something, and so little that {SOME} do not double a call",
            f"{span_us:.0f} µs, where a call takes {none:.0f} µs: {doubling:.0f} would double it",
            SOME < doubling < inf,
        ),
        holds(
            "one that is not sampled costs",
            "less",
            f"{max(0.0, unsampled - none) / SPANS:.0f} µs (the call: {compared.text('unsampled')})",
            unsampled < recorded,
        ),
        equal("spans of a call that makes three, with its two sides and the root", 6, len(trace.spans)),
    )
    return Outcome(facts, (await lab.exhibit("a call that makes three spans", trace, mark),))


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.kind is SpanKind.INTERNAL and span.attributes.get("number") == 0:
        return "empty, and yet it has a length; the rest of its price lies outside its bar"
    return None


LESSON = Lesson(
    slug="span-price",
    chapter=Chapter.SHAPES_OF_WORK,
    number=9,
    question="A call on loopback takes about a millisecond. How many spans would double it?",
    prediction=Prediction(
        (
            "two or three",
            "some dozens",
            "any number: spans are exported by another thread",
        ),
        "b",
    ),
    run=run,
    notice="A span is cheap beside a call and dear beside a loop's body: trace what waits, not what computes.",
    explain=(
        "Starting and ending a span takes ids, two clock readings, attributes and a place in the exporter's queue; the "
        "export itself runs in another thread, which in Python shares the interpreter with your handler. So a span "
        "per call is lost in the noise, a span per row is not. One that is not sampled still has its ids and its "
        "context, and costs a part. To find out about your own code do as here: interleave short runs of both in "
        "random order, and believe the interval, not the two numbers."
    ),
    source="docs/compare.md; OpenTelemetry: performance of the API, sampling",
    try_it=TryIt(
        task="What does all our tracing cost a small call, beside the library's own? Let the tool measure it.",
        hint="./lab compare --help lists ready comparisons.",
        solution="./lab compare --preset tracing-tax",
    ),
)
