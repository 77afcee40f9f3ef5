"""A pool of threads: calls wait for one inside the server, where the untouched library does not look."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import grpc

from generated.order_pb2 import GetOrderRequest, GetOrderResponse, Order
from generated.order_pb2_grpc import OrderServiceServicer, OrderServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from tracelab.learn.lab import Lab, Servicer
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.sync_servicer_process import SyncServerProcess

WORK_S = 0.2
THREADS = 4
CALLS = 8
IMPATIENT = 2
IMPATIENCE_S = 0.1
WAIT_KEY = "tracelab.rpc.handler_wait_s"
REACHED_KEY = "tracelab.rpc.handler_reached"
CODE = "tracelab.lessons.sync_pool:Orders"


class Orders(OrderServiceServicer):
    """Takes 200 ms of one thread for an order."""

    def __init__(self, process: SyncServerProcess) -> None:
        self._process = process

    def GetOrder(self, request: GetOrderRequest, context: Any) -> GetOrderResponse:
        """Work, and answer."""
        self._process.saw("entered", context)
        threading.Event().wait(WORK_S)
        return GetOrderResponse(order=Order(order_id=request.order_id))


async def run(lab: Lab) -> Outcome:
    """Send 8 calls and 2 impatient ones to a pool of 4, once told by the untouched library and once corrected."""
    await lab.start("")
    told_stock, told_corrected = await asyncio.gather(
        lab.servicer(CODE, "order", name="stock", threads=THREADS, environ={"LAB_INSTRUMENTATION": "stock"}),
        lab.servicer(CODE, "order", name="corrected", threads=THREADS),
    )
    stock, stock_codes = await crowd(lab, told_stock, servers=CALLS)
    corrected, codes = await crowd(lab, told_corrected, servers=CALLS + IMPATIENT)

    clients = of_kind(corrected, SpanKind.CLIENT)
    stock_servers, servers = of_kind(stock, SpanKind.SERVER), of_kind(corrected, SpanKind.SERVER)
    slowest = max((span for span in clients if not span.is_error), key=lambda span: span.duration_ns)
    waited = [span for span in servers if waited_s(span) > WORK_S / 2]
    never_ran = [span for span in servers if span.attributes.get(REACHED_KEY) is False]
    longest_stock = max(span.duration_ns for span in stock_servers)
    facts = (
        equal("codes", ["DEADLINE_EXCEEDED"] * IMPATIENT + ["OK"] * CALLS, codes),
        equal("codes under the untouched library", codes, stock_codes),
        holds(
            "the slowest call at its client",
            "about 400 ms",
            f"{slowest.duration_ns / 1e6:.0f} ms",
            slowest.duration_ns > 1.8e9 * WORK_S,
        ),
        holds(
            "stock: the longest SERVER span",
            "about 200 ms",
            f"{longest_stock / 1e6:.0f} ms",
            longest_stock < 1.8e9 * WORK_S,
        ),
        equal("stock: SERVER spans of 10 calls", CALLS, len(stock_servers)),
        equal("corrected: SERVER spans of 10 calls", CALLS + IMPATIENT, len(servers)),
        equal("corrected: SERVER spans with half of the work's time or more as handler_wait_s", THREADS, len(waited)),
        equal("corrected: SERVER spans that say handler_reached=false", IMPATIENT, len(never_ran)),
        equal("servicers that were entered, says the witness", CALLS, len(told_corrected.witness())),
    )
    exhibits = (
        await lab.exhibit("told by the untouched library", stock, mark_stock),
        await lab.exhibit("the same, corrected", corrected, mark_corrected),
    )
    return Outcome(facts, exhibits)


async def crowd(lab: Lab, servicer: Servicer, servers: int) -> tuple[Trace, list[str]]:
    """Make 8 calls at once, then two with a deadline of 100 ms while all threads are busy; their trace and codes."""
    stub = OrderServiceStub(lab.channel(servicer.address))
    with lab.span(servicer.name) as root:
        patient = [asyncio.ensure_future(code_of(stub, 10.0)) for _ in range(CALLS)]
        await lab.until(lambda: len(servicer.witness()) >= THREADS, "4 calls in hand")
        codes = await asyncio.gather(*patient, *(code_of(stub, IMPATIENCE_S) for _ in range(IMPATIENT)))
    return await lab.whole_trace(root, servers=servers), sorted(codes)


async def code_of(stub: Any, timeout_s: float) -> str:
    """Make a call and give its status code."""
    try:
        await stub.GetOrder(GetOrderRequest(order_id="1"), timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


def of_kind(trace: Trace, kind: SpanKind) -> list[Span]:
    """The spans of a kind."""
    return [span for span in trace.spans if span.kind is kind]


def waited_s(span: Span) -> float:
    """How long the call waited for its servicer, as its span says."""
    said = span.attributes.get(WAIT_KEY)
    return float(said) if isinstance(said, (int, float)) else 0.0


def mark_stock(span: Span) -> str | None:
    """What to look at where the library tells it."""
    if span.kind is SpanKind.CLIENT and span.is_error:
        return "never ran, and no server span says so"
    return None


def mark_corrected(span: Span) -> str | None:
    """What to look at where the span begins with the call."""
    if span.attributes.get(REACHED_KEY) is False:
        return "its deadline passed before a thread was free: no servicer ever ran"
    if span.kind is SpanKind.SERVER and waited_s(span) > WORK_S / 2:
        return f"waited {waited_s(span) * 1e3:.0f} ms for a thread of the pool"
    return None


LESSON = Lesson(
    slug="sync-pool",
    chapter=Chapter.WHEN_CALLS_FAIL,
    number=8,
    question="A synchronous server has a pool of 4 threads; 8 calls of 200 ms come at once. Which spans show the wait?",
    prediction=Prediction(
        ("in 4 SERVER spans of 400 ms", "nowhere, if the span begins in the pool", "in the 4 calls it refuses"), "b"
    ),
    run=run,
    notice="The untouched library starts its span in a thread of the pool, when the wait is over: 8 spans of 200 ms.",
    explain=(
        "gRPC takes a call in at once and queues it for a thread, without a limit. A span that is started where the "
        "servicer runs cannot know of that, and a call whose deadline passes in the queue never runs, so that it "
        "leaves nothing at all: the server looks fast and idle while its callers give up. gRPC does call an "
        "interceptor when a call arrives, in its serving thread: there the corrected span begins. Its "
        "handler_wait_s is the wait, and "
        "handler_reached=false a call that nobody served. maximum_concurrent_rpcs turns the queue into refusals."
    ),
    source="grpc.io: Python API reference, grpc.server (thread_pool, maximum_concurrent_rpcs)",
    try_it=TryIt(
        task="Give the pool 8 threads (THREADS). Which facts turn red, and what became of the impatient calls?",
        hint="What do they wait for now?",
        solution=(
            "Nobody waits: all 8 calls have a thread, so no span has a wait, and the slowest call takes 200 ms. "
            "The two impatient calls still find every thread busy for 200 ms and still never run: a larger pool "
            "moves the edge, it does not remove it."
        ),
    ),
)
