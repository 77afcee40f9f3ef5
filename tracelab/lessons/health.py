"""Health checks: a server says that it wants no calls, and the clients that listen leave it alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import grpc

from generated.order_pb2 import GetOrderRequest, GetOrderResponse, Order, UpdateOrderRequest, UpdateOrderResponse
from generated.order_pb2_grpc import OrderServiceServicer, OrderServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from tracelab.learn.lab import Lab, LessonError, Servicer
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess

CALLS = 10
LAST = 6
NAMES = ("order-a", "order-b")
SETTLE_BOUND_S = 10.0
CODE = "tracelab.lessons.health:Orders"
HEALTHY = {"healthCheckConfig": {"serviceName": "tracelab.order.v1.OrderService"}}
LISTENING = {"loadBalancingConfig": [{"round_robin": {}}], **HEALTHY}
PICK_FIRST = {"loadBalancingConfig": [{"pick_first": {}}], **HEALTHY}
STARTER = """\
# The service config of a channel to two OrderServices. One of them says NOT_SERVING: leave it alone.
SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
}
"""
SOLUTION = """\
# The service config of a channel to two OrderServices. One of them says NOT_SERVING: leave it alone.
SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": "tracelab.order.v1.OrderService"},
}
"""


class Orders(OrderServiceServicer):
    """Says who answers; says to health checkers what an update tells it to."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def GetOrder(self, request: GetOrderRequest, _context: Any) -> GetOrderResponse:
        """Answer, whatever the health checkers are told."""
        return GetOrderResponse(order=Order(order_id=request.order_id, note=self._process.name))

    async def UpdateOrder(self, request: UpdateOrderRequest, _context: Any) -> UpdateOrderResponse:
        """Become ill, or well: the lesson's own switch."""
        await self._process.set_serving(request.note == "SERVING")
        return UpdateOrderResponse()


async def run(lab: Lab) -> Outcome:
    """Let one of two servers become ill and well again, under a channel that listens and one that does not."""
    servers, answers = await two_servers(lab), list[str]()
    ill = OrderServiceStub(lab.channel(servers[0].address))
    listening = OrderServiceStub(lab.channel(target(servers), service_config=LISTENING))
    before = await calls_once(lab, listening, "both are well", {"order-a", "order-b"}, answers)
    await ill.UpdateOrder(UpdateOrderRequest(order_id="-", note="NOT_SERVING"), timeout=5)
    during = await calls_once(lab, listening, "order-a is ill", {"order-b"}, answers)
    deaf_channel = OrderServiceStub(lab.channel(servers[0].address, service_config=PICK_FIRST))
    deaf = await calls_once(lab, deaf_channel, "pick_first, order-a alone and ill", {"order-a"}, answers)
    await ill.UpdateOrder(UpdateOrderRequest(order_id="-", note="SERVING"), timeout=5)
    after = await calls_once(lab, listening, "both are well again", {"order-a", "order-b"}, answers)

    even = min(instances(before)["order-a"], instances(before)["order-b"])
    again = min(instances(after)["order-a"], instances(after)["order-b"])
    facts = (
        holds("both are well", "5 and 5, or 4 and 6", shown(before), even in {4, 5}),
        equal("order-a says NOT_SERVING", f"order-b {CALLS}", shown(during)),
        holds("and SERVING again", "5 and 5, or 4 and 6", shown(after), again in {4, 5}),
        equal("pick_first asks it all the same, ill as it is", f"order-a {CALLS}", shown(deaf)),
        equal(
            "calls that failed, while it turned ill and well too", [], [each for each in answers if each not in NAMES]
        ),
    )
    exhibits = (await lab.exhibit("order-a is ill", during, mark), await lab.exhibit("pick_first", deaf, mark))
    return Outcome(facts, exhibits)


