"""A stream is one call: the first row comes early, and either side may end it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from generated.order_pb2 import (
    ImportOrdersRequest,
    ImportOrdersResponse,
    Order,
    StreamOrdersRequest,
    StreamOrdersResponse,
)
from generated.order_pb2_grpc import OrderServiceServicer, OrderServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.rpc import rpc_facts
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess

ROWS = 50
UPLOADED_ROWS = 1_000
BAD_ROW = 3


class Orders(OrderServiceServicer):
    """Sends rows as it finds them, and answers an upload as soon as a row is bad."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def StreamOrders(self, request: StreamOrdersRequest, context: Any) -> AsyncIterator[StreamOrdersResponse]:
        """Find a row every 5 ms."""
        for number in range(ROWS):
            yield StreamOrdersResponse(order=Order(order_id=f"o-{number}"))
            await asyncio.sleep(0.005)

    async def ImportOrders(self, request_iterator: Any, context: Any) -> ImportOrdersResponse:
        """Count good rows until a bad one; what the client has not sent yet is nobody's business then."""
        good = 0
        async for row in request_iterator:
            if row.amount_minor_units <= 0:
                return ImportOrdersResponse(created_count=good, rejected_count=1)
            good += 1
        return ImportOrdersResponse(created_count=good)


async def rows() -> AsyncIterator[ImportOrdersRequest]:
    """A thousand rows, read from a file if you like, of which the third is bad."""
    for number in range(1, UPLOADED_ROWS + 1):
        yield ImportOrdersRequest(user_id="u-1", amount_minor_units=0 if number == BAD_ROW else 100)
        await asyncio.sleep(0.001)


async def run(lab: Lab) -> Outcome:
    """Read a stream of 50 rows; then upload 1,000 rows to a server that answers after the third."""
    await lab.start("")
    server = await lab.servicer("tracelab.lessons.streaming:Orders", "order", environ={"LAB_MESSAGE_EVENTS": str(ROWS)})
    stub = OrderServiceStub(lab.channel(server.address))
    with lab.span("download") as download:
        stream = stub.StreamOrders(StreamOrdersRequest(), timeout=10)
        try:
            received = [response.order.order_id async for response in stream]
        finally:
            stream.cancel()  # does nothing to a stream that was read to its end, and ends one that was not
    with lab.span("upload") as upload:
        answer = await stub.ImportOrders(rows(), timeout=10)

    down, up = await lab.whole_trace(download), await lab.whole_trace(upload)
    (sender,) = sides(down, SpanKind.SERVER)
    numbers = [event.attributes.get("sequence-number") for event in sender.events]
    (uploader,) = sides(up, SpanKind.CLIENT)
    facts = (
        equal("SERVER spans of 50 rows", 1, len(sides(down, SpanKind.SERVER))),
        equal(
            "messages in it, by their numbers",
            "0 to 49 in order",
            "0 to 49 in order" if numbers == list(range(ROWS)) else numbers,
        ),
        equal("rows that the client got", ROWS, len(received)),
        holds(
            "the first row was sent",
            "before half of the span",
            first_half(sender),
            first_half(sender) == "before half of the span",
        ),
        equal(
            "upload: rows that the server had read when it answered",
            BAD_ROW,
            answer.created_count + answer.rejected_count,
        ),
        holds(
            "rows that the client had sent by then",
            f"fewer than half of {UPLOADED_ROWS:,}",
            sent(uploader),
            sent(uploader) < UPLOADED_ROWS // 2,
        ),
        equal("spans of the upload that have ended, both sides and the root", 3, len(up.spans)),
    )
    return Outcome(
        facts,
        (
            await lab.exhibit("50 rows, one call", down, mark),
            await lab.exhibit("1,000 rows, answered after the third", up, mark, sequence=True),
        ),
    )


def sides(trace: Trace, kind: SpanKind) -> list[Span]:
    """One side of the calls in a trace."""
    return [span for span in trace.spans if span.kind is kind]


def first_half(span: Span) -> str:
    """In which half of a span its first message was sent."""
    middle_ns = span.start_time_unix_nano + span.duration_ns // 2
    return f"{'before' if span.events[0].time_unix_nano < middle_ns else 'after'} half of the span"


def sent(span: Span) -> int:
    """How many messages a side had sent when its span ended."""
    facts = rpc_facts(span)
    return (facts.sent_message_count or 0) if facts else 0


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.name.endswith("/StreamOrders") and span.kind is SpanKind.SERVER:
        return f"{len(span.events)} messages, one span: they are its events; ./lab trace --view sequence draws them"
    if span.name.endswith("/ImportOrders") and span.kind is SpanKind.CLIENT:
        return f"OK after {sent(span)} of {UPLOADED_ROWS:,} rows: the server had heard enough"
    return None


LESSON = Lesson(
    slug="streaming",
    chapter=Chapter.SHAPES_OF_WORK,
    number=3,
    question="A client streams 1,000 rows to a server that answers after the third. What becomes of the other 997?",
    prediction=Prediction(
        (
            "they are sent, and the server throws them away",
            "most are never sent: the answer ends the call",
            "the call fails: the server answered too early",
        ),
        "b",
    ),
    run=run,
    notice="One span, many messages; and a stream ends when either side ends it.",
    explain=(
        "A stream is a call like any other, with one span on each side, however many messages cross. They are events "
        "of the span with a number and a size, and only as many as were asked for: a span is no place for a million. "
        "The server may send its status while the client is still talking; the call is over then, with OK, and the "
        "library stops asking the client's iterator. A client that wants to end a download early must cancel it: "
        "leaving the loop alone stops nothing."
    ),
    source="grpc.io: Core concepts, RPC life cycle; gRPC over HTTP2",
    try_it=TryIt(
        task="Let rows() read a file. Where would you close it, so that an early answer closes it, too?",
        hint="The library stops asking rows(); what stands below its yield runs when Python clears it away, if at all.",
        solution="In a with around the call: with open(path) as file: answer = await stub.ImportOrders(rows(file))",
    ),
)
