"""A slow reader makes the writer wait, once the windows between them are full."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from opentelemetry import trace as otel_trace

from generated.order_pb2 import Order, StreamOrdersRequest, StreamOrdersResponse
from generated.order_pb2_grpc import OrderServiceServicer, OrderServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from tracelab.learn.exercise import ExerciseError
from tracelab.learn.lab import ChannelOptions, Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.servicer_process import ServerProcess

MESSAGES = 40
MESSAGE_BYTES = 64 * 1024
READER_S = 0.02
SMALL_WINDOWS: ChannelOptions = (("grpc.http2.bdp_probe", 0),)  # they stay at 64 KiB, with which all begin
STARTER = """\
# Options of the reader's channel. The server sends 40 messages of 64 KiB; this reader takes one every 20 ms.
# As it stands the server sends nearly all of them ahead, into the reader's memory.
# Make it wait: when the server is done, at least 30 messages must have been read.
CHANNEL_OPTIONS = []
"""
SOLUTION = STARTER.replace("[]", '[("grpc.http2.bdp_probe", 0)]')


class Orders(OrderServiceServicer):
    """Sends 40 big messages, and notes how long it stood in `write`."""

    def __init__(self, process: ServerProcess) -> None:
        self._process = process

    async def StreamOrders(  # type: ignore[override]  # gRPC also takes a coroutine that writes
        self, request: StreamOrdersRequest, context: Any
    ) -> None:
        """Write as fast as gRPC takes it."""
        message = StreamOrdersResponse(order=Order(note="x" * MESSAGE_BYTES))
        span = otel_trace.get_current_span()
        started_ns = time.monotonic_ns()
        for _ in range(MESSAGES):
            await context.write(message)
        span.set_attribute("lesson.write_wait_ns", time.monotonic_ns() - started_ns)


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of one slow reader."""

    trace: Trace
    read_when_all_was_sent: int

    @property
    def server(self) -> Span:
        """The writer's side."""
        return next(span for span in self.trace.spans if span.kind is SpanKind.SERVER)

    @property
    def wait_share(self) -> float:
        """How much of the reader's whole time the writer stood in `write`."""
        client = next(span for span in self.trace.spans if span.kind is SpanKind.CLIENT)
        return cast("int", self.server.attributes["lesson.write_wait_ns"]) / client.duration_ns


async def run(lab: Lab) -> Outcome:
    """Let two slow readers read the same stream, one with small windows and one with the usual ones."""
    await lab.start("")
    server = await lab.servicer("tracelab.lessons.flow_control:Orders", "order")
    small, usual = await asyncio.gather(
        read_slowly(lab, server.address, "small windows", SMALL_WINDOWS),
        read_slowly(lab, server.address, "usual windows", ()),
    )
    facts = (
        holds(
            "small windows: messages read when the server had sent the last",
            "30 or more of 40",
            small.read_when_all_was_sent,
            small.read_when_all_was_sent >= 30,
        ),
        holds(
            "small windows: share of the call that the server stood in write",
            "more than half",
            f"{small.wait_share * 100:.0f} %",
            small.wait_share > 0.5,
        ),
        holds(
            "usual windows: messages read when the server had sent the last",
            "fewer than 20 of 40",
            usual.read_when_all_was_sent,
            usual.read_when_all_was_sent < 20,
        ),
        holds(
            "usual windows: share of the call that the server stood in write",
            "less than half",
            f"{usual.wait_share * 100:.0f} %",
            usual.wait_share < 0.5,
        ),
        equal("messages that both readers got", (MESSAGES, MESSAGES), (received(small), received(usual))),
    )
    exhibits = (
        await lab.exhibit("small windows", small.trace, lambda s: mark(s, "the writer is as slow as its reader")),
        await lab.exhibit("usual windows", usual.trace, lambda s: mark(s, "done long before the reader is")),
    )
    return Outcome(facts, exhibits)


async def read_slowly(lab: Lab, address: str, name: str, options: ChannelOptions) -> Reading:
    """Read the stream with a pause after each message."""
    read_ns: list[int] = []
    with lab.span(name) as root:
        call = OrderServiceStub(lab.channel(address, options=options)).StreamOrders(StreamOrdersRequest(), timeout=20)
        try:
            async for _ in call:
                read_ns.append(time.time_ns())
                await asyncio.sleep(READER_S)
        finally:
            call.cancel()
    trace = await lab.whole_trace(root)
    server = next(span for span in trace.spans if span.kind is SpanKind.SERVER)
    return Reading(trace, sum(moment < server.end_time_unix_nano for moment in read_ns))


def received(reading: Reading) -> object:
    """How many messages the reader's span counted."""
    client = next(span for span in reading.trace.spans if span.kind is SpanKind.CLIENT)
    return client.attributes.get("tracelab.rpc.received_message_count")


def mark(span: Span, text: str) -> str | None:
    """What to look at."""
    return text if span.kind is SpanKind.SERVER else None


def options_in(names: Mapping[str, object]) -> ChannelOptions:
    """The learner's options; ExerciseError for those that gRPC would refuse, or pass over without a word."""
    options = names.get("CHANNEL_OPTIONS")
    if not isinstance(options, list | tuple) or not all(map(is_option, options)):
        raise ExerciseError(
            "CHANNEL_OPTIONS is no list of pairs of a name and a number",
            'such as [("grpc.max_metadata_size", 8192)]: a list, pairs in it, no quotes around the number',
        )
    return options


def is_option(pair: object) -> bool:
    """Whether something is an option with a number."""
    return isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], int)


async def check(lab: Lab, names: Mapping[str, object]) -> Outcome:
    """Read slowly over the learner's channel."""
    options = options_in(names)
    await lab.start("")
    server = await lab.servicer("tracelab.lessons.flow_control:Orders", "order")
    reading = await read_slowly(lab, server.address, "your options", options)
    count = reading.read_when_all_was_sent
    return Outcome((holds("messages read when the server had sent the last", "30 or more of 40", count, count >= 30),))


LESSON = Lesson(
    slug="flow-control",
    chapter=Chapter.SHAPES_OF_WORK,
    number=5,
    question="A server streams 2.6 MB; the client reads one message every 20 ms. How does the server notice?",
    prediction=Prediction(
        (
            "it does not, until the windows are full: then its write waits",
            "gRPC tells it with each message that was read",
            "the call fails when the reader falls behind",
        ),
        "a",
    ),
    run=run,
    notice="The sender's clock shows the receiver's speed, but only once the windows between them are full.",
    explain=(
        "HTTP/2 gives each stream a window of bytes that may be under way, and the receiver opens it again as it "
        "reads. While there is room a write returns at once, and the server believes that it is done. gRPC measures "
        "the line and widens the windows by itself, so a short stream never fills them and its data waits in the "
        "reader's memory. With small, fixed windows the server's span is as long as its reader's. A slow writer's "
        "span may be a slow reader: look at the other side before you tune a query."
    ),
    source="grpc.io guide: Flow Control; RFC 9113, section 5.2",
    try_it=TryIt(
        task="Set options on the reader's channel so that the server cannot send much ahead of it.",
        hint="Windows begin with 64 KiB; gRPC widens them by what its BDP probe finds. One option ends the probing.",
        starter=STARTER,
        solution=SOLUTION,
        check=check,
    ),
)
