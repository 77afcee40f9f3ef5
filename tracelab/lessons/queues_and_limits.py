"""Queues and limits: a call may wait where no server sees it, or be refused, which its caller sees at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc

from generated.order_pb2 import GetOrderRequest, GetOrderResponse, Order
from generated.order_pb2_grpc import OrderServiceServicer, OrderServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.rpc import status_code_name
from tracelab.learn.core_counts import CORE_STATUS, SERVED, core_counts, core_is_counted
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Fact, Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess

WORK_S = 0.2
LARGE = "5 MB"
COUNTING = {"LAB_GRPC_METRICS": "true", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
# Else a server may also refuse a stream that comes while another is ending, to defend itself, and the call fails.
ONLY_QUEUE = "grpc.http.overload_protection=0"
CODE = "tracelab.lessons.queues_and_limits:Orders"


class Orders(OrderServiceServicer):
    """Takes 200 ms for an order, and has one that is too large to send."""

    def __init__(self, process: ServerProcess) -> None:
        pass

    async def GetOrder(self, request: GetOrderRequest, _context: Any) -> GetOrderResponse:
        """Work, and answer."""
        if request.order_id == LARGE:
            return GetOrderResponse(order=Order(note="x" * 5 * 1024 * 1024))
        await asyncio.sleep(WORK_S)
        return GetOrderResponse(order=Order(order_id=request.order_id))


async def run(lab: Lab) -> Outcome:
    """Send 6 calls over a connection that carries 2, 4 to a server that admits 2, and one for too large an answer."""
    has_core = core_is_counted()
    await lab.start("")
    queueing, refusing = await asyncio.gather(
        lab.servicer(CODE, "order", name="two-streams", channel_options=["grpc.max_concurrent_streams=2", ONLY_QUEUE]),
        lab.servicer(CODE, "order", name="two-rpcs", max_concurrent_rpcs=2, environ=COUNTING if has_core else {}),
    )
    queued, queued_codes = await at_once(lab, "6 calls, 2 streams", queueing.address, 6)
    refused, refused_codes = await at_once(lab, "4 calls, 2 admitted", refusing.address, 4)
    core = (await sent_statuses(lab),) if has_core else ()
    with lab.span("too large an answer") as root:
        stub = OrderServiceStub(lab.channel(refusing.address))
        large_code, details = await outcome(stub.GetOrder(GetOrderRequest(order_id=LARGE), timeout=5))
    large = await lab.whole_trace(root, servers=1)

    clients, servers = of_kind(queued, SpanKind.CLIENT), of_kind(queued, SpanKind.SERVER)
    rejected = [span for span in of_kind(refused, SpanKind.CLIENT) if span.is_error]
    admitted = [span for span in of_kind(refused, SpanKind.CLIENT) if not span.is_error]
    slowest = max(clients, key=lambda span: span.duration_ns)
    its_server = next(span for span in servers if span.parent_span_id == slowest.span_id)
    first_answer_ns = min((span.end_time_unix_nano for span in admitted), default=0)
    facts = (
        equal("2 streams: codes", ["OK"] * 6, queued_codes),
        equal("most CLIENT spans open at once", 6, most_at_once(clients)),
        equal("most SERVER spans open at once", 2, most_at_once(servers)),
        holds(
            "the slowest call: its CLIENT span is longer than its SERVER span",
            "2 times or more",
            f"{slowest.duration_ns / its_server.duration_ns:.1f} times",
            slowest.duration_ns >= 2 * its_server.duration_ns,
        ),
        equal("2 admitted: codes", ["OK", "OK", "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"], refused_codes),
        equal(
            "calls refused before the first answer came",
            2,
            sum(span.end_time_unix_nano < first_answer_ns for span in rejected),
        ),
        equal(
            "an answer of 5 MB",
            ("RESOURCE_EXHAUSTED", True),
            (large_code, "CLIENT: Received message larger than max" in details),
        ),
        *core,
        equal("its SERVER span", "OK", status_code_name(of_kind(large, SpanKind.SERVER)[0].attributes)),
    )
    exhibits = (
        await lab.exhibit("6 calls, 2 streams", queued, lambda span: mark(span, slowest, its_server)),
        await lab.exhibit("4 calls, 2 admitted", refused, mark_refused),
        await lab.exhibit("an answer that the client does not take", large, mark_large),
    )
    return Outcome(facts, exhibits)


async def sent_statuses(lab: Lab) -> Fact:
    """What the refusing server's core says it sent; two spans there have no code, for Python never sees it."""
    sent = await core_counts(lab, SERVED, CORE_STATUS, lambda found: sum(found.values()) >= 5, is_histogram=True)
    return equal("statuses that gRPC's core sent, the first call's too", {"OK": 3, "RESOURCE_EXHAUSTED": 2}, sent)


