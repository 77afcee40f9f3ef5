"""What compression saves on the wire, and who can see it."""

from __future__ import annotations

import base64
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc

from generated.order_pb2 import ImportOrdersRequest
from generated.order_pb2_grpc import OrderServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from tracelab.learn.core_counts import CORE_METHOD, MESSAGE_BYTES, WIRE_BYTES, core_counts, core_is_counted
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Fact, Outcome, equal, holds
from tracelab.learn.shop import fill_shop
from tracelab.learn.tcp_proxy import TcpProxy

PAYLOAD_BYTES = 100_000
IMPORT = "tracelab.order.v1.OrderService/ImportOrders"
NAMES = {grpc.Compression.NoCompression: "none", grpc.Compression.Gzip: "gzip"}


@dataclass(frozen=True, slots=True)
class Sent:
    """One upload: what crossed the wire, and what its span says."""

    wire_bytes: int
    trace: Trace

    @property
    def share(self) -> float:
        """Bytes on the wire by bytes of the payload."""
        return self.wire_bytes / PAYLOAD_BYTES

    @property
    def size_by_span(self) -> object:
        """The message's size as the SERVER span has it."""
        server = next(s for s in self.trace.spans if s.kind is SpanKind.SERVER and s.name.endswith("/ImportOrders"))
        return server.events[0].attributes.get("message-size")


async def run(lab: Lab) -> Outcome:
    """Send the same letter 100,000 times and as much noise, as they are and with gzip, through a proxy that counts."""
    has_core = core_is_counted()
    await lab.start("user", "order", environ={"LAB_MESSAGE_EVENTS": "1"}, grpc_metrics=has_core)
    (user_id,) = await fill_shop(lab, users=1, orders_per_user=0)
    noise = base64.b64encode(random.Random(1).randbytes(PAYLOAD_BYTES)).decode()[:PAYLOAD_BYTES]
    async with TcpProxy(lab.stack.address("order")) as proxy:
        await send(lab, proxy, user_id, "warm up", grpc.Compression.NoCompression)
        letters = await send(lab, proxy, user_id, "a" * PAYLOAD_BYTES, grpc.Compression.NoCompression)
        before = await sent_by_core(lab, 2) if has_core else (0, 0)
        small_letters = await send(lab, proxy, user_id, "a" * PAYLOAD_BYTES, grpc.Compression.Gzip)
        core = core_facts(before, await sent_by_core(lab, 3)) if has_core else ()
        small_noise = await send(lab, proxy, user_id, noise, grpc.Compression.Gzip)
    facts = (
        holds(
            "one letter, as it is: bytes on the wire by bytes of text",
            "more than 100 %",
            percent(letters.share),
            letters.share > 1,
        ),
        holds("one letter, gzip", "less than 2 %", percent(small_letters.share), small_letters.share < 0.02),
        holds(
            "noise in base64, gzip: its six bits in eight cannot be squeezed",
            "between 70 and 90 %",
            percent(small_noise.share),
            0.7 < small_noise.share < 0.9,
        ),
        equal(
            "size of the letters' message on the span, with gzip as without",
            letters.size_by_span,
            small_letters.size_by_span,
        ),
        equal("attributes by which the two CLIENT spans differ", [], differing(letters.trace, small_letters.trace)),
        *core,
    )
    exhibits = (
        await lab.exhibit("100,000 letters, as they are", letters.trace, lambda s: mark(s, letters)),
        await lab.exhibit("100,000 letters, gzip", small_letters.trace, lambda s: mark(s, small_letters)),
    )
    return Outcome(facts, exhibits)


async def send(lab: Lab, proxy: TcpProxy, user_id: str, note: str, compression: grpc.Compression) -> Sent:
    """Import one order with this note and count what the proxy forwarded."""

    async def rows() -> AsyncIterator[ImportOrdersRequest]:
        yield ImportOrdersRequest(user_id=user_id, amount_minor_units=100, note=note)

    before = proxy.bytes_to_server
    with lab.span(f"upload, compression {NAMES[compression]}") as root:
        await OrderServiceStub(lab.channel(proxy.address)).ImportOrders(rows(), compression=compression, timeout=5)
    return Sent(proxy.bytes_to_server - before, await lab.whole_trace(root))


async def sent_by_core(lab: Lab, uploads: int) -> tuple[int, int]:
    """Bytes on the wire as gRPC's core counted them, and of messages as they were; of all uploads so far."""
    await core_counts(lab, WIRE_BYTES, CORE_METHOD, lambda found: found.get(IMPORT, 0) >= uploads, is_histogram=True)
    wire = await core_counts(lab, WIRE_BYTES, CORE_METHOD, lambda found: IMPORT in found)
    messages = await core_counts(lab, MESSAGE_BYTES, "rpc.method", lambda found: IMPORT in found)
    return wire[IMPORT], messages[IMPORT]


def core_facts(before: tuple[int, int], after: tuple[int, int]) -> tuple[Fact, ...]:
    """What the metrics say of the one upload between two readings."""
    wire, message = after[0] - before[0], after[1] - before[1]
    return (
        holds("the letters' message by metrics, gzip", "over 100,000 bytes", f"{message:,}", message > PAYLOAD_BYTES),
        holds(
            "the same by gRPC's core: bytes on the wire by bytes of the message",
            "less than 2 %",
            percent(wire / message),
            wire / message < 0.02,
        ),
    )


def differing(one: Trace, other: Trace) -> list[str]:
    """The attributes in which the uploads' CLIENT spans differ."""
    first, second = (client(trace).attributes for trace in (one, other))
    return sorted(key for key in {*first, *second} if first.get(key) != second.get(key))


def percent(share: float) -> str:
    """A share for a person."""
    return f"{share * 100:.1f} %"


def client(trace: Trace) -> Span:
    """The uploader's side."""
    return next(s for s in trace.spans if s.kind is SpanKind.CLIENT and s.name.endswith("/ImportOrders"))


def mark(span: Span, sent: Sent) -> str | None:
    """What to look at."""
    if span.kind is SpanKind.SERVER and span.name.endswith("/ImportOrders"):
        return f"its message: {sent.size_by_span} bytes by the span, {sent.wire_bytes} on the wire"
    return None


LESSON = Lesson(
    slug="compression",
    chapter=Chapter.SHAPES_OF_WORK,
    number=7,
    question="A client switches gzip on and its uploads shrink to a hundredth. Where in the trace do you see that?",
    prediction=Prediction(
        (
            "in the message sizes of its spans",
            "nowhere",
            "in the metadata: grpc-encoding is gzip",
        ),
        "b",
    ),
    run=run,
    notice="Compression is bought with CPU, and a trace names neither the price nor the bytes saved.",
    explain=(
        "gRPC compresses below everything that an interceptor or a handler sees: message by message, after it was "
        "serialized and before it is framed. So spans count the bytes of the message, the header that names the "
        "encoding is taken off before the metadata is handed over, and only something on the wire, here a proxy, or "
        "gRPC's core itself, by a metric (LAB_GRPC_METRICS=true), can tell. What repeats itself shrinks to almost "
        "nothing; noise, and whatever is compressed or encrypted already, "
        "costs the work and stays. On a loopback or in one data centre the work is often the dearer of the two."
    ),
    source="grpc.io guide: Compression; gRPC: message compression specification",
    try_it=TryIt(
        task="Is gzip worth it on this machine? Compare a call with many orders, with and without it.",
        hint="./lab compare --help lists ready comparisons and what a variant may set; compression= is one of these.",
        solution="./lab compare --preset compression",
    ),
)
