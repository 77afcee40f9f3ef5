"""Keepalive: how a caller notices that the other end is gone, when nothing tells it so."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from generated.order_pb2 import GetOrderRequest, GetOrderResponse, Order
from generated.order_pb2_grpc import OrderServiceServicer, OrderServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.rpc import status_code_name
from tracelab.learn.lab import Lab, RootSpan
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess
from tracelab.learn.tcp_proxy import TcpProxy

WORK_S = 15.0
DEADLINE_S = 4.0
CODE = "tracelab.lessons.keepalive:Orders"
OWN = ("grpc.use_local_subchannel_pool", 1)
PINGS = (
    OWN,
    ("grpc.keepalive_time_ms", 100),
    ("grpc.http2.ping_timeout_ms", 500),
    ("grpc.http2.max_pings_without_data", 0),
)
# A server allows a ping without data every five minutes, unless told otherwise, and forgives two that come sooner.
TOLERANT = ("grpc.http2.min_ping_interval_without_data_ms=50", "grpc.http2.max_ping_strikes=0")
STRICT = ("grpc.http2.max_ping_strikes=1",)
WORDS = {
    "Stream removed (ping timeout)": "its ping was not answered: it knows long before the deadline",
    "Deadline Exceeded": "to it the silence is a slow server, until the deadline",
    "Too many pings": "the server was well, and hung up",
}


class Orders(OrderServiceServicer):
    """Takes its time."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def GetOrder(self, request: GetOrderRequest, context: Any) -> GetOrderResponse:
        """Work for longer than anybody waits."""
        self._process.saw("entered", context)
        await asyncio.sleep(WORK_S)
        return GetOrderResponse(order=Order(order_id=request.order_id))


async def run(lab: Lab) -> Outcome:
    """Freeze the network under two calls, of which one pings, and let a third ping a server that won't have it."""
    await lab.start("")
    tolerant, strict = await asyncio.gather(
        lab.servicer(CODE, "order", name="tolerant", channel_options=TOLERANT),
        lab.servicer(CODE, "order", name="strict", channel_options=STRICT),
    )
    async with TcpProxy(tolerant.address) as network:
        calls = [
            asyncio.create_task(outcome(lab, "frozen, with pings", network.address, PINGS, DEADLINE_S)),
            asyncio.create_task(outcome(lab, "frozen, without", network.address, (OWN,), DEADLINE_S)),
            asyncio.create_task(outcome(lab, "pings too often", strict.address, PINGS, WORK_S)),
        ]
        await lab.until(lambda: len(tolerant.witness()) == 2, "both calls' arrival at the server")
        network.freeze()
        (pinged, why_pinging), (waited, why_silent), (asked, why_greedy) = await asyncio.gather(*calls)
        network.thaw()
    # Only now have the servers of all three ended as well: the deadline has passed there, too.
    pinging, silent, greedy = [await lab.whole_trace(root, servers=1) for root in (pinged, waited, asked)]

    noticed = client(pinging).end_time_unix_nano < client(silent).end_time_unix_nano
    facts = (
        equal("frozen network, with pings", ("UNAVAILABLE", True), (why_pinging[0], "ping timeout" in why_pinging[1])),
        equal("frozen network, without pings", "DEADLINE_EXCEEDED", why_silent[0]),
        holds(
            "the one that pings notices first", "before the other's deadline", "before" if noticed else "after", noticed
        ),
        equal("a server that allows fewer pings", "UNAVAILABLE", why_greedy[0]),
        equal("and what it says", True, "too_many_pings" in why_greedy[1] or "Too many pings" in why_greedy[1]),
    )
    exhibits = (
        await lab.exhibit("frozen, with pings", pinging, mark),
        await lab.exhibit("frozen, without pings", silent, mark),
        await lab.exhibit("pings too often", greedy, mark),
    )
    return Outcome(facts, exhibits)


async def outcome(
    lab: Lab, title: str, address: str, options: tuple[tuple[str, int], ...], timeout_s: float
) -> tuple[RootSpan, tuple[str, str]]:
    """Make one call that nobody answers; its root span, its code and details."""
    stub = OrderServiceStub(lab.channel(address, options=options))
    with lab.span(title) as root:
        try:
            await stub.GetOrder(GetOrderRequest(order_id="o"), timeout=timeout_s)
            ended = ("OK", "")
        except grpc.aio.AioRpcError as error:
            ended = (error.code().name, error.details() or "")
    return root, ended


def client(trace: Trace) -> Span:
    """The CLIENT span."""
    return next(span for span in trace.spans if span.kind is SpanKind.CLIENT)


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.kind is SpanKind.CLIENT:
        return WORDS.get(span.status_message)
    if span.kind is SpanKind.SERVER and status_code_name(span.attributes) == "DEADLINE_EXCEEDED":
        return "hears nothing of it, and works until the deadline that it was told"
    return None


LESSON = Lesson(
    slug="keepalive",
    chapter=Chapter.RUNNING_IT,
    number=4,
    question="The network goes silent in mid-call, and nothing is closed. When does the client know?",
    prediction=Prediction(
        ("at once: TCP tells it", "at its deadline, unless it pings", "after the server's own timeout"), "b"
    ),
    run=run,
    notice="A dead peer looks like a slow one; only pings tell them apart, and both sides must agree on those.",
    explain=(
        "TCP says nothing when packets vanish: without a deadline this call could wait for ever. With keepalive gRPC "
        "sends an HTTP/2 ping when the connection has been silent, and ends it when no answer comes: UNAVAILABLE, "
        "well before the deadline, and the next call connects anew. How long it waits for the answer is "
        "grpc.http2.ping_timeout_ms here, a minute by default; grpc.keepalive_timeout_ms, which the guide names, did "
        "not end a call when we tried. Pings cost, so a server counts those that come too often, then hangs up with "
        "GOAWAY too_many_pings: a client may ping no more often than its server allows."
    ),
    source="grpc.io guide: Keepalive; gRFC A8, A9",
    try_it=TryIt(
        task="Which two options must you set on the server to let clients ping every 10 s while no call is open?",
        hint="One says how often, the other that no call need be open.",
        solution=(
            "grpc.http2.min_ping_interval_without_data_ms=10000 and grpc.keepalive_permit_without_calls=1. With only "
            "one of them the server hangs up at the third ping."
        ),
    ),
)
