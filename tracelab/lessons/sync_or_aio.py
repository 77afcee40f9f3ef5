"""The same work on both of gRPC's APIs: how many calls are in hand at once, and who learns that a caller has left."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any

from generated.order_pb2 import GetOrderRequest, GetOrderResponse, ListOrdersRequest, ListOrdersResponse, Order
from generated.order_pb2_grpc import OrderServiceServicer, OrderServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.rpc import status_code_name
from tracelab.learn.lab import Lab, Servicer
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal
from tracelab.learn.servicer_process import ServerProcess
from tracelab.learn.sync_servicer_process import SyncServerProcess

CALLS = 8
THREADS = 8
# So long a call waits for seven others; those that can meet do so much sooner, the others never.
MEETING_S = 8.0
BLOCKED_S = 0.1
POLL_S = 0.01
CODE = "tracelab.lessons.sync_or_aio"


class Awaiting(OrderServiceServicer):
    """On an event loop: waits with `await`, so that others go on meanwhile."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process
        self._in_hand = 0
        self._all_here = asyncio.Event()

    async def GetOrder(self, request: GetOrderRequest, context: Any) -> GetOrderResponse:
        """Wait until 8 calls are in hand."""
        self._process.saw("entered", context)
        self._in_hand += 1
        if self._in_hand == CALLS:
            self._all_here.set()
        async with asyncio.timeout(MEETING_S):
            await self._all_here.wait()
        self._process.saw("left", context)
        return GetOrderResponse(order=Order(order_id=request.order_id))

    async def ListOrders(self, request: ListOrdersRequest, context: Any) -> ListOrdersResponse:
        """Wait for what never comes."""
        self._process.saw("entered", context)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._process.saw("was stopped", context)
            raise
        return ListOrdersResponse()


class Blocking(OrderServiceServicer):
    """On an event loop too, but it waits as a plain function does: with one forgotten `await`, as it were."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def GetOrder(self, request: GetOrderRequest, context: Any) -> GetOrderResponse:
        """Hold the only thread."""
        self._process.saw("entered", context)
        threading.Event().wait(BLOCKED_S)
        self._process.saw("left", context)
        return GetOrderResponse(order=Order(order_id=request.order_id))


class Pooled(OrderServiceServicer):
    """On the synchronous API: each call blocks a thread of its own."""

    def __init__(self, process: SyncServerProcess) -> None:
        self._process = process
        self._all_here = threading.Barrier(CALLS)

    def GetOrder(self, request: GetOrderRequest, context: Any) -> GetOrderResponse:
        """Wait until 8 calls are in hand."""
        self._process.saw("entered", context)
        self._all_here.wait(MEETING_S)
        self._process.saw("left", context)
        return GetOrderResponse(order=Order(order_id=request.order_id))

    def ListOrders(self, request: ListOrdersRequest, context: Any) -> ListOrdersResponse:
        """Work until it asks whether anybody still waits: nothing else tells it."""
        self._process.saw("entered", context)
        while context.is_active():
            threading.Event().wait(POLL_S)
        self._process.saw("asked, and worked on", context)
        return ListOrdersResponse()


async def run(lab: Lab) -> Outcome:
    """Send 8 calls at once to three servers, then leave a call on one server of each API."""
    await lab.start("")
    awaiting, blocking, pooled = await asyncio.gather(
        lab.servicer(f"{CODE}:Awaiting", "order", name="awaits"),
        lab.servicer(f"{CODE}:Blocking", "order", name="blocks"),
        lab.servicer(f"{CODE}:Pooled", "order", name="pool", threads=THREADS),
    )
    crowds = {server.name: await crowd(lab, server) for server in (awaiting, blocking, pooled)}
    at_once = {server.name: most_in_hand(server) for server in (awaiting, blocking, pooled)}
    left_aio, told_aio = await leave(lab, awaiting)
    left_sync, told_sync = await leave(lab, pooled)
    codes = [code for trace in crowds.values() for code in codes_of(trace)]
    facts = (
        equal("codes of the 24 calls", {"OK": 3 * CALLS}, {code: codes.count(code) for code in codes}),
        equal("most calls in hand at once: grpc.aio, the servicer awaits", CALLS, at_once["awaits"]),
        equal("grpc.aio, the servicer blocks", 1, at_once["blocks"]),
        equal(f"the synchronous API, a pool of {THREADS} threads", CALLS, at_once["pool"]),
        equal("a caller leaves: the servicer on grpc.aio", ["entered", "was stopped"], told_aio),
        equal("the servicer in a thread", ["entered", "asked, and worked on"], told_sync),
        equal("the SERVER spans of both", ["CANCELLED"] * 2, [*codes_of(left_aio), *codes_of(left_sync)]),
    )
    exhibits = (
        await lab.exhibit("grpc.aio, and the servicer blocks", crowds["blocks"], mark_blocked),
        await lab.exhibit("a pool of 8 threads", crowds["pool"]),
        await lab.exhibit("a caller leaves a servicer in a thread", left_sync, mark_left),
    )
    return Outcome(facts, exhibits)


async def crowd(lab: Lab, server: Servicer) -> Trace:
    """Make 8 calls at once; their trace."""
    stub = OrderServiceStub(lab.channel(server.address))
    with lab.span(f"8 calls: {server.name}") as root:
        await asyncio.gather(*(stub.GetOrder(GetOrderRequest(order_id="1"), timeout=30.0) for _ in range(CALLS)))
    return await lab.whole_trace(root, servers=CALLS)


async def leave(lab: Lab, server: Servicer) -> tuple[Trace, list[str]]:
    """Cancel a call once its servicer has it; its trace, and what the servicer did."""
    stub = OrderServiceStub(lab.channel(server.address))
    before = len(server.witness())
    with lab.span(f"a caller leaves: {server.name}") as root:
        call = stub.ListOrders(ListOrdersRequest(), timeout=30.0)
        asking = asyncio.ensure_future(_answer(call))
        await lab.until(lambda: len(server.witness()) > before, "the call's arrival")
        call.cancel()
        await asking
    await lab.until(lambda: len(server.witness()) > before + 1, "the servicer's next step")
    return await lab.whole_trace(root, servers=1), [line["event"] for line in server.witness()[before:]]


async def _answer(call: Any) -> None:
    with suppress(asyncio.CancelledError):
        await call


def most_in_hand(server: Servicer) -> int:
    """How many calls had been entered and not left, at most, as the witness wrote it down."""
    in_hand, most = 0, 0
    for line in server.witness():
        in_hand += {"entered": 1, "left": -1}.get(line["event"], 0)
        most = max(most, in_hand)
    return most


def codes_of(trace: Trace) -> list[str]:
    """The codes of a trace's SERVER spans."""
    return [status_code_name(span.attributes) for span in trace.spans if span.kind is SpanKind.SERVER]


