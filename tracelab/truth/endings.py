"""The matrix: every kind of RPC, every way that it can end, and what is true of both sides then.

A scenario says what a client and a servicer do and what both spans must say afterwards. What must be said is written
down here by hand, from gRPC's own rules; the witnesses (`witness.py`) prove that the scenario really took place so.
Source: gRPC status codes, semantic conventions for gRPC v1.44.0 (CLIENT spans fail for every code but OK, SERVER spans
only for the server's own faults).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

SERVICE = "tracelab.truth.v1.TruthService"

SERVER_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})


class Kind(Enum):
    """The four kinds of RPC; the value is the name in tables and JSON."""

    UNARY_UNARY = "unary-unary"
    UNARY_STREAM = "unary-stream"
    STREAM_UNARY = "stream-unary"
    STREAM_STREAM = "stream-stream"

    @property
    def sends_stream(self) -> bool:
        """Whether the client sends a stream."""
        return self in {Kind.STREAM_UNARY, Kind.STREAM_STREAM}

    @property
    def receives_stream(self) -> bool:
        """Whether the client receives a stream."""
        return self in {Kind.UNARY_STREAM, Kind.STREAM_STREAM}

    @property
    def method(self) -> str:
        """The method of `SERVICE` of this kind, such as `UnaryStream`."""
        return "".join(part.capitalize() for part in self.value.split("-"))


ALL_KINDS = tuple(Kind)
ANSWER_STREAMS = (Kind.UNARY_STREAM, Kind.STREAM_STREAM)
REQUEST_STREAMS = (Kind.STREAM_UNARY, Kind.STREAM_STREAM)


class Server(Enum):
    """Which server process a scenario talks to; those that end badly have one of their own."""

    STEADY = "steady"
    STOPPED = "stopped"
    KILLED = "killed"
    FROZEN = "frozen"
    FULL = "full"
    ABSENT = "absent"


class Act(Enum):
    """What the client does with the call."""

    FINISH = "finish"
    CANCEL_AT_ONCE = "cancel before the first message"
    CANCEL_AFTER_MESSAGE = "cancel after the first message"
    CANCEL_WHILE_READ = "cancel while the servicer waits for the next request"
    CLOSE_CHANNEL = "close the channel"
    CALL_ON_CLOSED = "call on a closed channel"
    SEND_ODD_METADATA = "send metadata that cannot be encoded"
    ABANDON = "leave the loop without cancelling"
    WRITE = "write()"
    READ = "read()"
    SEND_GARBAGE = "send bytes that do not parse"
    SEND_LARGE = "send 5 MB"
    KEEP_OPEN = "keep its side of the stream open"


class SpanExpected(Enum):
    """Whether a span must be there."""

    ONE = "one"
    NONE = "none"
    UNKNOWABLE = "a span without a code"


@dataclass(frozen=True, slots=True)
class Ending:
    """One way of ending, for the kinds that can end so.

    `behaviour` is what the servicer does (`servicer.py`), `client_code` and `server_code` the status names that are
    true on each side ("" for a call that never got a status: the client is raised `client_error` instead);
    `exceptions` how many unhandled exceptions the servicer raised; `server_spans` how many SERVER spans the call must
    have, the last of which has `server_code` (the others are failed attempts).
    """

    name: str
    behaviour: str
    client_code: str
    server_code: str = ""
    client_error: str = ""
    kinds: tuple[Kind, ...] = ALL_KINDS
    act: Act = Act.FINISH
    server: Server = Server.STEADY
    timeout_s: float = 5.0
    exceptions: int = 0
    server_spans: int = 1
    server_span: SpanExpected = SpanExpected.ONE
    method_suffix: str = ""
    wait_for_ready: bool = False
    reaches_servicer: bool = True

    @property
    def true_server_code(self) -> str:
        """The code that the SERVER span must have: by default the client's."""
        return self.server_code or self.client_code


@dataclass(frozen=True, slots=True)
class Scenario:
    """One ending of one kind."""

    kind: Kind
    ending: Ending

    @property
    def name(self) -> str:
        """Unique within a run: `deadline/unary-stream`."""
        return f"{self.ending.name}/{self.kind.value}"

    @property
    def method(self) -> str:
        """The full method name without a leading slash."""
        return f"{SERVICE}/{self.kind.method}{self.ending.method_suffix}"