async def at_once(lab: Lab, title: str, address: str, count: int) -> tuple[Trace, list[str]]:
    """Make several calls at once; their trace, and their codes in alphabetical order."""
    stub = OrderServiceStub(lab.channel(address))
    # Before the server's settings have come, which this call waits for, a client knows of no limit.
    await stub.GetOrder(GetOrderRequest(order_id="first"), timeout=5)
    with lab.span(title) as root:
        calls = (outcome(stub.GetOrder(GetOrderRequest(order_id=str(n)), timeout=10)) for n in range(count))
        codes = sorted(code for code, _ in await asyncio.gather(*calls))
    return await lab.whole_trace(root, servers=count), codes


async def outcome(call: Any) -> tuple[str, str]:
    """The call's code and details."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    return "OK", ""


def of_kind(trace: Trace, kind: SpanKind) -> list[Span]:
    """The spans of a kind."""
    return [span for span in trace.spans if span.kind is kind]


def most_at_once(spans: Sequence[Span]) -> int:
    """How many of these were open at the same moment, at most; one that ends as another starts does not count."""
    moments = [(span.start_time_unix_nano, 1) for span in spans] + [(span.end_time_unix_nano, -1) for span in spans]
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


def mark(span: Span, slowest: Span, its_server: Span) -> str | None:
    """What to look at."""
    if span is slowest:
        return "waits for a free stream, in the client"
    return "and takes no longer than the others: it cannot know of the wait" if span is its_server else None


def mark_refused(span: Span) -> str | None:
    """What to look at where the server refused."""
    if span.kind is SpanKind.CLIENT and span.is_error:
        return "refused at once, and told so"
    if span.kind is SpanKind.SERVER and status_code_name(span.attributes) != "OK":
        return "gRPC refused it before the handler, so that this span has no code"
    return None


def mark_large(span: Span) -> str | None:
    """What to look at where the client refused."""
    if span.kind is SpanKind.CLIENT:
        return "the answer came, and was too large to be taken"
    return "sent it, and says OK" if span.kind is SpanKind.SERVER else None


LESSON = Lesson(
    slug="queues-and-limits",
    chapter=Chapter.WHEN_CALLS_FAIL,
    number=7,
    question="A server allows 2 streams on a connection; 6 calls of 200 ms start at once. What do its own spans show?",
    prediction=Prediction(
        ("6 spans of 200 ms, 2 at a time", "spans of 200, 400 and 600 ms", "2 spans, and 4 calls refused"), "a"
    ),
    run=run,
    notice="Refusing is visible, queueing is not: the calls wait in the client, where no server's span can see them.",
    explain=(
        "A connection carries as many calls as the server's HTTP/2 settings allow; the others queue in the client, OK "
        "in the end, three times as slow, while the server's dashboards say 200 ms. So compare CLIENT with SERVER "
        "spans before you make a handler faster; a second connection may be all that is missing. A limit on RPCs "
        "(maximum_concurrent_rpcs) refuses instead, at once, so that the caller can go elsewhere; core, which sends "
        "that status, counts it and tells no span. And a message over 4 MiB is refused by whoever receives it: the "
        "server that sent it believes that all went well."
    ),
    source="grpc.io guide: Performance Best Practices (streams of a connection); RFC 9113, 5.1.2",
    try_it=TryIt(
        task="Give the 6 calls two connections instead of one, in at_once(). What becomes of the steps?",
        hint='Channels share connections unless they have their own: ("grpc.use_local_subchannel_pool", 1).',
        solution=(
            "A stub for each of two such channels, and every other call on the second: 3 calls a connection, 2 at a "
            "time, so steps of 200 and 400 ms; the fact of 2 SERVER spans at once turns red: now there are 4. With "
            "three connections all take 200 ms."
        ),
    ),
)
