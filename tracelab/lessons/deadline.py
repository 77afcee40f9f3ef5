"""Deadlines: who still works after the caller has hung up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import grpc

from generated.order_pb2 import ListOrdersRequest
from generated.order_pb2_grpc import OrderServiceStub
from generated.report_pb2 import GetUserReportRequest, GetUserReportResponse
from generated.report_pb2_grpc import ReportServiceServicer, ReportServiceStub, add_ReportServiceServicer_to_server
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.rpc import rpc_facts, status_code_name
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess
from tracelab.learn.shop import fill_shop

TIMEOUT_S = 0.4
LONG_TIMEOUT_S = 10.03  # not a round number: what is left of one is written as it is, once a moment has passed
LONG_CALLS = 4  # on a busy machine 30 ms may pass before the header is written
WORK_S = 1.2
SPENT_MS = 100
SLOW = f"UserService/GetUser:delay={SPENT_MS}ms|OrderService/ListOrders:delay={WORK_S}s"
WIRE_S = 0.001  # gRPC sends such a timeout in whole milliseconds, rounded up
EXERCISE_TIMEOUT_S, EXERCISE_SPENT_S = 2.0, 0.5
STARTER = '''\
"""A handler of ReportService: it asks OrderService on behalf of its caller.

OrderService has to be told how long its answer is of any use.
"""


async def report(request, context, orders):
    # context.time_remaining() says how many seconds are left, or None.
    return await orders.ListOrders(request)
'''
SOLUTION = STARTER.replace("ListOrders(request)", "ListOrders(request, timeout=context.time_remaining())")


class ShieldedReports(ReportServiceServicer):
    """Asks for the orders in a task of its own, without a deadline, and shields it."""

    def __init__(self, process: ServerProcess) -> None:
        self._orders = OrderServiceStub(process.telemetry.insecure_channel(process.addresses["order"]))

    async def GetUserReport(self, request: GetUserReportRequest, _context: Any) -> GetUserReportResponse:
        """Wait for work that no cancel reaches."""
        await asyncio.shield(self._list(request.user_id))
        return GetUserReportResponse()

    async def _list(self, user_id: str) -> None:
        await self._orders.ListOrders(ListOrdersRequest(user_ids=[user_id]))


async def run(lab: Lab) -> Outcome:
    """Give two reports 400 ms whose orders take longer: one that passes the deadline on, one that shields."""
    await lab.start()
    (user_id,) = await fill_shop(lab, users=1, orders_per_user=1)
    order_address = {"ORDER_ADDRESS": lab.stack.address("order")}
    shielded = await lab.servicer("tracelab.lessons.deadline:ShieldedReports", "report", environ=order_address)
    await warm_up(lab, user_id, "report", shielded.address)
    passed_on = await report(lab, "deadline passed on", "report", user_id)
    alone = await report(lab, "shielded, no deadline", shielded.address, user_id)
    roomy = [
        await report(lab, "much time", "report", user_id, timeout_s=LONG_TIMEOUT_S, fault="") for _ in range(LONG_CALLS)
    ]

    hops = [server(passed_on, name) for name in ("GetUserReport", "ListOrders")]
    left = [TIMEOUT_S, *(remaining(hop) or 0.0 for hop in hops)]
    last = server(alone, "ListOrders")
    caller = server(alone, "GetUserReport")
    told, passed = (
        max(remaining(server(trace, name)) or 0.0 for trace in roomy) for name in ("GetUserReport", "ListOrders")
    )
    facts = (
        equal("the caller's code, both times", ["DEADLINE_EXCEEDED"] * 2, [client_code(passed_on), client_code(alone)]),
        holds(
            "time left at the client, at ReportService, at OrderService",
            "falling",
            ", ".join(f"{s * 1000:.0f} ms" for s in left),
            left[0] + WIRE_S >= left[1] > left[2] > 0,
        ),
        holds(
            "passed on: both servers stop early",
            "CANCELLED or DEADLINE_EXCEEDED, before the work's own length",
            ", ".join(status_code_name(hop.attributes) for hop in hops),
            all(stopped_early(hop) for hop in hops),
        ),
        equal("not passed on: the deadline that OrderService knows", None, remaining(last)),
        equal("shielded: how the inner work ends", "OK", status_code_name(last.attributes)),
        holds(
            "and it goes on after its caller has ended",
            "OrderService ends after ReportService",
            "after" if last.end_time_unix_nano > caller.end_time_unix_nano else "before",
            last.end_time_unix_nano > caller.end_time_unix_nano,
        ),
        holds(
            f"the most that ReportService is told of 10.03 s, {LONG_CALLS} calls",
            "more: gRPC rounds up",
            f"{told:.2f} s",
            told > LONG_TIMEOUT_S,
        ),
        holds(
            "the most that OrderService is told of these",
            "less than 10.03 s",
            f"{passed:.2f} s",
            0 < passed < LONG_TIMEOUT_S,
        ),
    )
    return Outcome(
        facts,
        (
            await lab.exhibit("passed on: everybody stops", passed_on, mark),
            await lab.exhibit("shielded: work for nobody", alone, mark),
        ),
    )


async def warm_up(lab: Lab, user_id: str, *targets: str) -> None:
    """Connect everything first: a short deadline has no room for the first call's connections."""
    for target in targets:
        stub = ReportServiceStub(lab.channel(target))
        await stub.GetUserReport(GetUserReportRequest(user_id=user_id), timeout=10)


