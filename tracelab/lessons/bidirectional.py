"""Both sides talk at once on one call, and each ends its own half."""

from __future__ import annotations

import grpc

from generated.order_pb2 import (
    ORDER_STATUS_PAID,
    ORDER_STATUS_SHIPPED,
    CreateOrderRequest,
    OrderSelection,
    OrderStatus,
    TrackOrdersRequest,
    UpdateOrderRequest,
)
from generated.order_pb2_grpc import OrderServiceStub
from otel.analysis.model import Span, SpanKind
from otel.analysis.rpc import rpc_facts
from tracelab.learn.lab import Lab, RootSpan
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal
from tracelab.learn.shop import fill_shop


async def run(lab: Lab) -> Outcome:
    """Subscribe, get a push, unsubscribe, get none, stop talking, and read what is left."""
    await lab.start("user", "order", environ={"LAB_MESSAGE_EVENTS": "10"})
    (user_id,) = await fill_shop(lab, users=1, orders_per_user=0)
    orders = OrderServiceStub(lab.channel("order"))
    created = await orders.CreateOrder(CreateOrderRequest(user_id=user_id, amount_minor_units=7500), timeout=5)
    order = OrderSelection(order_ids=[created.order.order_id])

    async def change(status: OrderStatus.ValueType) -> None:
        with lab.span("another client's change"):
            await orders.UpdateOrder(UpdateOrderRequest(order_id=order.order_ids[0], status=status), timeout=5)

    read: list[str] = []
    with lab.span("the watcher") as root:
        stream = orders.TrackOrders(timeout=10)
        try:
            await stream.write(TrackOrdersRequest(subscribe=order))
            read.append(kind_of(await stream.read()))
            await change(ORDER_STATUS_PAID)
            read.append(kind_of(await stream.read()))
            await stream.write(TrackOrdersRequest(unsubscribe=order))
            read.append(kind_of(await stream.read()))
            await change(ORDER_STATUS_SHIPPED)
            await stream.done_writing()  # ends this half; the other one is the server's to end
            read.append(kind_of(await stream.read()))
            code = await stream.code()
        finally:
            stream.cancel()

    trace = await lab.trace(root.trace_id, lambda trace: len(trace.spans) == 4)
    (server,) = (span for span in trace.spans if span.kind is SpanKind.SERVER)
    counts = rpc_facts(server)
    turns = await lab.ask(lambda _: server_turns(lab, root), lambda turns: turns.endswith("returned"))
    facts = (
        equal("what the watcher read, in order", "acknowledged, changed, acknowledged, end", ", ".join(read)),
        equal("what the server did", "took a message, then 1 more and sent 3, then returned", turns),
        equal("SERVER spans of all that", 1, sum(span.kind is SpanKind.SERVER for span in trace.spans)),
        equal(
            "messages that span counts, received and sent",
            (2, 3),
            (counts.received_message_count, counts.sent_message_count) if counts else None,
        ),
        equal("status after the client's half had ended and the server's too", "OK", code.name),
    )
    return Outcome(facts, (await lab.exhibit("one call, five messages", trace, mark, sequence=True),))


def kind_of(response: object) -> str:
    """Which event a response is."""
    return "end" if response is grpc.aio.EOF else str(getattr(response, "WhichOneof")("event"))  # noqa: B009


def server_turns(lab: Lab, root: RootSpan) -> str:
    """What the server's witness saw of the stream: messages taken and sent, and its ends."""
    mine = {line["rpc_id"] for line in lab.witness("order") if root.trace_id in (line.get("traceparent") or "")}
    events = [line["event"] for line in lab.witness("order") if line["rpc_id"] in mine]
    first, *between, last = [event for event in events if event != "entered"] or ["none", "none"]
    begun = "took a message" if first == "got" else first
    return f"{begun}, then {between.count('got')} more and sent {between.count('sent')}, then {last}"


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.kind is SpanKind.SERVER:
        return "2 messages in, 3 out, one span: a stream is one call, however long it is open"
    return None


LESSON = Lesson(
    slug="bidirectional",
    chapter=Chapter.SHAPES_OF_WORK,
    number=4,
    question="On a bidirectional stream, who has to speak after whom?",
    prediction=Prediction(
        (
            "they take turns: a response for each request",
            "nobody: each side sends when it likes, and ends its own half",
            "the client sends all, then the server answers all",
        ),
        "b",
    ),
    run=run,
    notice="Two independent halves on one call: order holds within each, and between them only what you agree on.",
    explain=(
        "The push came though nobody had asked again; the second change brought none, for the watcher had "
        "unsubscribed. That the client could rely on it is the acknowledgement's doing, which is the contract's and "
        "not gRPC's: the halves are not in step. done_writing ends the client's half and leaves reading open; the call "
        "is over when the server ends its own with a status. Cancel instead, and the rest is lost: the server's "
        "task is cancelled wherever it awaits."
    ),
    source="grpc.io: Core concepts, Bidirectional streaming RPC; gRPC over HTTP2",
    try_it=TryIt(
        task="Watch a stream by hand: which command follows a user's orders while another terminal changes one?",
        hint="./lab order --help",
        solution="./lab order watch --user-id USER_ID, and in the other ./lab order update ORDER_ID --status paid",
    ),
)
