"""The judge of `lab check`: a span that tells what the wire told passes, and each other one is said to be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from google.protobuf.empty_pb2 import Empty

from otel.analysis.model import Scope, Span, SpanEvent, SpanKind, StatusCode, Trace
from tracelab.check.judge import Finding, judge
from tracelab.check.probing import Ending, Probed
from tracelab.check.report import as_json, reasons, summary
from tracelab.own.contract import Method, RpcKind

TRACE, ROOT, CLIENT, SERVER = "a" * 32, "1" * 16, "2" * 16, "3" * 16
METHOD = Method("shop.Cart/Get", RpcKind.UNARY, Empty, Empty)
STREAM = Method("shop.Cart/Watch", RpcKind.SERVER_STREAMING, Empty, Empty)
MS = 1_000_000


def span(kind: SpanKind, span_id: str, parent: str, code: str = "", ms: float = 90.0, name: str = "") -> Span:
    return Span(
        TRACE,
        span_id,
        parent,
        name or "shop.Cart/Get",
        kind,
        0,
        int(ms * MS),
        {"rpc.response.status_code": code} if code else {},
        scope=Scope("some.library", "1.2"),
    )


def trace(*servers: Span) -> Trace:
    asking = span(SpanKind.INTERNAL, ROOT, "", name="check answer")
    return Trace(TRACE, (asking, span(SpanKind.CLIENT, CLIENT, ROOT), *servers))


def server(code: str, *, failed: bool = False, ms: float = 90.0) -> Span:
    status = StatusCode.ERROR if failed else StatusCode.UNSET
    return replace(span(SpanKind.SERVER, SERVER, CLIENT, code, ms), status_code=status)


def probed(ending: Ending, code: str, cut_s: float | None = None, duration_s: float = 0.1) -> Probed:
    return Probed(METHOD, ending, TRACE, code, "", 0, duration_s, 0.0, cut_s)


ANSWERED = probed(Ending.ANSWER, "OK")
EXPIRED = probed(Ending.DEADLINE, "DEADLINE_EXCEEDED", 0.1)
CANCELLED = probed(Ending.CANCEL, "CANCELLED", 0.1)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (ANSWERED, server("OK")),
        (probed(Ending.ANSWER, "NOT_FOUND"), server("NOT_FOUND")),
        (probed(Ending.ANSWER, "INTERNAL"), server("INTERNAL", failed=True)),
        (EXPIRED, server("DEADLINE_EXCEEDED", failed=True)),
        (CANCELLED, server("CANCELLED")),
        (CANCELLED, server("CANCELLED", ms=900)),  # a thread works on
        (probed(Ending.UNKNOWN_METHOD, "UNIMPLEMENTED"), server("UNIMPLEMENTED", failed=True)),
        (ANSWERED, replace(server("OK"), attributes={"rpc.grpc.status_code": 0}, name="grpc.shop.Cart/Get")),
    ],
)
def test_a_span_that_says_what_the_wire_said_is_true(call: Probed, said: Span) -> None:
    finding = judge(call, trace(said))

    assert (finding.verdict, finding.faults) == ("true", ())
    assert finding.scope == "some.library 1.2"


@pytest.mark.parametrize(
    ("call", "said", "fault"),
    [
        (EXPIRED, server("OK"), "says OK, not DEADLINE_EXCEEDED"),
        (EXPIRED, server("DEADLINE_EXCEEDED"), "span status UNSET, not ERROR"),
        (CANCELLED, server("OK"), "says OK, not CANCELLED"),
        (CANCELLED, server(""), "says nothing, not CANCELLED"),
        (CANCELLED, server("CANCELLED", failed=True), "span status ERROR, not UNSET"),
        (ANSWERED, replace(server("OK"), name="other"), "is named other"),
        (ANSWERED, replace(server("OK"), parent_span_id="9" * 16), "is no child of the caller's span"),
        (ANSWERED, replace(server("OK"), events=(SpanEvent("exception", 0),)), "1 exception events"),
        (ANSWERED, server("OK", ms=400), "lasts 0.4 s, longer than the call"),
    ],
)
def test_a_span_that_says_something_else_is_wrong(call: Probed, said: Span, fault: str) -> None:
    finding = judge(call, trace(said))

    assert finding.verdict == "wrong"
    assert fault in finding.faults


def test_a_span_that_ends_before_the_stream_of_answers_is_wrong() -> None:
    call = Probed(STREAM, Ending.ANSWER, TRACE, "OK", "", 30, 0.5, 0.4)
    said = replace(server("OK", ms=2), name="shop.Cart/Watch")

    assert judge(call, trace(said)).faults == ("lasts 0.002 s, and the answers came over 0.4 s",)


def test_a_call_without_a_span_and_one_with_two_are_wrong() -> None:
    second = replace(server("OK"), span_id="4" * 16, parent_span_id=SERVER)

    assert judge(ANSWERED, None).faults == ("the call is in no span",)
    assert judge(ANSWERED, trace()).faults == ("the call is in no span",)
    assert judge(ANSWERED, trace(server("OK"), second)).faults == ("2 server spans, not 1",)


def test_what_the_server_calls_in_turn_is_not_judged() -> None:
    asks = span(SpanKind.CLIENT, "5" * 16, SERVER)
    further = span(SpanKind.SERVER, "6" * 16, "5" * 16, "INTERNAL")

    assert judge(ANSWERED, trace(server("OK"), asks, further)).verdict == "true"


def test_a_server_that_was_done_before_the_cut_is_not_blamed() -> None:
    finding = judge(CANCELLED, trace(server("OK", ms=20)))

    assert (finding.verdict, finding.note) == ("unknown", "its server was done in 20 ms, before the cut")


@pytest.mark.parametrize(("first_answer_s", "verdict"), [(0.12, "wrong"), (0.0, "unknown")])
def test_a_server_that_began_late_had_less_time_before_the_cut(first_answer_s: float, verdict: str) -> None:
    call = Probed(STREAM, Ending.CANCEL, TRACE, "CANCELLED", "", 18, 0.31, 0.17, 0.3, first_answer_s=first_answer_s)
    finding = judge(call, trace(replace(server("OK", ms=190), name="shop.Cart/Watch")))

    assert finding.verdict == verdict


def test_an_answer_that_crossed_an_early_cut_is_not_blamed() -> None:
    early = probed(Ending.CANCEL, "CANCELLED", 0.02, 0.021)
    finding = judge(early, trace(server("OK", ms=19)))

    assert (finding.verdict, finding.note) == (
        "unknown",
        "its server was done in 19 ms, and may not have heard of the cut",
    )
    assert judge(early, trace(server("", ms=19))).verdict == "wrong"


def test_a_call_that_was_cut_early_may_have_reached_nobody() -> None:
    early = probed(Ending.CANCEL, "CANCELLED", 0.01, 0.011)
    unreached = replace(server(""), attributes={"tracelab.rpc.handler_reached": False})

    assert judge(early, trace()).note == "its server may not have heard of it"
    assert judge(replace(early, response_count=1), trace()).verdict == "wrong"
    assert judge(EXPIRED, trace(unreached)).verdict == "unknown"
    assert judge(ANSWERED, trace(unreached)).verdict == "wrong"


def test_a_server_that_waited_for_a_request_may_say_nothing_and_may_not_say_ok() -> None:
    call = replace(CANCELLED, keeps_open=True)

    assert judge(call, trace(server(""))).verdict == "unknown"
    assert judge(call, trace(server("CANCELLED"))).verdict == "true"
    assert judge(call, trace(server("OK", ms=1))).verdict == "wrong"


def test_a_call_that_ended_before_its_cut_is_not_counted() -> None:
    assert judge(probed(Ending.DEADLINE, "OK", 0.1), trace(server("DEADLINE_EXCEEDED"))).verdict == "not tried"
    assert judge(Probed(METHOD, Ending.CANCEL, skipped="it answers too soon"), None).note == "it answers too soon"


def findings() -> Sequence[Finding]:
    lost = Probed(METHOD, Ending.CANCEL, skipped="it answers too soon")
    return [judge(ANSWERED, trace(server("OK"))), judge(EXPIRED, None), judge(CANCELLED, None), judge(lost, None)]


def test_what_is_wrong_is_said_once_for_all_calls_of_which_it_holds() -> None:
    assert reasons(findings()) == [
        "✘ the call is in no span: Cart/Get deadline, Cart/Get cancel",
        "- it answers too soon: Cart/Get cancel",
    ]
    assert summary(findings()) == "4 calls: 1 true, 2 wrong, 0 unknown, 1 not tried; the spans are by some.library 1.2"


def test_the_json_has_counts_and_each_call() -> None:
    told = as_json(findings(), "127.0.0.1:1", "http://127.0.0.1:2")

    assert {name: value for name, value in told.items() if name.endswith("_count")} == {
        "true_count": 1,
        "wrong_count": 2,
        "unknown_count": 0,
        "not_tried_count": 1,
    }
    assert told["has_spans"] is True
    assert [call["verdict"] for call in told["calls"]] == ["true", "wrong", "wrong", "not tried"]
    assert told["calls"][1] == {
        "method": "shop.Cart/Get",
        "kind": "unary",
        "ending": "deadline",
        "verdict": "wrong",
        "code": "DEADLINE_EXCEEDED",
        "happened": "DEADLINE_EXCEEDED after 100 ms",
        "claimed": "no span",
        "faults": ["the call is in no span"],
        "note": "",
        "duration_ms": 100.0,
        "cut_ms": 100.0,
        "scope": "",
        "trace_id": TRACE,
    }
