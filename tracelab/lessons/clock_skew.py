"""Clocks of different hosts disagree; durations do not."""

from __future__ import annotations

import time
from typing import Any

from generated.order_pb2 import ListOrdersRequest, ListOrdersResponse
from generated.order_pb2_grpc import OrderServiceServicer, OrderServiceStub
from otel.analysis.clock_skew import correct_clock_skew
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.reading import TraceReading
from tracelab.learn.lab import Lab, Servicer
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess

BEHIND_NS = 120_000_000


class OrdersOnASlowClock(OrderServiceServicer):
    """Answers with nothing, in a process whose wall clock is 120 ms behind."""

    def __init__(self, process: ServerProcess) -> None:
        right = time.time_ns
        time.time_ns = lambda: right() - BEHIND_NS

    async def ListOrders(self, request: ListOrdersRequest, context: Any) -> ListOrdersResponse:
        """Answer at once."""
        return ListOrdersResponse()


async def run(lab: Lab) -> Outcome:
    """Call a server whose clock is behind: once as another host, once as a process of this very host."""
    await lab.start("")
    slow = "tracelab.lessons.clock_skew:OrdersOnASlowClock"
    elsewhere = await lab.servicer(
        slow, "order", name="elsewhere", environ={"OTEL_RESOURCE_ATTRIBUTES": "host.name=another-host"}
    )
    here = await lab.servicer(slow, "order", name="here")
    raw = await call(lab, elsewhere)
    same_host = await call(lab, here)

    reading = TraceReading(raw)
    client, server = sides(raw)
    _, moved = sides(reading.skew.trace)
    shift_ns = reading.skew.shifts_ns.get(server.span_id, 0)
    path_ns = sum(step.duration_ns for step in reading.path.steps)
    early_ns = client.start_time_unix_nano - server.start_time_unix_nano
    facts = (
        equal("as received, the server starts", "before its caller", order(server, client)),
        equal("as read, the server starts", "after its caller", order(moved, client)),
        holds(
            "it was moved by at least as much as it was early, and the reading says so",
            "a sentence, and no smaller move",
            reading.skew.note or "not moved",
            bool(reading.skew.note) and shift_ns >= early_ns,
        ),
        equal("the server's duration is untouched, in ns", server.duration_ns, moved.duration_ns),
        equal(
            "the critical path still adds up to the whole, in ns",
            reading.root.duration_ns if reading.root else 0,
            path_ns,
        ),
        equal("spans moved where both sides name the same host", 0, len(correct_clock_skew(same_host).shifts_ns)),
    )
    exhibits = (
        await lab.exhibit("another host: moved into its parent", raw, lambda s: mark(s, "drawn where it fits")),
        await lab.exhibit(
            "the same host: left where it says it was", same_host, lambda s: mark(s, "before its parent")
        ),
    )
    return Outcome(facts, exhibits)


async def call(lab: Lab, server: Servicer) -> Trace:
    """Make one call and read its trace back."""
    with lab.span("list orders") as root:
        await OrderServiceStub(lab.channel(server.address)).ListOrders(ListOrdersRequest(), timeout=5)
    return await lab.whole_trace(root)


def sides(trace: Trace) -> tuple[Span, Span]:
    """The call's CLIENT and SERVER span."""
    by_kind = {span.kind: span for span in trace.spans}
    return by_kind[SpanKind.CLIENT], by_kind[SpanKind.SERVER]


def order(span: Span, other: Span) -> str:
    """Which of two starts first."""
    return f"{'before' if span.start_time_unix_nano < other.start_time_unix_nano else 'after'} its caller"


def mark(span: Span, text: str) -> str | None:
    """What to look at."""
    return text if span.kind is SpanKind.SERVER else None


LESSON = Lesson(
    slug="clock-skew",
    chapter=Chapter.READ_A_TRACE,
    number=7,
    question="In a trace across two hosts a server's span starts 120 ms before its caller's. What is wrong?",
    prediction=Prediction(
        (
            "the hosts' clocks: they differ by about that much",
            "the tracing: the parent must be another span",
            "the server: it answered an earlier call",
        ),
        "a",
    ),
    run=run,
    notice="Durations are true, positions are opinions: each host dates its spans by its own clock.",
    explain=(
        "A span's length is measured on one host and can be trusted; its place comes from a wall clock, and no two "
        "agree. A reader that knows that a child cannot start before its parent moves it inside and says so. Inside is "
        "all it knows: the server is drawn in the middle, so how the wire's time splits into there and back is "
        "unknown. It does so only where the resources name different hosts, since on one host an impossible order is "
        "a bug worth seeing. Jaeger has the same rule, off by default."
    ),
    source="Jaeger: clock skew adjustment; OpenTelemetry: Resource, host",
    try_it=TryIt(
        task="The line below the first waterfall says what nobody can know. What of the wire's time is known still?",
        hint="Which two durations were each measured on a single clock?",
        solution="Its sum: the client's duration minus the server's. Only how it splits into there and back is lost.",
    ),
)
