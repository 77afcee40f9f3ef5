"""The body that the page draws from, against the committed fixtures that the page is tested with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from otel.analysis.analysis_json import analysis_to_json, plain_value
from otel.analysis.example import example_trace, failing_trace
from otel.analysis.model import LogRecord, SpanKind, Trace
from tests.unit.analysis.building import span, trace

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.mark.parametrize(
    ("make", "name"),
    [(example_trace, "analysis_report.json"), (failing_trace, "analysis_failing.json")],
    ids=["a report", "a failing call"],
)
def test_the_analysis_is_what_the_page_is_tested_with(
    make: Callable[[], tuple[Trace, tuple[LogRecord, ...]]], name: str
) -> None:
    made, logs = make()

    assert analysis_to_json(made, logs) == json.loads((FIXTURES / name).read_text())


def test_an_empty_trace_has_an_analysis_too() -> None:
    analysis = analysis_to_json(Trace("0" * 31 + "1", ()))

    assert (analysis["spanCount"], analysis["rootSpanId"], analysis["summary"]) == (0, "", "no spans")


@pytest.mark.parametrize(
    ("arrived_s", "shown_s"),
    [(10.0989, 10.0), (9.99, 9.99)],
    ids=["rounded up on the wire", "less than the timeout"],
)
def test_the_time_left_that_is_shown_is_never_more_than_the_caller_gave(arrived_s: float, shown_s: float) -> None:
    client = span("C", 0, 9, kind=SpanKind.CLIENT, operation="a.B/C", attributes={"tracelab.rpc.timeout_s": 10.0})
    left = {"tracelab.rpc.time_remaining_s": arrived_s}
    server = span("S", 1, 8, "C", SpanKind.SERVER, operation="a.B/C", attributes=left)
    alone = span("O", 1, 8, "gone", SpanKind.SERVER, operation="a.B/C", attributes=left)

    shown = {one["spanId"]: one for one in analysis_to_json(trace(client, server, alone))["spans"]}

    assert shown["S"]["timeRemainingS"] == shown_s
    assert shown["O"]["timeRemainingS"] == arrived_s, "nothing is known of what the caller gave"
    assert shown["S"]["attributes"] == [{"key": "tracelab.rpc.time_remaining_s", "value": arrived_s}]


def test_an_integer_that_javascript_would_round_is_a_string() -> None:
    assert [plain_value(value) for value in (2**53 - 1, 2**53, -(2**60), True, float("nan"), b"\x00")] == [
        9007199254740991,
        "9007199254740992",
        "-1152921504606846976",
        True,
        "nan",
        "AA==",
    ]
