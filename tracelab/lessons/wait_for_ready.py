"""Wait for ready: fail at once while nobody listens, or wait until somebody does."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import grpc

from generated.user_pb2 import GetUserRequest, GetUserResponse, User
from generated.user_pb2_grpc import UserServiceServicer, UserServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess

# By default the pause between attempts to connect begins at a second and grows to two minutes.
EAGER = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 100),
)


class Users(UserServiceServicer):
    """Knows every user."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def GetUser(self, request: GetUserRequest, context: Any) -> GetUserResponse:
        """Answer at once."""
        self._process.saw("entered", context)
        return GetUserResponse(user=User(user_id=request.user_id))


async def run(lab: Lab) -> Outcome:
    """Call a port where nobody listens, in three ways, and let a server come up under the third."""
    await lab.start("")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: a call is refused, and nobody else takes the port
        port = reserved.getsockname()[1]
        stub = UserServiceStub(lab.channel(f"127.0.0.1:{port}", options=EAGER))
        fast_code, fast = await call(lab, stub, "fail fast", timeout_s=5, wait=False)
        late_code, late = await call(lab, stub, "wait 300 ms", timeout_s=0.3, wait=True)
        waiting = asyncio.create_task(call(lab, stub, "wait until it is up", timeout_s=20, wait=True))
        await asyncio.sleep(0.3)
    server = await lab.servicer("tracelab.lessons.wait_for_ready:Users", "user", name="late", port=port)
    up_code, up = await waiting

    (client,) = spans(up, SpanKind.CLIENT)
    (served,) = spans(up, SpanKind.SERVER)
    before_ns = served.start_time_unix_nano - client.start_time_unix_nano
    after_ns = client.end_time_unix_nano - served.start_time_unix_nano
    refused_ns, waited_ns = (spans(trace, SpanKind.CLIENT)[0].duration_ns for trace in (fast, late))
    facts = (
        equal("nobody listens, fail fast", "UNAVAILABLE", fast_code),
        equal("nobody listens, wait", "DEADLINE_EXCEEDED", late_code),
        holds(
            "failing fast takes less than waiting",
            "less",
            "less" if refused_ns < waited_ns else "more",
            refused_ns < waited_ns,
        ),
        equal("SERVER spans of these two", 0, len(spans(fast, SpanKind.SERVER) + spans(late, SpanKind.SERVER))),
        equal("the server comes up while a call waits", "OK", up_code),
        equal("attempts that this server saw", 1, len(server.witness())),
        holds(
            "share of the call that was over before the server had heard of it",
            "more than half",
            f"{before_ns / (before_ns + after_ns):.0%}",
            before_ns > after_ns,
        ),
    )
    exhibits = (
        await lab.exhibit("fail fast", fast, mark),
        await lab.exhibit("wait for 300 ms", late, mark),
        await lab.exhibit("wait until it is up", up, mark),
    )
    return Outcome(facts, exhibits)


async def call(lab: Lab, stub: Any, title: str, *, timeout_s: float, wait: bool) -> tuple[str, Trace]:
    """Make one call; its code, and its trace."""
    with lab.span(title) as root:
        try:
            await stub.GetUser(GetUserRequest(user_id="u"), timeout=timeout_s, wait_for_ready=wait)
            code = grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            code = error.code()
    return code.name, await lab.whole_trace(root)


def spans(trace: Trace, kind: SpanKind) -> list[Span]:
    """The spans of a kind."""
    return [span for span in trace.spans if span.kind is kind]


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.kind is SpanKind.SERVER:
        return "all that the server knows of: it came up long after the call began"
    if span.kind is SpanKind.CLIENT and span.is_error:
        return "no server side: nobody ever heard of this call"
    return None


LESSON = Lesson(
    slug="wait-for-ready",
    chapter=Chapter.WHEN_CALLS_FAIL,
    number=6,
    question=(
        "Nobody listens yet. A client calls with wait_for_ready=True; then a server comes up. What does the caller get?"
    ),
    prediction=Prediction(
        (
            "UNAVAILABLE at once",
            "OK, after a pause that only the client sees",
            "OK, and the server sees a slow call",
        ),
        "b",
    ),
    run=run,
    notice="Waiting for a connection looks like a slow call without a server: the wait is all in the client's span.",
    explain=(
        "A call needs a connection first. Without wait_for_ready it fails, UNAVAILABLE, as soon as connecting has "
        "failed, which is right when somebody else can answer: at once where the port is refused, but a host that does "
        "not answer at all takes longer to give up on. With it a call waits in the client until the channel is READY "
        "or the deadline passes; so never wait without a deadline. How soon a channel tries "
        "again is its reconnect backoff: a second at first, and growing, unless the channel's options say otherwise. "
        "At the start of a system, where servers come up in any order, it spares you a retry loop."
    ),
    source="grpc.io guide: Wait-for-Ready; gRPC connection backoff",
    try_it=TryIt(
        task=(
            "Set all three of EAGER to 5000, in tracelab/lessons/wait_for_ready.py, and run the lesson again. The "
            "server comes up as soon as before: why does the last call take longer now?"
        ),
        hint="A channel whose attempt to connect has failed waits before the next; who tells it that a server is up?",
        solution=(
            "Nobody does: it finds out at its next attempt, about 5 s after the first. By default that pause is 1 s at "
            "first and 1.6 times longer each time, up to 2 minutes."
        ),
    ),
)
