"""Every ending of a call that a synchronous client makes, and what is true of both sides then.

A call with one answer is made as `stub()`, but for endings that say another style or need a call object to hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tracelab.truth.endings import (
    ANSWER_STREAMS,
    ONE_ANSWER,
    REQUEST_STREAMS,
    Act,
    Ending,
    Kind,
    Server,
    SpanExpected,
    Style,
    crossing,
)


def _by_other_styles() -> Iterator[Ending]:
    """The endings that come to the caller in another way in each style: as a value, a pair, a future's result."""
    for style in (Style.WITH_CALL, Style.FUTURE):
        by = f"by {style.value}"
        yield Ending(f"ok, {by}", "answer", "OK", kinds=ONE_ANSWER, style=style)
        yield Ending(f"domain error, {by}", "abort", "NOT_FOUND", kinds=ONE_ANSWER, style=style)
        yield Ending(f"unhandled exception, {by}", "raise", "UNKNOWN", kinds=ONE_ANSWER, exceptions=1, style=style)
        yield Ending(f"deadline, {by}", "wait", "DEADLINE_EXCEEDED", kinds=ONE_ANSWER, timeout_s=0.4, style=style)


SYNC_ENDINGS: Final[tuple[Ending, ...]] = (
    Ending("ok", "answer", "OK"),
    Ending("domain error", "abort", "NOT_FOUND"),
    Ending("rich status", "abort_with_status", "NOT_FOUND"),
    Ending("status set, then returned", "set_code", "NOT_FOUND"),
    Ending("unhandled exception", "raise", "UNKNOWN", exceptions=1),
    Ending("unhandled exception after messages", "raise_after_messages", "UNKNOWN", exceptions=1, kinds=ANSWER_STREAMS),
    Ending("abort after messages", "abort_after_messages", "INTERNAL", kinds=ANSWER_STREAMS),
    *_by_other_styles(),
    Ending("deadline", "wait", "DEADLINE_EXCEEDED", timeout_s=0.4),
    Ending("deadline, servicer ignores it", "swallow", "DEADLINE_EXCEEDED", timeout_s=0.4),
    Ending("deadline, found by the servicer", "abort_deadline", "DEADLINE_EXCEEDED"),
    Ending(
        "deadline passes in the queue of a busy pool",
        "answer",
        "DEADLINE_EXCEEDED",
        kinds=(Kind.UNARY_UNARY, Kind.UNARY_STREAM),
        server=Server.BUSY,
        timeout_s=0.4,
        server_span=SpanExpected.UNKNOWABLE,
        reaches_servicer=False,
    ),
    Ending(  # gRPC calls such a servicer all the same, with a stream of requests that raises
        "deadline passes in the queue of a busy pool",
        "answer",
        "DEADLINE_EXCEEDED",
        kinds=REQUEST_STREAMS,
        server=Server.BUSY,
        timeout_s=0.4,
    ),
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
    Ending(
        "client's iterator of requests raises",
        "answer",
        "UNKNOWN",
        kinds=REQUEST_STREAMS,
        act=Act.BREAK_REQUESTS,
        server_span=SpanExpected.UNKNOWABLE,
    ),
    Ending("channel closed", "wait", "CANCELLED", act=Act.CLOSE_CHANNEL),
    Ending("server stopped", "wait", "UNAVAILABLE", server=Server.STOPPED),
    Ending("server stopped, servicer outlives it", "outlive", "UNAVAILABLE", server=Server.STOPPED),
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
    Ending("stream dropped", "answer_then_wait", "CANCELLED", kinds=ANSWER_STREAMS, act=Act.DROP),
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
        client_error="ValueError",
        act=Act.CALL_ON_CLOSED,
        server_span=SpanExpected.NONE,
        reaches_servicer=False,
    ),
    Ending(
        "metadata that cannot be sent",
        "answer",
        "INTERNAL",
        act=Act.SEND_ODD_METADATA,
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
    Ending("answer too large", "answer_large", "RESOURCE_EXHAUSTED", "OK", kinds=ONE_ANSWER),
    Ending("answer too large", "answer_large_then_wait", "RESOURCE_EXHAUSTED", "CANCELLED", kinds=ANSWER_STREAMS),
    # Single requests only: of streams the untouched library has no ending that could be compared.
    Ending(
        "request that does not parse",
        "answer",
        "INTERNAL",
        exceptions=1,
        act=Act.SEND_GARBAGE,
        kinds=(Kind.UNARY_UNARY, Kind.UNARY_STREAM),
        reaches_servicer=False,
    ),
    Ending("answer that cannot be serialized", "answer_wrong_type", "INTERNAL", exceptions=1),
    *crossing("an aio server"),
)
