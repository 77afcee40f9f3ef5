"""Load balancing: where the calls of one channel go."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from generated.order_pb2 import GetOrderRequest, GetOrderResponse, Order
from generated.order_pb2_grpc import OrderServiceServicer, OrderServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess

CALLS = 10
NAMES = ("order-a", "order-b")
PICK_FIRST: Mapping[str, object] = {"loadBalancingConfig": [{"pick_first": {}}]}
ROUND_ROBIN: Mapping[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}


class Orders(OrderServiceServicer):
    """Says who answers, in the order's note."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def GetOrder(self, request: GetOrderRequest, context: Any) -> GetOrderResponse:
        """Answer at once."""
        self._process.saw("entered", context)
        return GetOrderResponse(order=Order(order_id=request.order_id, note=self._process.name))


async def run(lab: Lab) -> Outcome:
    """Make ten calls to two servers with each of two policies, and count by the servers' own spans."""
    await lab.start("")
    servers = await asyncio.gather(
        *(lab.servicer("tracelab.lessons.load_balancing:Orders", "order", name=name) for name in NAMES)
    )
    # One channel for both: the list of addresses that DNS would make of a name.
    target = f"ipv4:{','.join(server.address for server in servers)}"
    first, _ = await ten_calls(lab, "pick_first", target, PICK_FIRST)
    spread, answered_by = await ten_calls(lab, "round_robin", target, ROUND_ROBIN)
    by_first, by_span, by_witness = instances(first), instances(spread), Counter[str]()
    for server in servers:
        by_witness[server.name] = sum(spread.trace_id in line["traceparent"] for line in server.witness())
    counts = by_span.values()
    facts = (
        holds("pick_first: SERVER spans by instance", "all by one", dict(by_first), list(by_first.values()) == [CALLS]),
        holds(
            "round_robin: SERVER spans by instance",
            "5 and 5, or 4 and 6",
            dict(by_span),
            sum(counts) == CALLS and min(counts) in {4, 5},
        ),
        equal("the servers' own count agrees with the spans'", dict(by_witness), dict(by_span)),
        equal("and with what the answers say", dict(answered_by), dict(by_span)),
    )
    exhibits = (await lab.exhibit("pick_first", first, mark), await lab.exhibit("round_robin", spread, mark))
    return Outcome(facts, exhibits)


async def ten_calls(
    lab: Lab, policy: str, target: str, service_config: Mapping[str, object]
) -> tuple[Trace, Counter[str]]:
    """Make ten calls, one after the other, on a channel with a policy; their trace, and who answered how often."""
    stub = OrderServiceStub(lab.channel(target, service_config=service_config))
    await settle(stub, wanted=2 if policy == "round_robin" else 1)
    answered_by: Counter[str] = Counter()
    with lab.span(policy) as root:
        for number in range(CALLS):
            answer = await stub.GetOrder(GetOrderRequest(order_id=str(number)), timeout=5)
            answered_by[answer.order.note] += 1
    return await lab.whole_trace(root, servers=CALLS), answered_by


async def settle(stub: Any, *, wanted: int) -> None:
    """Call until so many servers have answered: a policy uses the connections that it has, and connects meanwhile."""
    seen: set[str] = set()
    async with asyncio.timeout(10):
        while len(seen) < wanted:
            seen.add((await stub.GetOrder(GetOrderRequest(order_id="first"), timeout=5)).order.note)


def instances(trace: Trace) -> Counter[str]:
    """How many SERVER spans each process has, by `service.instance.id` of its resource."""
    servers = (span for span in trace.spans if span.kind is SpanKind.SERVER)
    return Counter(str(span.resource.attributes["service.instance.id"]) for span in servers)


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.kind is not SpanKind.SERVER:
        return None
    return "by " + str(span.resource.attributes["service.instance.id"])


LESSON = Lesson(
    slug="load-balancing",
    chapter=Chapter.RUNNING_IT,
    number=1,
    question="A second OrderService is to share the load; the channel knows both addresses. Who gets ten calls?",
    prediction=Prediction(
        ("5 each: a channel shares its calls out", "10 and 0", "it depends on which of the two is faster"), "b"
    ),
    run=run,
    notice="A channel is not a connection: which of its connections a call takes is a policy, and the default is one.",
    explain=(
        "pick_first, the default, connects to one address and stays; the others are for when that fails. round_robin "
        "connects to all and takes turns, call by call, since HTTP/2 carries all calls on one connection and a "
        "balancer of connections would see only that one. It is set in the service config. Until the second "
        "connection is READY the first takes all, so count only after that. Which process answered is on the span: "
        "service.instance.id of its resource."
    ),
    source="grpc.io guides: Custom Load Balancing Policies, Service Config; gRFC A2",
    try_it=TryIt(
        task=(
            "Put an address where nobody listens, 127.0.0.1:1, at the head of `target`, and run the lesson again. "
            "Who gets pick_first's ten calls now?"
        ),
        hint="Its list of addresses is an order of preference, and connecting to the first fails.",
        solution=(
            "order-a, as before: pick_first tries the addresses in order and takes the first that connects. "
            "round_robin shares out among those that are connected, and goes on trying the third."
        ),
    ),
)
