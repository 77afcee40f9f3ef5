"""Draining: a server that only asks its library to stop gracefully still cuts off the calls that it had not begun."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from generated.user_pb2 import ListUsersRequest, ListUsersResponse
from generated.user_pb2_grpc import UserServiceServicer, UserServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.rpc import status_code_name
from tracelab.learn.lab import Lab, LessonError, RootSpan, Servicer
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess

CODE = "tracelab.lessons.drain:Users"
BUSY_CODE = "tracelab.lessons.drain:BusyUsers"
WORK_S = 0.005
CALLERS = 20
ANSWERS_BEFORE = 100  # until every caller is at it
GRACE_S = 5.0
CONNECTION_AGE = "grpc.max_connection_age_ms=300"
PAUSE_AFTER_FAILURE_S = 0.01
USUAL = ("UNAVAILABLE",)
# What the lab's own clients repeat: a call that crosses with the GOAWAY may still read CANCELLED.
OURS = ("UNAVAILABLE", "CANCELLED")


class Users(UserServiceServicer):
    """Answers at once."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def ListUsers(self, request: ListUsersRequest, context: Any) -> ListUsersResponse:
        """Answer."""
        self._process.saw("entered", context)
        return ListUsersResponse()


class BusyUsers(Users):
    """Works 5 ms for an answer and keeps the event loop from other calls meanwhile: callers queue here."""

    async def ListUsers(self, request: ListUsersRequest, context: Any) -> ListUsersResponse:
        """Work, and answer."""
        compute()
        return await super().ListUsers(request, context)


def compute() -> None:
    """Hold the event loop."""
    time.sleep(WORK_S)


@dataclass(slots=True)
class Load:
    """Callers who call again as soon as they are answered; each call is a trace of its own."""

    lab: Lab
    stub: Any
    calls: list[tuple[str, RootSpan]] = field(default_factory=list)
    over: bool = False

    async def caller(self) -> None:
        """Call again and again, until it is over."""
        while not self.over:
            code = "OK"
            with self.lab.span("a call") as root:
                try:
                    await self.stub.ListUsers(ListUsersRequest(), timeout=10)
                except grpc.aio.AioRpcError as error:
                    code = error.code().name
            self.calls.append((code, root))
            if code != "OK":
                await asyncio.sleep(PAUSE_AFTER_FAILURE_S)

    @property
    def codes(self) -> Counter[str]:
        """How the calls ended."""
        return Counter(code for code, _ in self.calls)

    def ended(self, code: str) -> list[RootSpan]:
        """The calls that ended so."""
        return [root for ended, root in self.calls if ended == code]


async def run(lab: Lab) -> Outcome:
    """Stop one of two busy servers, by its library alone and as a service should; then let connections grow old."""
    await lab.start("user")
    alone, steady, elsewhere, aging = await asyncio.gather(
        lab.servicer(BUSY_CODE, "user", name="library-alone", grace_s=GRACE_S),
        lab.servicer(CODE, "user", name="steady"),
        lab.servicer(CODE, "user", name="elsewhere"),
        lab.servicer(CODE, "user", name="aging", channel_options=[CONNECTION_AGE]),
    )
    service = lab.stack.process("user")

    async def gone(pid: int) -> None:
        os.kill(pid, signal.SIGTERM)
        await lab.until(lambda: lab.stack.died() is not None, "the end of the service")

    async def stopped(server: Servicer) -> None:
        server.process.terminate()
        await lab.until(lambda: server.process.exit_code is not None, "the end of the server")

    async def grown_old() -> None:
        await lab.until(lambda: client_ports(aging) > 1, "a new connection")

    both = [service.addresses["grpc"], elsewhere.address]
    asked = await under_load(lab, [alone.address, steady.address], USUAL, lambda: stopped(alone))
    drained = await under_load(lab, both, OURS, lambda: gone(service.pid))
    aged = await under_load(lab, [aging.address], USUAL, grown_old)

    cancelled = await trace_of_first(
        lab, [root.trace_id for root in asked.ended("CANCELLED")], "ended CANCELLED", server_count=0
    )
    repeated = await trace_of_first(lab, repeats(elsewhere), "was repeated elsewhere", server_count=2)
    ports = client_ports(aging)
    facts = (
        holds(
            "stop(5) alone: calls that ended CANCELLED", "some", asked.codes["CANCELLED"], "CANCELLED" in asked.codes
        ),
        equal("SERVER spans of such a call", 0, len(servers(cancelled))),
        equal("as a service should: calls that failed", 0, drained.codes.total() - drained.codes["OK"]),
        holds("calls that came too late and were repeated", "some", len(repeats(elsewhere)), bool(repeats(elsewhere))),
        equal(
            "what the SERVER spans of such a call say",
            ["UNAVAILABLE", "OK"],
            [status_code_name(span.attributes) for span in servers(repeated)],
        ),
        holds("connections grow old: client ports of one channel", "2 or more", ports, ports >= 2),
        equal("calls that failed", 0, aged.codes.total() - aged.codes["OK"]),
    )
    exhibits = (
        await lab.exhibit(f"stop(5) alone: one of {asked.codes['CANCELLED']} that nobody cancelled", cancelled, mark),
        await lab.exhibit("as a service should: held, told UNAVAILABLE, repeated elsewhere", repeated, mark),
    )
    return Outcome(facts, exhibits)


