"""One call for a list, then one more for each of its members: the N+1."""

from __future__ import annotations

from collections.abc import Mapping

from generated.order_pb2_grpc import OrderServiceStub
from generated.report_pb2 import (
    TOP_USERS_STRATEGY_BATCH,
    TOP_USERS_STRATEGY_SEQUENTIAL,
    TopUsersRequest,
    TopUsersResponse,
    TopUsersStrategy,
)
from generated.report_pb2_grpc import ReportServiceStub
from otel.analysis.model import SpanKind, Trace
from tracelab.learn.exercise import answer_of
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.shop import fill_shop

STARTER = '''\
"""Count the orders of some users. As it stands this asks OrderService once for each of them."""
from generated.order_pb2 import ListOrdersRequest


async def count_orders(order_service, user_ids):
    count = 0
    for user_id in user_ids:
        request = ListOrdersRequest(user_ids=[user_id], page_size=1000)
        count += len((await order_service.ListOrders(request, timeout=5)).orders)
    return count
'''
SOLUTION = '''\
"""Count the orders of some users, by one call for all of them."""
from generated.order_pb2 import ListOrdersRequest


async def count_orders(order_service, user_ids):
    request = ListOrdersRequest(user_ids=user_ids, page_size=1000)
    return len((await order_service.ListOrders(request, timeout=5)).orders)
'''


async def run(lab: Lab) -> Outcome:
    """Rank 5 and 25 users one call at a time, then 25 in one batch; count the calls behind each answer."""
    await lab.start()
    user_ids = await fill_shop(lab, users=25, orders_per_user=2)
    _, few = await rank(lab, user_ids[:5], TOP_USERS_STRATEGY_SEQUENTIAL)
    answer, many = await rank(lab, user_ids, TOP_USERS_STRATEGY_SEQUENTIAL)
    same_answer, batch = await rank(lab, user_ids, TOP_USERS_STRATEGY_BATCH)
    facts = (
        equal("5 users cost as many ListOrders calls", 5, list_orders_calls(few)),
        equal("25 users cost as many ListOrders calls", 25, list_orders_calls(many)),
        equal("a batch costs one, however many users", 1, list_orders_calls(batch)),
        holds(
            "both strategies give the same answer",
            "equal",
            "equal" if answer == same_answer else "different",
            answer == same_answer,
        ),
    )
    return Outcome(facts, (await lab.exhibit("sequential, 5 users", few), await lab.exhibit("batch, 25 users", batch)))


async def rank(lab: Lab, user_ids: list[str], strategy: TopUsersStrategy.ValueType) -> tuple[TopUsersResponse, Trace]:
    """Ask for the ranking and read its trace back."""
    stub = ReportServiceStub(lab.channel("report"))
    with lab.span("rank users") as root:
        answer = await stub.TopUsers(TopUsersRequest(user_ids=user_ids, strategy=strategy), timeout=10)
    return answer, await lab.whole_trace(root)


async def check(lab: Lab, names: Mapping[str, object]) -> Outcome:
    """Let the learner's function count, and count its calls."""
    await lab.start("user", "order")
    user_ids = await fill_shop(lab, users=25, orders_per_user=2)
    with lab.span("count orders") as root:
        stub = OrderServiceStub(lab.channel("order"))
        count = await answer_of(names, "count_orders(order_service, user_ids)", stub, user_ids)
    trace = await lab.whole_trace(root)
    calls = sum(span.kind is SpanKind.SERVER for span in trace.spans)
    return Outcome(
        (
            equal("orders counted", 50, count),
            holds("calls to OrderService", "1 or 2", calls, 1 <= calls <= 2),
        )
    )


def list_orders_calls(trace: Trace) -> int:
    """How many times OrderService was really asked: its SERVER spans."""
    return sum(span.kind is SpanKind.SERVER and span.name.endswith("/ListOrders") for span in trace.spans)


LESSON = Lesson(
    slug="n-plus-one",
    chapter=Chapter.SHAPES_OF_WORK,
    number=1,
    question="A report loops over its users to count their orders; 5 users become 25. What grows?",
    prediction=Prediction(
        (
            "the size of one answer, which has the orders of all users",
            "the number of calls: one more for each user",
            "nothing that a trace could show",
        ),
        "b",
    ),
    run=run,
    notice="Count the bars before you time them: a row of equal, touching bars is a loop with a call in it.",
    explain=(
        "Each bar is cheap, so nobody notices at 5 users. Every call pays for the wire, for both services' queues and "
        "for its own span; none of that shrinks when the answer does. Asking once for many (BatchGetUsers, ListOrders "
        "with user_ids) pays it once. The contract decides: without a batch RPC a client could ask for all at the "
        "same time, but not in fewer calls."
    ),
    source="grpc.io guide: Performance Best Practices",
    try_it=TryIt(
        task="count_orders in the file asks OrderService once for each of 25 users. Make it ask twice at most.",
        hint="ListOrdersRequest takes several user_ids; StreamOrdersRequest, too.",
        starter=STARTER,
        solution=SOLUTION,
        check=check,
    ),
)
