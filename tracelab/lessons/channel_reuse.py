"""What a channel costs, and why a new one for every call often seems to cost nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc

from generated.user_pb2 import ListUsersRequest
from generated.user_pb2_grpc import UserServiceStub
from otel.analysis.model import Span, SpanKind
from tracelab.learn.comparison import compare
from tracelab.learn.lab import ChannelOptions, Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds

CALLS = 5
LOCAL_POOL: ChannelOptions = (("grpc.use_local_subchannel_pool", 1),)


async def run(lab: Lab) -> Outcome:
    """Count the connections of five calls made in three ways, then compare how long a call of each takes."""
    await lab.start("user")
    address, traced = lab.stack.address("user"), lab.telemetry.insecure_channel
    kept = lab.channel("user")  # open all the time, as some other part of a program may have one
    await call(kept)  # connected before anything is looked at: the first call to a server is slow on any channel

    with lab.span("one channel for all calls") as one:
        await five_times(lambda: call(kept))
    with lab.span("a channel for each call") as each:
        await five_times(lambda: call_once(traced(address)))
    with lab.span("a channel for each call, nothing shared") as alone:
        await five_times(lambda: call_once(traced(address, options=LOCAL_POOL)))
    async with grpc.aio.insecure_channel(address) as bare:  # measured without spans of the client's
        compared = await compare(
            {
                "one": lambda: call(bare),
                "each": lambda: call_once(grpc.aio.insecure_channel(address)),
                "alone": lambda: call_once(grpc.aio.insecure_channel(address, options=LOCAL_POOL)),
            }
        )

    facts = (
        equal("connections of 5 calls on one channel", 1, connections(lab, one.trace_id)),
        equal("of 5 channels beside an open one", 1, connections(lab, each.trace_id)),
        equal("of 5 channels that share with none", CALLS, connections(lab, alone.trace_id)),
        holds(
            "a call on a channel that shares with none, by comparison",
            "slower, or not resolved on a busy machine",
            f"{compared.text('alone')} (beside an open one: {compared.text('each')})",
            compared.agrees_with_slower("alone"),
        ),
    )
    strangers = await lab.whole_trace(alone)
    first = next(span.span_id for span in strangers.spans if span.kind is SpanKind.CLIENT)
    return Outcome(
        facts,
        (
            await lab.exhibit("one channel", await lab.whole_trace(one)),
            await lab.exhibit("five channels, nothing shared", strangers, lambda span: mark(span, first)),
        ),
    )


async def call(channel: grpc.aio.Channel) -> None:
    """Make a call on a channel that stays open."""
    await UserServiceStub(channel).ListUsers(ListUsersRequest(), timeout=5)


async def call_once(channel: grpc.aio.Channel) -> None:
    """Make a call on a channel that is closed after it: what not to do."""
    async with channel:
        await call(channel)


async def five_times(make_call: Callable[[], Awaitable[None]]) -> None:
    """Make five calls, one after the other."""
    for _ in range(CALLS):
        await make_call()


def connections(lab: Lab, trace_id: str) -> int:
    """From how many ports the calls of a trace reached the server; a port is a connection."""
    return len({line["peer"] for line in lab.witness("user") if trace_id in (line.get("traceparent") or "")})


def mark(span: Span, first_id: str) -> str | None:
    """What to look at."""
    return "before the server starts: connect, HTTP/2's greeting, then the call" if span.span_id == first_id else None


LESSON = Lesson(
    slug="channel-reuse",
    chapter=Chapter.SHAPES_OF_WORK,
    number=6,
    question="A program opens a channel for every call while another part of it keeps one open. How many connections?",
    prediction=Prediction(
        (
            "one for each call",
            "one: channels to the same place share it",
            "two: the one that is kept, and one for all the others",
        ),
        "b",
    ),
    run=run,
    notice="The pool hides the mistake, until the last other channel closes.",
    explain=(
        "A channel is not a connection. Channels of one process with the same target and options share theirs through "
        "a global pool, so a new channel beside an open one finds the connection ready. It pays only for being made, "
        "and a naive benchmark finds that channels are cheap. Take the pool away, as happens when the last other "
        "channel has been closed, and every call pays for connecting and for HTTP/2's greeting, too. Make one channel "
        "per target, keep it as long as the program lives, and share it: it is made for many calls at once."
    ),
    source="grpc.io guide: Performance Best Practices; gRPC core: grpc.use_local_subchannel_pool",
    try_it=TryIt(
        task="Settle it with the real tool: compare a reused channel with a channel per call on this machine.",
        hint="./lab compare --help lists ready comparisons and what a variant may set; channel= is one of these.",
        solution="./lab compare --preset channel-reuse",
    ),
)