async def check(lab: Lab, names: Mapping[str, object]) -> Outcome:
    """Call through the learner's channel while one of two servers is ill."""
    servers = await two_servers(lab)
    ill = OrderServiceStub(lab.channel(servers[0].address))
    stub = OrderServiceStub(lab.channel(target(servers), service_config=names.get("SERVICE_CONFIG")))
    await settled(stub, {"order-a", "order-b"})
    await ill.UpdateOrder(UpdateOrderRequest(order_id="-", note="NOT_SERVING"), timeout=5)
    try:
        await settled(stub, {"order-b"}, within_s=2.0)
        asked = "order-b alone"
    except LessonError as error:
        asked = str(error)
    return Outcome((equal("who is asked while order-a is NOT_SERVING", "order-b alone", asked),))


async def two_servers(lab: Lab) -> Sequence[Servicer]:
    """Start both."""
    await lab.start("")
    return await asyncio.gather(*(lab.servicer(CODE, "order", name=name) for name in NAMES))


def target(servers: Sequence[Servicer]) -> str:
    """One target for both."""
    return f"ipv4:{','.join(server.address for server in servers)}"


async def calls_once(lab: Lab, stub: Any, title: str, wanted: set[str], answers: list[str]) -> Trace:
    """Wait until just these servers answer, then make ten calls that count; `answers` gets who answered until then."""
    answers += await settled(stub, wanted)
    with lab.span(title) as root:
        for number in range(CALLS):
            await stub.GetOrder(GetOrderRequest(order_id=str(number)), timeout=5)
    return await lab.whole_trace(root, servers=CALLS)


async def settled(stub: Any, wanted: set[str], within_s: float = SETTLE_BOUND_S) -> list[str]:
    """Call until the last six were answered by all of these servers and by no other; who answered each call."""
    loop = asyncio.get_running_loop()
    deadline_s, answers = loop.time() + within_s, list[str]()
    while len(answers) < LAST or set(answers[-LAST:]) != wanted:
        if loop.time() > deadline_s:
            raise LessonError(f"{' and '.join(sorted(set(answers[-LAST:])))} still answer")
        answers.append(await answerer(stub))
        await asyncio.sleep(0.01)
    return answers


async def answerer(stub: Any) -> str:
    """Who answers a call, or its code."""
    try:
        return str((await stub.GetOrder(GetOrderRequest(order_id="-"), timeout=5)).order.note)
    except grpc.aio.AioRpcError as error:
        return error.code().name


def instances(trace: Trace) -> Counter[str]:
    """How many SERVER spans each process has."""
    servers = (span for span in trace.spans if span.kind is SpanKind.SERVER)
    return Counter(str(span.resource.attributes["service.instance.id"]) for span in servers)


def shown(trace: Trace) -> str:
    """The same in words."""
    return ", ".join(f"{name} {count}" for name, count in sorted(instances(trace).items()))


def mark(span: Span) -> str | None:
    """What to look at."""
    return "by " + str(span.resource.attributes["service.instance.id"]) if span.kind is SpanKind.SERVER else None


LESSON = Lesson(
    slug="health",
    chapter=Chapter.RUNNING_IT,
    number=2,
    question="One of two servers tells health checkers NOT_SERVING. What happens to calls that a client sends to it?",
    prediction=Prediction(
        (
            "they fail with UNAVAILABLE until it is well again",
            "a client with a health check sends it none; another's are answered",
            "gRPC closes the connection, so that every client goes elsewhere",
        ),
        "b",
    ),
    run=run,
    notice="Health drains, it does not kill: it moves the calls of those who listen, and nothing else.",
    explain=(
        "The client decides. With healthCheckConfig in the service config it keeps a Watch open on every connection, "
        "and round_robin leaves out those that are not SERVING; the moment it is told, calls go elsewhere, without an "
        "error, and come back later. The server itself still answers whoever calls. pick_first does not "
        "listen, whatever the config says: it has one connection, and nothing to choose. When all are ill the calls "
        "fail, UNAVAILABLE. NOT_SERVING is therefore the polite first step of every restart."
    ),
    source="grpc.io guide: Health Checking; gRFC A17",
    try_it=TryIt(
        task="The channel in the file shares its calls out, to the ill server too. Make it listen.",
        hint="healthCheckConfig names the service whose health counts: tracelab.order.v1.OrderService.",
        starter=STARTER,
        solution=SOLUTION,
        check=check,
    ),
)
