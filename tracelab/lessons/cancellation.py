"""Cancellation: who stops working when the caller stops waiting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import count
from typing import Any

from generated.order_pb2 import GetOrderRequest, GetOrderResponse, Order, StreamOrdersRequest, StreamOrdersResponse
from generated.order_pb2_grpc import OrderServiceServicer, OrderServiceStub
from generated.report_pb2 import GetUserReportRequest
from generated.report_pb2_grpc import ReportServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.rpc import status_code_name
from tracelab.learn.lab import Lab, LessonError
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess
from tracelab.learn.shop import fill_shop

BLOCKED_S = 0.5
SENT_AFTER_BREAK = 20


class Orders(OrderServiceServicer):
    """Streams without an end, and blocks."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def StreamOrders(self, _request: StreamOrdersRequest, context: Any) -> AsyncIterator[StreamOrdersResponse]:
        """Send an order every 10 ms until told to stop."""
        for number in count(1):
            self._process.saw("sent", context, message_number=number)
            yield StreamOrdersResponse(order=Order(order_id=str(number)))
            await asyncio.sleep(0.01)

    async def GetOrder(self, request: GetOrderRequest, context: Any) -> GetOrderResponse:
        """Do not await anything: nothing can tell this handler to stop."""
        self._process.saw("entered", context)
        time.sleep(BLOCKED_S)  # noqa: ASYNC251  the mistake that the lesson shows
        self._process.saw("worked", context)
        return GetOrderResponse(order=Order(order_id=request.order_id))


async def run(lab: Lab) -> Outcome:
    """Cancel a call that is two servers deep, leave a stream's loop, and cancel a handler that blocks."""
    await lab.start()
    (user_id,) = await fill_shop(lab, users=1, orders_per_user=0)
    server = await lab.servicer("tracelab.lessons.cancellation:Orders", "order", name="endless")
    orders = OrderServiceStub(lab.channel(server.address))

    with lab.span("cancel", fault="OrderService/ListOrders:delay=30s") as root:
        call = ReportServiceStub(lab.channel("report")).GetUserReport(GetUserReportRequest(user_id=user_id), timeout=60)
        asking = asyncio.ensure_future(raised_by(call))
        await lab.until(lambda: arrived(lab, root.trace_id), "the call's arrival at OrderService")
        call.cancel()
        raised = await asking
    cancelled = await lab.whole_trace(root, servers=3)

    def sent() -> int:
        return sum(line["event"] == "sent" for line in server.witness())

    with lab.span("break") as root:
        stream = orders.StreamOrders(StreamOrdersRequest(), timeout=60)
        try:
            async for _ in stream:
                break
            left_at, still_open = sent(), not stream.done()
            await lab.until(lambda: sent() >= left_at + SENT_AFTER_BREAK, "20 more messages")
            sent_after = sent() - left_at
        finally:
            stream.cancel()
        with suppress(asyncio.CancelledError):
            await stream.code()
    left = await lab.whole_trace(root, servers=1)

    with lab.span("cancel what blocks") as root:
        blocked = orders.GetOrder(GetOrderRequest(order_id="o"), timeout=60)
        asking = asyncio.ensure_future(raised_by(blocked))
        await lab.until(lambda: any(line["event"] == "entered" for line in server.witness()), "the call's arrival")
        blocked.cancel()
        await asking
    ignored = await lab.whole_trace(root, servers=1)

    codes = [status_code_name(span.attributes) for span in servers(cancelled, "GetUserReport", "ListOrders")]
    work_s = servers(ignored, "GetOrder")[0].duration_ns / 1e9
    outlived = servers(ignored, "GetOrder")[0].end_time_unix_nano > client(ignored).end_time_unix_nano
    finished = sum(line["event"] == "worked" for line in server.witness())
    facts = (
        equal("cancel(): both servers' spans", ["CANCELLED", "CANCELLED"], codes),
        equal("what the waiting caller gets raised", "CancelledError", raised),
        equal("after break the stream is still open", True, still_open),
        holds(
            "messages that the server sent after it",
            f"{SENT_AFTER_BREAK} or more",
            sent_after,
            sent_after >= SENT_AFTER_BREAK,
        ),
        equal("the stream's SERVER span, after cancel()", "CANCELLED", status_code_name(servers(left)[0].attributes)),
        equal("blocking handlers that worked to their end all the same", 1, finished),
        holds(
            "its SERVER span outlives the call, and lasts as long as the work",
            f"at least {BLOCKED_S} s of work, ended after the CLIENT span",
            "it does" if outlived and work_s >= BLOCKED_S else "it does not",
            outlived and work_s >= BLOCKED_S,
        ),
    )
    exhibits = (
        await lab.exhibit("cancel() two servers deep", cancelled, mark),
        await lab.exhibit("break, then cancel()", left, mark),
        await lab.exhibit("cancel() of a handler that blocks", ignored, mark),
    )
    return Outcome(facts, exhibits)