async def report(
    lab: Lab, title: str, target: str, user_id: str, *, timeout_s: float = TIMEOUT_S, fault: str = SLOW
) -> Trace:
    """Ask for a report with so much time and read its trace back, once the last server has ended."""
    channel = lab.channel(target)
    await channel.channel_ready()
    carried = {"fault": fault} if fault else {}
    with lab.span(title, **carried) as root, suppress(grpc.aio.AioRpcError):
        await ReportServiceStub(channel).GetUserReport(GetUserReportRequest(user_id=user_id), timeout=timeout_s)
    servers = 3 if target == "report" else 2
    return await lab.whole_trace(root, servers=servers)


async def check(lab: Lab, names: Mapping[str, object]) -> Outcome:
    """Let the learner's handler ask OrderService, and look at what that was told."""
    handler: Any = names.get("report")
    await lab.start("order")
    orders = OrderServiceStub(lab.channel("order"))

    class Reports(ReportServiceServicer):
        async def GetUserReport(self, request: GetUserReportRequest, context: Any) -> GetUserReportResponse:
            await asyncio.sleep(EXERCISE_SPENT_S)
            await handler(ListOrdersRequest(user_ids=[request.user_id]), context, orders)
            return GetUserReportResponse()

    server_here = grpc.aio.server(interceptors=lab.telemetry.server_interceptors(), options=[("grpc.so_reuseport", 0)])
    reports = Reports()  # type: ignore[abstract]  # the exercise has one method
    add_ReportServiceServicer_to_server(reports, server_here)
    port = server_here.add_insecure_port("127.0.0.1:0")
    await server_here.start()
    try:
        with lab.span("your report") as root:
            stub = ReportServiceStub(lab.channel(f"127.0.0.1:{port}"))
            await stub.GetUserReport(GetUserReportRequest(user_id="u-1"), timeout=EXERCISE_TIMEOUT_S)
        trace = await lab.whole_trace(root, servers=2)
    except grpc.aio.AioRpcError as error:
        return Outcome((equal("the call to your handler", "OK", error.details()),))
    finally:
        await server_here.stop(None)
    told = remaining(server(trace, "ListOrders"))
    # gRPC rounds a timeout up on the wire: half of what was spent is bound enough.
    is_left = told is not None and told <= EXERCISE_TIMEOUT_S - EXERCISE_SPENT_S / 2
    seen = "no deadline" if told is None else f"{told:.1f} s"
    wanted = f"the {EXERCISE_TIMEOUT_S - EXERCISE_SPENT_S} s that were left of {EXERCISE_TIMEOUT_S}"
    return Outcome((holds("what OrderService was told", wanted, seen, is_left),))


def server(trace: Trace, method: str) -> Span:
    """The SERVER span of a method."""
    return next(span for span in trace.spans if span.kind is SpanKind.SERVER and span.name.endswith(f"/{method}"))


def remaining(span: Span) -> float | None:
    """Seconds that the server was told are left, or None where it was told no deadline."""
    facts = rpc_facts(span)
    return facts.time_remaining_s if facts else None


def client_code(trace: Trace) -> str:
    """The code of the lesson's own call."""
    span = next(span for span in trace.spans if span.kind is SpanKind.CLIENT and span.name.endswith("/GetUserReport"))
    return status_code_name(span.attributes)


def stopped_early(span: Span) -> bool:
    """Whether a server stopped before its work would have been done."""
    ended = status_code_name(span.attributes) in {"CANCELLED", "DEADLINE_EXCEEDED"}
    return ended and span.duration_ns < WORK_S * 1e9


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.kind is SpanKind.SERVER and span.name.endswith("/ListOrders"):
        left_s = remaining(span)
        if left_s is None:
            return "was told no deadline: works on for nobody"
        return f"was told {left_s * 1000:.0f} ms: stops when nobody waits any more"
    return None


LESSON = Lesson(
    slug="deadline",
    chapter=Chapter.WHEN_CALLS_FAIL,
    number=2,
    question="A caller gives a report 400 ms; the orders behind it take 1.2 s. Who works after the first 400 ms?",
    prediction=Prediction(
        (
            "everybody, until OrderService has its answer",
            "nobody, if each passes on what is left",
            "the report service stops, OrderService can't know",
        ),
        "b",
    ),
    run=run,
    notice="Pass on what is left: a deadline is one moment for the whole tree of calls, not a new length for each.",
    explain=(
        "gRPC sends the timeout with the call, so that a server knows when its answer is worthless; "
        "context.time_remaining() is what a handler may give to the calls that it makes. grpc.aio helps a little more: "
        "at the deadline the handler's task is cancelled, and a call that it awaits with it. Do not rely on that: "
        "whatever runs in a task of its own, or behind a shield, does not notice. It has no deadline, it ends OK, and "
        "nobody reads it. That is how a slow backend stays slow after its callers have gone. On the wire a timeout has "
        "three digits and is rounded up, so 10.03 s are told as 10.1 s; these services pass on a little less than that."
    ),
    source="grpc.io guide: Deadlines",
    try_it=TryIt(
        task="The handler in the file forgets its caller's deadline. Pass on what is left.",
        hint="Every stub call takes timeout= in seconds, and None means for ever.",
        starter=STARTER,
        solution=SOLUTION,
        check=check,
    ),
)
