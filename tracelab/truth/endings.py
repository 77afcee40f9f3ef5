"""The matrix: every kind of RPC, every way that it can end, and what is true of both sides then.

A scenario says what a client and a servicer do and what both spans must say afterwards. What must be said is written
down here by hand, from gRPC's own rules; the witnesses (`witness.py`) prove that the scenario really took place so.
Source: gRPC status codes, semantic conventions for gRPC v1.44.0 (CLIENT spans fail for every code but OK, SERVER spans
only for the server's own faults).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

SERVICE = "tracelab.truth.v1.TruthService"

SERVER_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})


class Api(Enum):
    """Which of gRPC's two APIs for Python a scenario's client uses; the value is the name in tables and JSON."""

    AIO = "aio"
    SYNC = "sync"


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
ONE_ANSWER = (Kind.UNARY_UNARY, Kind.STREAM_UNARY)


class Server(Enum):
    """Which server process a scenario talks to; those that end badly have one of their own."""

    STEADY = "steady"
    STOPPED = "stopped"
    KILLED = "killed"
    FROZEN = "frozen"
    FULL = "full"
    BUSY = "busy"
    OTHER_API = "of the other API"
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
    DROP = "drop the call after the first message"
    BREAK_REQUESTS = "raise in its iterator of requests"


class Style(Enum):
    """How a synchronous client calls a method with one answer."""

    CALL = "stub()"
    WITH_CALL = "with_call()"
    FUTURE = "future()"


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
    style: Style = Style.CALL

    @property
    def true_server_code(self) -> str:
        """The code that the SERVER span must have: by default the client's."""
        return self.server_code or self.client_code


@dataclass(frozen=True, slots=True)
class Scenario:
    """One ending of one kind in one API."""

    kind: Kind
    ending: Ending
    api: Api = Api.AIO

    @property
    def name(self) -> str:
        """Unique within a run: `deadline/unary-stream`."""
        return f"{self.ending.name}/{self.kind.value}"

    @property
    def method(self) -> str:
        """The full method name without a leading slash."""
        return f"{SERVICE}/{self.kind.method}{self.ending.method_suffix}"


def crossing(other: str) -> tuple[Ending, ...]:
    """The endings of a call to a server of the other API; `other` says which."""
    server = Server.OTHER_API
    return (
        Ending(f"ok, {other}", "answer", "OK", server=server),
        Ending(f"domain error, {other}", "abort", "NOT_FOUND", server=server),
        Ending(f"unhandled exception, {other}", "raise", "UNKNOWN", exceptions=1, server=server),
        Ending(f"deadline, {other}", "wait", "DEADLINE_EXCEEDED", timeout_s=0.4, server=server),
        Ending(f"client cancels, {other}", "wait", "CANCELLED", act=Act.CANCEL_AT_ONCE, server=server),
    )