async def raised_by(call: Any) -> str:
    """The name of what awaiting a call raises."""
    try:
        await call
    except asyncio.CancelledError as error:
        return type(error).__name__
    raise LessonError("the call was not cancelled")


def arrived(lab: Lab, trace_id: str) -> bool:
    """Whether OrderService has begun to work on this trace's call."""
    return any(trace_id in (line.get("traceparent") or "") for line in lab.witness("order"))


def servers(trace: Trace, *methods: str) -> list[Span]:
    """The SERVER spans of these methods, or all."""
    spans = [span for span in trace.spans if span.kind is SpanKind.SERVER]
    return [span for span in spans if not methods or span.name.rpartition("/")[2] in methods]


def client(trace: Trace) -> Span:
    """The CLIENT span."""
    return next(span for span in trace.spans if span.kind is SpanKind.CLIENT)


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.kind is SpanKind.SERVER and span.name.endswith("/ListOrders"):
        return "asked to work for 30 s, and told to stop"
    if span.kind is SpanKind.SERVER and span.name.endswith("/GetOrder"):
        return "nobody is waiting any more; it works on"
    if span.kind is SpanKind.SERVER and span.name.endswith("/StreamOrders"):
        return "its one reader left at the first message; it sent on until cancel()"
    return None


LESSON = Lesson(
    slug="cancellation",
    chapter=Chapter.WHEN_CALLS_FAIL,
    number=3,
    question="A client leaves its `async for` over a stream with `break`. What does the server do?",
    prediction=Prediction(
        ("it stops at once", "it stops at its next message, which nobody takes", "it goes on sending"), "c"
    ),
    run=run,
    notice="Leaving the loop is not hanging up: cancel in `finally`.",
    explain=(
        "cancel() sends a reset; the server's gRPC cancels the handler's task, and with it the call that the handler "
        "awaits, so it travels down in a moment. A loop that is left says nothing to anyone: grpc.aio keeps "
        "the call alive, even one that you hold no more, and the server sends until flow control or a deadline stops "
        "it. A task can only be cancelled where it awaits: a handler that blocks works to its end, and keeps every "
        "other call of its process waiting. In grpc.aio a cancelled call raises CancelledError, which is not an "
        "RpcError and passes by `except RpcError`."
    ),
    source="grpc.io guide: Cancellation",
    try_it=TryIt(
        task="Write a loop over StreamOrders that takes ten orders and leaves the server with nothing to do.",
        hint="The stream is a call: it has cancel(), and a `finally` runs after `break` too.",
        solution=(
            "call = stub.StreamOrders(request, timeout=5)\n"
            "try:\n"
            "    async for answer in call:\n"
            "        orders.append(answer.order)\n"
            "        if len(orders) == 10:\n"
            "            break\n"
            "finally:\n"
            "    call.cancel()   # does nothing to a call that has ended"
        ),
    ),
)