async def under_load(
    lab: Lab, addresses: Sequence[str], repeated_codes: Sequence[str], harm: Callable[[], Awaitable[None]]
) -> Load:
    """Keep calling, round robin; meanwhile let something happen."""
    channel = lab.channel(f"ipv4:{','.join(addresses)}", service_config=anywhere(repeated_codes))
    load = Load(lab, UserServiceStub(channel))
    callers = [asyncio.create_task(load.caller()) for _ in range(CALLERS)]
    try:
        await lab.until(lambda: load.codes["OK"] >= ANSWERS_BEFORE, "the first answers")
        await harm()
    finally:
        load.over = True
        await asyncio.gather(*callers)
    return load


def anywhere(repeated_codes: Sequence[str]) -> Mapping[str, object]:
    """The service config of a channel that goes to any server, and tries again elsewhere."""
    policy = {
        "maxAttempts": 3,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": list(repeated_codes),
    }
    return {"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [{"name": [{}], "retryPolicy": policy}]}


async def trace_of_first(lab: Lab, trace_ids: Sequence[str], what: str, *, server_count: int) -> Trace:
    """The trace of the first of these calls, once its client and so many servers have told."""
    if not trace_ids:
        raise LessonError(f"no call {what}; run the lesson again")
    return await lab.trace(
        trace_ids[0], lambda trace: len(servers(trace)) >= server_count and any(is_root(span) for span in trace.spans)
    )


def is_root(span: Span) -> bool:
    """Whether it is the span around a call, which arrives with the call's own, or after it."""
    return not span.parent_span_id


def repeats(server: Servicer) -> list[str]:
    """The traces of the calls that reached this server at a second try."""
    tried_before = [line for line in server.witness() if line["grpc-previous-rpc-attempts"] not in {"", "0"}]
    return [line["traceparent"].split("-")[1] for line in tried_before]


def client_ports(server: Servicer) -> int:
    """How many client ports a server has seen."""
    return len({line["peer"] for line in server.witness()})


def servers(trace: Trace) -> list[Span]:
    """The SERVER spans, in the order of their start."""
    spans = [span for span in trace.spans if span.kind is SpanKind.SERVER]
    return sorted(spans, key=lambda span: span.start_time_unix_nano)


def mark(span: Span) -> str | None:
    """What to look at."""
    code = status_code_name(span.attributes)
    if span.kind is SpanKind.CLIENT and code == "CANCELLED":
        return "cancelled, it says; nobody did, and no server has begun it"
    if span.kind is SpanKind.SERVER and code == "UNAVAILABLE":
        return "came too late: not begun, and told so"
    if span.kind is SpanKind.SERVER:
        return "the same call, at the other server"
    return None


LESSON = Lesson(
    slug="drain",
    chapter=Chapter.RUNNING_IT,
    number=3,
    question=(
        "A busy server is stopped with time to finish; another one is there, and calls are retried. "
        "What becomes of a call that it had not begun?"
    ),
    prediction=Prediction(
        ("it goes to the other server", "it fails UNAVAILABLE and is retried", "it fails CANCELLED and is not"), "c"
    ),
    run=run,
    notice="stop(grace) finishes what was begun. To lose nothing, be quiet first, and answer behind the GOAWAY.",
    explain=(
        "A busy server has taken calls that no handler has begun. Python's stop(grace) lets those in hand finish, "
        "sends GOAWAY, and ends the others CANCELLED, which no usual retry policy repeats and no SERVER span tells of. "
        "The services of this lab first say NOT_SERVING, then hold new calls and finished answers: callers who wait "
        "send nothing, so nothing is on its way when the server is stopped. Only then, behind the GOAWAY, come the "
        "answers, and UNAVAILABLE for what was not begun, which is repeated elsewhere. max_connection_age sends a "
        "GOAWAY while the server goes on, so it costs no call."
    ),
    source="grpc.io guides: Graceful Shutdown, Keepalive; gRFC A9; grpc core, server.cc; seen with grpcio 1.85.1",
    try_it=TryIt(
        task="Let the first run repeat OURS, too. What becomes of its calls now, and why not do that for writes?",
        hint="A server can answer CANCELLED to a call that it had begun, as well.",
        solution="They are repeated and none fails. A write may then be done twice, unless its request says who it is.",
    ),
)