def mark_blocked(span: Span) -> str | None:
    """What to look at where one call holds up all others."""
    if span.kind is SpanKind.SERVER and span.duration_ns > 1.5e9 * BLOCKED_S:
        return "it had to wait: another call held the event loop"
    return None


def mark_left(span: Span) -> str | None:
    """What to look at where nobody waits any more."""
    return "its thread was told nothing; it asked is_active()" if span.kind is SpanKind.SERVER else None


LESSON = Lesson(
    slug="sync-or-aio",
    chapter=Chapter.SHAPES_OF_WORK,
    number=10,
    question="A servicer waits 100 ms without `await`; 8 calls come at once. How many has grpc.aio in hand at a time?",
    prediction=Prediction(("8, one task for each", "as many as there are cores", "1"), "c"),
    run=run,
    notice="On grpc.aio what blocks, blocks everybody; in a pool it blocks its own thread, and is told of nothing.",
    explain=(
        "grpc.aio runs every call in one thread, and a call gives that thread to the others only where it awaits. So "
        "8 calls that await are all in hand at once, and 8 that block go one after the other, whatever the number of "
        "cores. A synchronous server gives each call a thread of its pool: blocking is what threads are for, and as "
        "many calls are in hand as there are threads. The price comes when a caller leaves. A task is cancelled: "
        "CancelledError is raised at its `await`. A thread cannot be: it works on for nobody unless it asks "
        "context.is_active(), or has context.add_callback tell it. Both spans say CANCELLED, for that is what became "
        "of the call. Which of the two is faster is another question: lab compare --preset aio-or-sync."
    ),
    source="grpc.io: Python API reference, grpc.aio and grpc.server; asyncio: cancellation",
    try_it=TryIt(
        task="Give the pool 4 threads (THREADS). What becomes of the 8 calls that wait for each other?",
        hint="Who would have to come before anybody may leave?",
        solution=(
            "None is answered: 4 calls hold all threads and wait for 4 others, which wait for a thread. The barrier "
            "breaks after 8 s and every call fails. A pool that waits for work of its own is a deadlock; an event loop "
            "has no such number."
        ),
    ),
)