ENDINGS: tuple[Ending, ...] = (
    Ending("ok", "answer", "OK"),
    Ending("domain error", "abort", "NOT_FOUND"),
    Ending("rich status", "abort_with_status", "NOT_FOUND"),
    Ending("status set, then returned", "set_code", "NOT_FOUND"),
    Ending("unhandled exception", "raise", "UNKNOWN", exceptions=1),
    Ending("abort after messages", "abort_after_messages", "INTERNAL", kinds=ANSWER_STREAMS),
    Ending("deadline", "wait", "DEADLINE_EXCEEDED", timeout_s=0.4),
    Ending("deadline, servicer ignores it", "swallow", "DEADLINE_EXCEEDED", timeout_s=0.4),
    Ending("deadline, found by the servicer", "abort_deadline", "DEADLINE_EXCEEDED"),
    Ending("client cancels before a message", "wait", "CANCELLED", act=Act.CANCEL_AT_ONCE),
    Ending(
        "client cancels after a message",
        "answer_then_wait",
        "CANCELLED",
        kinds=ANSWER_STREAMS,
        act=Act.CANCEL_AFTER_MESSAGE,
    ),
    Ending(
        "client cancels while its requests are read",
        "answer",
        "CANCELLED",
        kinds=REQUEST_STREAMS,
        act=Act.CANCEL_WHILE_READ,
        server_span=SpanExpected.UNKNOWABLE,
    ),
    Ending("channel closed", "wait", "CANCELLED", act=Act.CLOSE_CHANNEL),
    Ending("server stopped", "wait", "UNAVAILABLE", server=Server.STOPPED),
    Ending("server killed", "wait", "UNAVAILABLE", server=Server.KILLED, server_span=SpanExpected.NONE),
    Ending(
        "server frozen",
        "wait",
        "DEADLINE_EXCEEDED",
        server=Server.FROZEN,
        timeout_s=0.6,
        server_span=SpanExpected.NONE,
        reaches_servicer=False,
    ),
    Ending(
        "stream abandoned",
        "answer_then_wait",
        "DEADLINE_EXCEEDED",
        kinds=ANSWER_STREAMS,
        act=Act.ABANDON,
        timeout_s=1.0,
    ),
    Ending("servicer returns early", "return_early", "OK", kinds=REQUEST_STREAMS, act=Act.KEEP_OPEN),
    Ending("retried, then OK", "fail_twice", "OK", server_spans=3),
    Ending("retried, exhausted", "fail_always", "UNAVAILABLE", server_spans=3),
    Ending("unknown method", "", "UNIMPLEMENTED", method_suffix="Unheard", reaches_servicer=False),
    Ending(
        "over the concurrency limit",
        "wait",
        "RESOURCE_EXHAUSTED",
        server=Server.FULL,
        server_span=SpanExpected.UNKNOWABLE,
        reaches_servicer=False,
    ),
    Ending(
        "call on a closed channel",
        "",
        "",
        client_error="UsageError",
        act=Act.CALL_ON_CLOSED,
        server_span=SpanExpected.NONE,
        reaches_servicer=False,
    ),
    Ending(
        "metadata that cannot be sent",
        "answer",
        "",
        client_error="ExecuteBatchError",
        act=Act.SEND_ODD_METADATA,
        kinds=(Kind.UNARY_UNARY,),
        server_span=SpanExpected.NONE,
        reaches_servicer=False,
        timeout_s=1.0,
    ),
    Ending(
        "metadata that cannot be sent",
        "answer",
        "INTERNAL",
        act=Act.SEND_ODD_METADATA,
        kinds=(Kind.UNARY_STREAM, *REQUEST_STREAMS),
        server_span=SpanExpected.NONE,
        reaches_servicer=False,
        timeout_s=1.0,
    ),
    Ending("connection refused", "", "UNAVAILABLE", server=Server.ABSENT, server_span=SpanExpected.NONE),
    Ending(
        "wait for ready",
        "",
        "DEADLINE_EXCEEDED",
        server=Server.ABSENT,
        timeout_s=0.4,
        server_span=SpanExpected.NONE,
        wait_for_ready=True,
    ),
    Ending(
        "request too large",
        "answer",
        "RESOURCE_EXHAUSTED",
        act=Act.SEND_LARGE,
        kinds=(Kind.UNARY_UNARY, Kind.UNARY_STREAM),
        server_span=SpanExpected.UNKNOWABLE,
        reaches_servicer=False,
    ),
    Ending(
        "request too large",
        "answer",
        "RESOURCE_EXHAUSTED",
        act=Act.SEND_LARGE,
        kinds=REQUEST_STREAMS,
        server_span=SpanExpected.UNKNOWABLE,
    ),
    Ending("answer too large", "answer_large", "RESOURCE_EXHAUSTED", "OK", kinds=(Kind.UNARY_UNARY, Kind.STREAM_UNARY)),
    Ending("answer too large", "answer_large_then_wait", "RESOURCE_EXHAUSTED", "CANCELLED", kinds=ANSWER_STREAMS),
    Ending(
        "request that does not parse",
        "answer",
        "UNKNOWN",
        exceptions=1,
        act=Act.SEND_GARBAGE,
        kinds=(Kind.UNARY_UNARY, Kind.UNARY_STREAM),
        reaches_servicer=False,
    ),
    Ending(
        "request that does not parse",
        "answer",
        "UNKNOWN",
        exceptions=1,
        act=Act.SEND_GARBAGE,
        kinds=REQUEST_STREAMS,
    ),
    Ending("answer that cannot be serialized", "answer_wrong_type", "UNKNOWN", exceptions=1),
    Ending("servicer writes", "answer", "OK", kinds=ANSWER_STREAMS, method_suffix="Writer"),
    Ending("plain function", "answer", "OK", method_suffix="Plain"),
    Ending("client writes", "answer", "OK", kinds=REQUEST_STREAMS, act=Act.WRITE),
    Ending("client reads", "answer", "OK", kinds=ANSWER_STREAMS, act=Act.READ),
)


def scenarios(endings: tuple[Ending, ...] = ENDINGS) -> Iterator[Scenario]:
    """Every cell of the matrix, in order of the table."""
    for ending in endings:
        for kind in ending.kinds:
            yield Scenario(kind, ending)
