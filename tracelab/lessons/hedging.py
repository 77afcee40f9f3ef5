"""Hedging: ask a second server when the first is slow, and take whichever answers first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from generated.order_pb2 import GetOrderRequest, GetOrderResponse, Order
from generated.order_pb2_grpc import OrderServiceServicer, OrderServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.rpc import status_code_name
from tracelab.learn.core_counts import ATTEMPTS, CORE_METHOD, core_counts, core_is_counted
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess

SLOW_S = 1.0
HEDGING_DELAY_S = 0.05
GET_ORDER = "tracelab.order.v1.OrderService/GetOrder"
HEDGING = {
    "methodConfig": [
        {
            "name": [{"service": "tracelab.order.v1.OrderService"}],
            "hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": f"{HEDGING_DELAY_S}s"},
        }
    ]
}


class Orders(OrderServiceServicer):
    """Answers at once, or after a second if it was started under the name `slow`."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def GetOrder(self, request: GetOrderRequest, context: Any) -> GetOrderResponse:
        """Say who answers, in the note."""
        self._process.saw("entered", context)
        await asyncio.sleep(SLOW_S if self._process.name == "slow" else 0)
        return GetOrderResponse(order=Order(order_id=request.order_id, note=self._process.name))


async def run(lab: Lab) -> Outcome:
    """Ask a slow server with a hedging policy, then race it against a fast one by hand."""
    has_core = core_is_counted()
    await lab.start("", grpc_metrics=has_core)
    slow, fast = await asyncio.gather(
        lab.servicer("tracelab.lessons.hedging:Orders", "order", name="slow"),
        lab.servicer("tracelab.lessons.hedging:Orders", "order", name="fast"),
    )
    with lab.span("policy") as root:
        stub = OrderServiceStub(lab.channel(slow.address, service_config=HEDGING))
        by_policy = await stub.GetOrder(GetOrderRequest(order_id="o"), timeout=5)
    policy = await lab.whole_trace(root)

    counted = await core_counts(lab, ATTEMPTS, CORE_METHOD, lambda found: GET_ORDER in found) if has_core else {}

    stubs = [OrderServiceStub(lab.channel(server.address)) for server in (slow, fast)]
    with lab.span("by hand") as root:
        by_hand = await hedged(stubs, GetOrderRequest(order_id="o"), timeout_s=5)
    raced = await lab.whole_trace(root, servers=2)

    loser, winner = server_span(raced, "slow"), server_span(raced, "fast")
    whole = next(span for span in raced.spans if span.span_id == root.span_id)
    entered = sum(trace_of(line) == policy.trace_id for line in slow.witness())
    facts = (
        equal("attempts made under the hedging policy", 1, entered),
        *(equal("attempts of it that the caller's own gRPC counted", 1, counted[GET_ORDER]) for _ in counted),
        equal("whose answer the caller waited for", "slow", by_policy.order.note),
        equal("attempts made by hand", 2, sum(span.kind is SpanKind.SERVER for span in raced.spans)),
        equal("whose answer was taken", "fast", by_hand.order.note),
        equal("how the other attempt ended", "CANCELLED", status_code_name(loser.attributes)),
        holds(
            "the second attempt began after the first",
            "after",
            "after" if winner.start_time_unix_nano > loser.start_time_unix_nano else "before",
            winner.start_time_unix_nano > loser.start_time_unix_nano,
        ),
        holds(
            "the race took less than the slow server's own work",
            "less",
            "less" if whole.duration_ns < SLOW_S * 1e9 else "more",
            whole.duration_ns < SLOW_S * 1e9,
        ),
    )
    return Outcome(
        facts,
        (await lab.exhibit("hedgingPolicy: ignored", policy, mark), await lab.exhibit("by hand", raced, mark)),
    )


async def hedged(stubs: Sequence[Any], request: GetOrderRequest, *, timeout_s: float) -> GetOrderResponse:
    """Ask one server, another whenever the delay passes without an answer, and cancel those that lose."""
    deadline_s = asyncio.get_running_loop().time() + timeout_s
    calls: list[asyncio.Task[GetOrderResponse]] = []
    try:
        for stub in stubs:
            left_s = deadline_s - asyncio.get_running_loop().time()
            calls.append(asyncio.create_task(attempt(stub, request, left_s)))
            done, _ = await asyncio.wait(calls, timeout=HEDGING_DELAY_S, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return done.pop().result()
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def attempt(stub: Any, request: GetOrderRequest, timeout_s: float) -> GetOrderResponse:
    """Make one attempt; a task that is cancelled cancels the call that it awaits."""
    answer: GetOrderResponse = await stub.GetOrder(request, timeout=timeout_s)
    return answer


def server_span(trace: Trace, instance: str) -> Span:
    """The SERVER span of one of the two processes."""
    of_instance = (s for s in trace.spans if s.resource.attributes.get("service.instance.id") == instance)
    return next(span for span in of_instance if span.kind is SpanKind.SERVER)


def trace_of(line: dict[str, Any]) -> str:
    """The trace that a witness's line belongs to."""
    return str(line["traceparent"]).split("-")[1]


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.kind is not SpanKind.SERVER:
        return None
    if status_code_name(span.attributes) == "CANCELLED":
        return "the loser: told to stop when the other answered"
    if span.resource.attributes.get("service.instance.id") == "slow":
        return "one attempt, however slow: the policy was accepted and not followed"
    return "the second attempt, and the answer"


LESSON = Lesson(
    slug="hedging",
    chapter=Chapter.WHEN_CALLS_FAIL,
    number=5,
    question="A channel has a hedgingPolicy of 3 attempts, 50 ms apart; the server takes a second. What is sent?",
    prediction=Prediction(
        ("3 attempts, two of which are cancelled", "an error: this policy is not supported", "1 attempt"), "c"
    ),
    run=run,
    notice="Read the config's effect, not the config: Python's gRPC takes a hedgingPolicy and ignores it, silently.",
    explain=(
        "The service config is JSON, and what a library does not know it passes over. gRPC's core, which Python "
        "stands on, has no hedging, so the witness counts one attempt, as core itself does. "
        "Hedging by hand is a dozen lines: start a call, "
        "start another when the delay passes, take the first answer, cancel the rest in `finally`. It costs calls "
        "when servers are slow, which is when they can bear them least: hedge only what may be repeated, after a "
        "delay near your p95, and with a cap on the share of calls that are hedged."
    ),
    source="grpc.io guide: Request Hedging; gRFC A6",
    try_it=TryIt(
        task="hedged() takes whatever ends first, even an error. Make it take the first answer that is not an error.",
        hint="A task that failed has an exception(); leave it out, in the loop too, and wait for those that remain.",
        solution=(
            "def answers_in(done):\n"
            "    return [call.result() for call in done if call.exception() is None]\n"
            "\n"
            "# in the loop, in place of `if done`\n"
            "if answers := answers_in(done):\n"
            "    return answers[0]\n"
            "\n"
            "# after the loop\n"
            "pending = set(calls)\n"
            "while pending:\n"
            "    done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)\n"
            "    if answers := answers_in(done):\n"
            "        return answers[0]\n"
            "return calls[-1].result()  # all failed: raises what the last one raised"
        ),
    ),
)
