"""Metadata has limits: a call that is right in itself fails now and then, because its headers are large."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from generated.user_pb2 import ListUsersRequest, ListUsersResponse
from generated.user_pb2_grpc import UserServiceServicer, UserServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.rpc import status_code_name
from tracelab.learn.lab import Lab, RootSpan
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess

CODE = "tracelab.lessons.metadata_limits:Users"
CALLS = 200
FEWER_CALLS = 20
# 8,192 bytes as a header: what W3C lets a caller have.
MEMBERS = {"k00": "v" * 232, **{f"k{number:02d}": "v" * 199 for number in range(1, 40)}}
LEGAL = ",".join(f"{key}={value}" for key, value in MEMBERS.items())
TWICE = f"{LEGAL},{LEGAL}"
SIZE = "tracelab.rpc.metadata_size_bytes"
DROPPED = "tracelab.baggage.dropped_member_count"
REACHED = "tracelab.rpc.handler_reached"


class Users(UserServiceServicer):
    """Answers at once, with gRPC's own limits."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def ListUsers(self, request: ListUsersRequest, context: Any) -> ListUsersResponse:
        """Write down what arrived, and answer."""
        self._process.saw("entered", context)
        return ListUsersResponse()


@dataclass(slots=True)
class Calls:
    """Calls one after the other, each a trace of its own, and how they ended."""

    lab: Lab
    stub: Any
    ended: list[tuple[str, RootSpan]] = field(default_factory=list)

    async def make(self, count: int, header: str = "", **carried: str) -> Calls:
        """Call so often, with a `baggage` header of one's own, or with what tracing makes of what is carried."""
        for _ in range(count):
            code = "OK"
            with self.lab.span("a call", **carried) as root:
                try:
                    metadata = (("baggage", header),) if header else None
                    await self.stub.ListUsers(ListUsersRequest(), timeout=10, metadata=metadata)
                except grpc.aio.AioRpcError as error:
                    code = error.code().name
            self.ended.append((code, root))
        return self

    @property
    def codes(self) -> Counter[str]:
        """How they ended."""
        return Counter(code for code, _ in self.ended)

    async def first(self, code: str) -> Trace:
        """The trace of the first that ended so."""
        return await self.lab.whole_trace(next(root for ended, root in self.ended if ended == code))


async def run(lab: Lab) -> Outcome:
    """Send legal baggage, twice as much, and what tracing passes on of it; then all of it to a server that takes it."""
    await lab.start("user")
    server = await lab.servicer(CODE, "user", name="usual-limits")
    usual = UserServiceStub(lab.channel(server.address))
    roomy = UserServiceStub(lab.channel("user"))

    legal = await Calls(lab, usual).make(CALLS, LEGAL)
    twice = await Calls(lab, usual).make(FEWER_CALLS, TWICE)
    carried = await Calls(lab, usual).make(CALLS, **MEMBERS)
    taken = await Calls(lab, roomy).make(CALLS, LEGAL)

    refused, cut = await legal.first("RESOURCE_EXHAUSTED"), await carried.first("OK")
    client = of_kind(cut, SpanKind.CLIENT)[0]
    passed_on = server.witness()[-1]["baggage"].count(",") + 1
    facts = (
        holds(
            f"8,192 bytes of baggage, {CALLS} calls: refused with RESOURCE_EXHAUSTED",
            "some, not all",
            legal.codes["RESOURCE_EXHAUSTED"],
            0 < legal.codes["RESOURCE_EXHAUSTED"] < CALLS,
        ),
        equal(
            "SERVER span of a refused call: was its servicer reached",
            [False],
            [span.attributes.get(REACHED) for span in of_kind(refused, SpanKind.SERVER)],
        ),
        equal(f"twice as much, {FEWER_CALLS} calls: refused", FEWER_CALLS, twice.codes["RESOURCE_EXHAUSTED"]),
        equal(f"the same {len(MEMBERS)} members passed on by tracing: refused", 0, CALLS - carried.codes["OK"]),
        holds(
            "members that arrived, and those that the CLIENT span says were left out",
            f"{len(MEMBERS)} together",
            f"{passed_on} and {client.attributes.get(DROPPED)!r}",
            passed_on + int(str(client.attributes.get(DROPPED, 0))) == len(MEMBERS),
        ),
        equal("8,192 bytes to UserService, which takes 16 KiB: refused", 0, CALLS - taken.codes["OK"]),
    )
    exhibits = (
        await lab.exhibit(f"legal, and refused: one of {legal.codes['RESOURCE_EXHAUSTED']}", refused, mark),
        await lab.exhibit("passed on as far as it fits", cut, mark),
    )
    return Outcome(facts, exhibits)


def of_kind(trace: Trace, kind: SpanKind) -> Sequence[Span]:
    """The spans of a kind."""
    return [span for span in trace.spans if span.kind is kind]


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.kind is SpanKind.CLIENT and status_code_name(span.attributes) == "RESOURCE_EXHAUSTED":
        return f"refused at {span.attributes.get(SIZE)!r} bytes, by the server's transport"
    if span.kind is SpanKind.CLIENT and DROPPED in span.attributes:
        return f"{span.attributes[DROPPED]!r} members were left out, and it says so"
    if span.kind is SpanKind.SERVER and span.attributes.get(REACHED) is False:
        return "no servicer was reached, and nothing tells it why: it has no code"
    return None


LESSON = Lesson(
    slug="metadata-limits",
    chapter=Chapter.WHEN_CALLS_FAIL,
    number=9,
    question="A caller's baggage has 8,192 bytes, as much as W3C grants it. How many of 200 such calls fail?",
    prediction=Prediction(("none, it is legal", "a few, by chance", "all, it is too much"), "b"),
    run=run,
    notice="Metadata is for little things: near 8 KiB in all, calls fail by chance, and only their clients know why.",
    explain=(
        "A gRPC server has a soft limit for the metadata of a call, 8,192 bytes in all, and a hard one of twice that. "
        "Between the two it refuses at random, the more often the larger it is, so that a caller who grows notices "
        "before everything fails. What counts is more than the baggage: each entry costs 32 bytes besides, and gRPC "
        "adds some 500. The tracing of this lab leaves out the members that do not fit and says so on the CLIENT span "
        "and in one log line; its services take 16 KiB (grpc.max_metadata_size). A retry may help, since it is chance."
    ),
    source="grpc core's channel arguments (grpc.max_metadata_size); W3C Baggage; RFC 7541 4.1; seen with grpcio 1.85.1",
    try_it=TryIt(
        task="Start the lesson's server with grpc.max_metadata_size=16384. What becomes of the three kinds of calls?",
        hint='lab.servicer takes channel_options=["KEY=VALUE"]. The hard limit is a quarter above a soft one of yours.',
        solution="Legal baggage is never refused; twice as much still may be, now by chance.",
    ),
)
