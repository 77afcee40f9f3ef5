"""Retries: one call, several attempts, one answer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from itertools import pairwise

import grpc

from generated.order_pb2 import StreamOrdersRequest
from generated.order_pb2_grpc import OrderServiceStub
from generated.user_pb2 import ListUsersRequest
from generated.user_pb2_grpc import UserServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.rpc import status_code_name
from tracelab.learn.core_counts import ATTEMPTS, CORE_METHOD, core_counts, core_is_counted
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Fact, Outcome, equal, holds
from tracelab.learn.shop import fill_shop

RETRIES = {
    "maxAttempts": 4,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 3,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
USERS = [{"service": "tracelab.user.v1.UserService"}]
PATIENT = {"methodConfig": [{"name": USERS, "retryPolicy": RETRIES}]}
THROTTLED = {**PATIENT, "retryThrottling": {"maxTokens": 4, "tokenRatio": 0.5}}
LIST_USERS = "tracelab.user.v1.UserService/ListUsers"
FAILS_TWICE = "UserService/ListUsers:status=UNAVAILABLE:times=2"
FAILS = "UserService/ListUsers:status=UNAVAILABLE"
FAILS_AFTER_ONE = "OrderService/StreamOrders:status=UNAVAILABLE:abort_after=1"

FAILS_THRICE = "UserService/ListUsers:status=UNAVAILABLE:times=3"
STARTER = """\
# The retry policy of the caller's channel. The service fails three times; make the call succeed.
RETRY_POLICY = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 3,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
"""


async def run(lab: Lab) -> Outcome:
    """Call a service that is unavailable twice, then one that stays so, without and with throttling."""
    has_core = core_is_counted()
    await lab.start("user", "order", grpc_metrics=has_core)
    await fill_shop(lab, users=1, orders_per_user=2)
    recovered = await call(lab, lab.channel("user", service_config=PATIENT), FAILS_TWICE)
    core = (await counted_attempts(lab),) if has_core else ()
    attempts = [span for span in recovered.spans if span.kind is SpanKind.SERVER]
    gaps = [later.start_time_unix_nano - earlier.end_time_unix_nano for earlier, later in pairwise(attempts)]
    storm = await attempts_of_calls(lab, PATIENT, 2)
    calm = await attempts_of_calls(lab, THROTTLED, 4)
    growing = "longer" if gaps == sorted(gaps) else "shorter"
    facts = (
        equal("the server was asked this often", 3, len(attempts)),
        equal("attempts before this one, as the server was told", "none, 1, 2", ", ".join(map(told, attempts))),
        equal("CLIENT spans of the caller's one call", 1, sum(s.kind is SpanKind.CLIENT for s in recovered.spans)),
        holds("the second wait was longer than the first", "longer", growing, growing == "longer"),
        equal("attempts of a stream that fails after its first message", 1, await attempts_of_a_begun_stream(lab)),
        equal("attempts of two calls that fail, without throttling", [4, 4], storm),
        equal("attempts of four calls that fail, with throttling", [2, 1, 1, 1], calm),
        *core,
    )
    return Outcome(facts, (await lab.exhibit("unavailable twice, then well", recovered, mark),))


async def counted_attempts(lab: Lab) -> Fact:
    """What gRPC's core, in the caller's own process, counted of its one call."""
    counted = await core_counts(lab, ATTEMPTS, CORE_METHOD, lambda found: found.get(LIST_USERS, 0) >= 3)
    return equal(
        "attempts that the caller's gRPC counted itself, of which its span says nothing", 3, counted[LIST_USERS]
    )


async def call(lab: Lab, channel: grpc.aio.Channel, fault: str) -> Trace:
    """Make one call, whose service fails as `fault` says, and read its trace back."""
    with lab.span("list users", fault=fault) as root, suppress(grpc.aio.AioRpcError):
        await UserServiceStub(channel).ListUsers(ListUsersRequest(), timeout=5)
    entered = [line["traceparent"] or "" for line in lab.witness("user") if line["event"] == "entered"]
    attempts = [traceparent for traceparent in entered if root.trace_id in traceparent]
    return await lab.whole_trace(root, servers=len(attempts))


async def attempts_of_a_begun_stream(lab: Lab) -> int:
    """How often a stream was tried that gave one message and then failed with a status that is retried otherwise."""
    policy = {"methodConfig": [{"name": [{"service": "tracelab.order.v1.OrderService"}], "retryPolicy": RETRIES}]}
    with lab.span("stream orders", fault=FAILS_AFTER_ONE) as root, suppress(grpc.aio.AioRpcError):
        orders = OrderServiceStub(lab.channel("order", service_config=policy))
        async for _ in orders.StreamOrders(StreamOrdersRequest(), timeout=5):
            pass
    entered = [line["traceparent"] for line in lab.witness("order") if line["event"] == "entered"]
    return sum(root.trace_id in (traceparent or "") for traceparent in entered)


async def attempts_of_calls(lab: Lab, service_config: Mapping[str, object], count: int) -> list[int]:
    """How many attempts each of several failing calls made, one after the other on one channel."""
    channel = lab.channel("user", service_config=service_config)
    traces = [await call(lab, channel, FAILS) for _ in range(count)]
    return [sum(span.kind is SpanKind.SERVER for span in trace.spans) for trace in traces]


async def check(lab: Lab, names: Mapping[str, object]) -> Outcome:
    """Make the call with the learner's policy."""
    await lab.start("user")
    config = {"methodConfig": [{"name": USERS, "retryPolicy": names.get("RETRY_POLICY")}]}
    trace = await call(lab, lab.channel("user", service_config=config), FAILS_THRICE)
    client = next(span for span in trace.spans if span.kind is SpanKind.CLIENT)
    return Outcome((equal("the call's status", "OK", status_code_name(client.attributes)),))


def told(attempt: Span) -> str:
    """How many attempts came before this one, as its metadata said."""
    return str(attempt.attributes.get("grpc.previous_rpc_attempts", "none"))


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.kind is SpanKind.CLIENT:
        return "the caller's one call: it knows nothing of attempts, only that it took long"
    if span.kind is SpanKind.SERVER and told(span) == "2":
        return "the third attempt: gRPC tells the server, by metadata, that two came before"
    return None


LESSON = Lesson(
    slug="retry",
    chapter=Chapter.WHEN_CALLS_FAIL,
    number=4,
    question="A service is UNAVAILABLE twice and then well; the channel has a retry policy. What does the caller see?",
    prediction=Prediction(
        (
            "two errors, then an answer",
            "one call that takes a little longer",
            "one call with its attempts as events",
        ),
        "b",
    ),
    run=run,
    notice="One call, three attempts, one answer; and attempts multiply exactly when the server can bear them least.",
    explain=(
        "The policy lives in the service config; gRPC's core repeats the call without telling Python. So the client "
        "has one span, which spans the waits too, and only the server's spans show the attempts; core "
        "counts them, and tells metrics (LAB_GRPC_METRICS=true), of a method and not of a call. The waits grow by "
        "backoffMultiplier, with jitter. When everything fails, each call costs four: retryThrottling spends a token "
        "per failure and stops retrying when half are left, until successes earn tokens back. Once an answer has "
        "begun, nothing is retried."
    ),
    source="grpc.io guide: Retry; gRFC A6",
    try_it=TryIt(
        task="The service now fails three times. Change the policy in the file so that the call still succeeds.",
        hint="maxAttempts counts the first attempt too, and is cut to 5.",
        starter=STARTER,
        solution=STARTER.replace('"maxAttempts": 3', '"maxAttempts": 4'),
        check=check,
    ),
)
