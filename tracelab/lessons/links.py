"""Who caused this push: a link knows, without being a parent."""

from __future__ import annotations

from generated.order_pb2 import (
    ORDER_STATUS_PAID,
    CreateOrderRequest,
    OrderSelection,
    TrackOrdersRequest,
    UpdateOrderRequest,
)
from generated.order_pb2_grpc import OrderServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal
from tracelab.learn.shop import fill_shop

PUSH = "push OrderChanged"


async def run(lab: Lab) -> Outcome:
    """Watch an order on an open stream while another client changes it."""
    await lab.start("user", "order")
    (user_id,) = await fill_shop(lab, users=1, orders_per_user=0)
    orders = OrderServiceStub(lab.channel("order"))
    created = await orders.CreateOrder(CreateOrderRequest(user_id=user_id, amount_minor_units=7500), timeout=5)
    order_id = created.order.order_id

    with lab.span("the watcher") as watcher:
        stream = orders.TrackOrders(timeout=10)
        try:
            await stream.write(TrackOrdersRequest(subscribe=OrderSelection(order_ids=[order_id])))
            await stream.read()  # the acknowledgement: from here on changes are pushed
            with lab.span("another client's change") as change:
                await orders.UpdateOrder(UpdateOrderRequest(order_id=order_id, status=ORDER_STATUS_PAID), timeout=5)
            await stream.read()  # the push
            await stream.done_writing()
            await stream.read()  # the end
        finally:
            stream.cancel()

    watched = await lab.trace(watcher.trace_id, lambda trace: len(trace.spans) == 4)
    changed = await lab.trace(change.trace_id, lambda trace: len(trace.spans) == 3)
    push = next(span for span in watched.spans if span.name == PUSH)
    update = server_span(changed)
    facts = (
        equal(
            "the push hangs in the watcher's trace, under its stream", server_span(watched).span_id, push.parent_span_id
        ),
        equal("links of the push", 1, len(push.links)),
        equal("the link's trace is the change's", change.trace_id, push.links[0].trace_id),
        equal("the link's span is the server's UpdateOrder", update.span_id, push.links[0].span_id),
        equal(
            "when the push began, UpdateOrder had",
            "ended",
            "ended" if push.start_time_unix_nano >= update.end_time_unix_nano else "not ended",
        ),
        equal("pushes in the change's own trace", 0, sum(span.name == PUSH for span in changed.spans)),
    )
    return Outcome(
        facts,
        (await lab.exhibit("the watcher's trace", watched, mark), await lab.exhibit("the change", changed, mark)),
    )


def server_span(trace: Trace) -> Span:
    """The only SERVER span of a trace."""
    (found,) = (span for span in trace.spans if span.kind is SpanKind.SERVER)
    return found


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.name == PUSH:
        return f"a link says why: span {span.links[0].span_id} of trace {span.links[0].trace_id[:8]}…"
    if span.name.endswith("/UpdateOrder") and span.kind is SpanKind.SERVER:
        return f"span {span.span_id}: it caused a push and did not wait for it"
    return None


LESSON = Lesson(
    slug="links",
    chapter=Chapter.READ_A_TRACE,
    number=5,
    question="You watch an order on a stream; somebody else changes it. Under which span does the push to you belong?",
    prediction=Prediction(
        (
            "under the change: it caused the push",
            "under your stream, with a link to the change",
            "under both: a span may have two parents",
        ),
        "b",
    ),
    run=run,
    notice="A parent waits for its child, or might; a link only knows what caused it.",
    explain=(
        "The change had ended before the push began, and would have with a thousand watchers: it waits for none of "
        "them. Were pushes children of the change, its trace would grow with every watcher and end when the slowest "
        "had been told. So the push is part of the stream that it serves, and its link leads to the span that caused "
        "it, in another trace. Queues, batches and caches have the same shape: many causes, later work, nobody "
        "waiting."
    ),
    source="OpenTelemetry: Traces, Links between spans; Semantic conventions for messaging",
    try_it=TryIt(
        task="Draw it: two watchers, one change. How many traces are there, how many spans in each, how many links?",
        hint="Each stream is a trace with its own push; the change's trace has none of them.",
        solution="Three traces: 4, 4 and 3 spans; two links, both to the change's SERVER span.",
    ),
)
