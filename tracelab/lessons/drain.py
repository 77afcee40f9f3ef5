"""Draining: a server can go away without any caller's noticing, if it asks instead of cutting."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from generated.order_pb2 import GetOrderRequest, GetOrderResponse, Order
from generated.order_pb2_grpc import OrderServiceServicer, OrderServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.rpc import status_code_name
from tracelab.learn.lab import Lab, Servicer
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess

CODE = "tracelab.lessons.drain:Orders"
WORK_S = 0.1
WORKERS = 6
CONNECTION_AGE = "grpc.max_connection_age_ms=300"
ROUND_ROBIN: Mapping[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}


class Orders(OrderServiceServicer):
    """Takes 100 ms for an order."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def GetOrder(self, request: GetOrderRequest, context: Any) -> GetOrderResponse:
        """Work, and answer."""
        self._process.saw("entered", context)
        await asyncio.sleep(WORK_S)
        self._process.saw("worked", context)
        return GetOrderResponse(order=Order(order_id=request.order_id))


@dataclass(slots=True)
class Load:
    """Callers that keep on calling, and what they got."""

    stub: Any
    codes: list[str] = field(default_factory=list)
    over: bool = False

    async def worker(self) -> None:
        """Call again and again, until it is over."""
        while not self.over:
            try:
                await self.stub.GetOrder(GetOrderRequest(order_id="o"), timeout=10)
                self.codes.append("OK")
            except grpc.aio.AioRpcError as error:
                self.codes.append(error.code().name)


async def run(lab: Lab) -> Outcome:
    """Stop one of two servers under load, gracefully and then hard; then let connections grow old."""
    await lab.start("")
    polite_one, rude_one, steady, old = await asyncio.gather(
        lab.servicer(CODE, "order", name="graceful", grace_s=5.0),
        lab.servicer(CODE, "order", name="hard"),
        lab.servicer(CODE, "order", name="steady"),
        lab.servicer(CODE, "order", name="aging", channel_options=[CONNECTION_AGE]),
    )
    polite, politely = await under_load(lab, "stopped gracefully", [polite_one, steady])
    rude, rudely = await under_load(lab, "stopped hard", [rude_one, steady])
    _, agedly = await under_load(lab, "connections grow old", [old])

    peers = {line["peer"] for line in old.witness()}
    # A call that the stop meets before its handler begins has a SERVER span without a code: nobody can know it.
    cut = [span for span in rude.spans if span.kind is SpanKind.SERVER and span.is_error]
    last = [span for span in polite.spans if span.resource.attributes.get("service.instance.id") == "graceful"][-3:]
    facts = (
        equal("stopped gracefully: calls that failed", 0, failed(politely)),
        equal("calls that it had begun and did not finish", 0, unfinished(polite_one)),
        holds(
            "stopped hard: codes",
            "some UNAVAILABLE, the others OK",
            shown(rudely),
            set(rudely) == {"OK", "UNAVAILABLE"},
        ),
        holds("calls that it had begun and did not finish", "some", unfinished(rude_one), unfinished(rude_one) > 0),
        equal(
            "what the SERVER spans of these say", {"UNAVAILABLE"}, {status_code_name(span.attributes) for span in cut}
        ),
        holds("connections grow old: client ports of one channel", "2 or more", len(peers), len(peers) >= 2),
        equal("calls that failed", 0, failed(agedly)),
    )
    exhibits = (
        await lab.exhibit(f"stopped hard: the calls that were cut, of {len(rudely)}", calls_of(rude, cut), mark),
        await lab.exhibit(f"stopped gracefully: its last calls, of {len(politely)}", calls_of(polite, last), mark),
    )
    return Outcome(facts, exhibits)


async def under_load(lab: Lab, title: str, servers: Sequence[Servicer]) -> tuple[Trace, list[str]]:
    """Keep calling; meanwhile stop the first of two servers, or wait until a single one has changed connections."""
    target = f"ipv4:{','.join(server.address for server in servers)}"
    load = Load(OrderServiceStub(lab.channel(target, service_config=ROUND_ROBIN)))
    await asyncio.gather(*(load.stub.GetOrder(GetOrderRequest(order_id="first"), timeout=5) for _ in range(4)))
    with lab.span(title) as root:
        workers = [asyncio.create_task(load.worker()) for _ in range(WORKERS)]
        try:
            await lab.until(lambda: all(busy(server) for server in servers), "calls to every server")
            if len(servers) > 1:
                servers[0].signal(signal.SIGTERM)
                await lab.until(lambda: servers[0].process.poll() is not None, "the end of the stopped server")
            else:
                await lab.until(lambda: len({line["peer"] for line in servers[0].witness()}) > 1, "a new connection")
        finally:
            load.over = True
            await asyncio.gather(*workers)
    return await lab.whole_trace(root), load.codes


def busy(server: Servicer) -> bool:
    """Whether a server has calls in hand."""
    return unfinished(server) > 0


def unfinished(server: Servicer) -> int:
    """Calls that a server began and did not finish."""
    events = [line["event"] for line in server.witness()]
    return events.count("entered") - events.count("worked")


def failed(codes: Sequence[str]) -> int:
    """How many did not end OK."""
    return len(codes) - codes.count("OK")


def shown(codes: Sequence[str]) -> str:
    """The codes with their counts."""
    return ", ".join(f"{code} {codes.count(code)}" for code in sorted(set(codes)))


def calls_of(trace: Trace, servers: Sequence[Span]) -> Trace:
    """The part of a trace that is about these calls: the root, and both sides of each."""
    wanted = {span.span_id for span in servers} | {span.parent_span_id for span in servers}
    return Trace(trace.trace_id, tuple(s for s in trace.spans if s.span_id in wanted or not s.parent_span_id))


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.kind is SpanKind.SERVER and span.is_error:
        return "begun, and cut off"
    if span.kind is SpanKind.SERVER:
        return "begun before the end, and finished"
    return None


LESSON = Lesson(
    slug="drain",
    chapter=Chapter.RUNNING_IT,
    number=3,
    question="Two servers are under load and one of them is stopped, with time to finish. How many calls fail?",
    prediction=Prediction(("those that it had begun", "none", "those sent in the moment before clients notice"), "b"),
    run=run,
    notice="A GOAWAY is a request to go elsewhere: with an elsewhere to go to, a restart costs no call.",
    explain=(
        "stop(grace) sends GOAWAY: no new calls on this connection, please. Calls in hand go on; new ones, and those "
        "that crossed with the GOAWAY and were never begun, go to another server without the caller's knowing. "
        "stop(None) cuts what is in hand, and those calls fail UNAVAILABLE, begun and not finished, so only the "
        "application knows whether they may be repeated. max_connection_age does the same to connections one by one, "
        "so that long-lived channels find new servers. With a single server there is no elsewhere: new calls fail."
    ),
    source="grpc.io guides: Graceful Shutdown, Keepalive; gRFC A9",
    try_it=TryIt(
        task="Start the hard one with grace_s=0.05, which is shorter than its calls take. Which calls fail, and when?",
        hint="stop(0.05) asks first and cuts after 50 ms; a call here takes 100 ms. Compare the cut spans' lengths.",
        solution="Those in hand that are not done 50 ms after SIGTERM: UNAVAILABLE. New ones go elsewhere.",
    ),
)
