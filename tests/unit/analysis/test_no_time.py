"""A span whose time was never set: it is shown, and says nothing of when or how long."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel.analysis.analysis_json import analysis_to_json
from otel.analysis.attempts import retried_calls
from otel.analysis.model import Span, Trace
from otel.analysis.otlp_json import traces_from_spans
from otel.analysis.proof import join_logs, prove
from otel.analysis.reading import TraceReading
from otel.analysis.sequence import sequence_of
from otel.analysis.summary import summary_sentence
from otel.analysis.tree import forest_of
from tests.unit.analysis.building import CLIENT, MS, SERVER, T0, record, span, trace
from tests.unit.analysis.forests import traces

NEVER_SET = {
    "neither": {"start_time_unix_nano": 0, "end_time_unix_nano": 0},
    "no start": {"start_time_unix_nano": 0},
    "no end": {"end_time_unix_nano": 0},
}


def without_time(made: Span, which: str = "neither") -> Span:
    return replace(made, **NEVER_SET[which])  # type: ignore[arg-type]  # the fields are times


@pytest.fixture(params=NEVER_SET)
def broken(request: pytest.FixtureRequest) -> Trace:
    """A server that calls twice; the first call has no time, the second has one."""
    return trace(
        span("P", 0, 100, kind=SERVER, host="a"),
        without_time(span("C", 10, 20, "P", CLIENT, host="b"), request.param),
        span("S", 12, 18, "C", SERVER, host="b"),
        span("D", 30, 80, "P", CLIENT),
    )


def test_it_does_not_stretch_the_trace(broken: Trace) -> None:
    reading = TraceReading(broken)

    assert (reading.start_time_unix_nano, reading.end_time_unix_nano) == (T0, T0 + 100 * MS)
    assert (reading.skew.shifts_ns, reading.path.outlives_parent_ns) == ({}, {})
    assert reading.self_time_ns["P"] == 50 * MS


def test_it_is_shown_in_its_place_in_the_tree_without_a_length(broken: Trace) -> None:
    analysis = analysis_to_json(broken)

    shown = {one["spanId"]: one for one in analysis["spans"]}
    assert list(shown) == ["P", "D", "C", "S"], "among its siblings it stands last"
    assert [shown["C"][key] for key in ("hasTime", "offsetNano", "durationNano")] == [False, "0", "0"]
    assert analysis["durationNano"] == str(100 * MS)
    assert shown["D"]["hasTime"]


def test_the_critical_path_and_the_summary_pass_it_over(broken: Trace) -> None:
    reading = TraceReading(broken)

    assert reading.path.time_by_span_ns() == {"P": 50 * MS, "D": 50 * MS}
    assert summary_sentence(reading) == "P took 100.0 ms: 50.0 D, 50.0 P"


def test_a_root_without_a_time_leaves_the_path_to_the_longest_span_below_that_has_one() -> None:
    root = without_time(span("R", 0, 9))
    reading = TraceReading(trace(root, span("A", 0, 10, "R"), span("B", 20, 50, "R"), span("O", 0, 90, "gone")))

    assert (reading.root and reading.root.span_id, reading.path.time_by_span_ns()) == ("B", {"B": 30 * MS})


def test_a_trace_in_which_nothing_has_a_time_has_no_length() -> None:
    reading = TraceReading(trace(without_time(span("R", 0, 9)), without_time(span("A", 1, 2, "R"))))

    assert (reading.start_time_unix_nano, reading.end_time_unix_nano, reading.path.steps) == (0, 0, ())
    assert summary_sentence(reading) == "R has no time"


def test_traces_are_ordered_by_the_first_span_that_has_a_time() -> None:
    late = replace(span("L", 50, 60), trace_id="b" * 32)
    broken = replace(without_time(span("X", 0, 1)), trace_id="b" * 32)

    found = traces_from_spans([broken, span("E", 10, 20), late])

    assert [found_trace.trace_id[:2] for found_trace in found] == ["bb", "ab"]
    assert prove(found, []).trace_ids == ("ab" * 16, "b" * 32)


def test_a_call_without_a_time_has_no_place_in_the_sequence() -> None:
    operation = "a.B/C"
    spans = (
        span("C", 0, 50, kind=CLIENT, operation=operation),
        without_time(span("A1", 5, 10, "C", SERVER, operation=operation, attributes={"grpc.previous_rpc_attempts": 0})),
        span("A2", 20, 40, "C", SERVER, operation=operation, attributes={"grpc.previous_rpc_attempts": 1}),
        without_time(span("D", 60, 70, kind=CLIENT, operation=operation)),
    )
    reading = TraceReading(trace(*spans))

    steps = sequence_of(reading).steps

    assert [(step.kind.value, step.span_id, (step.time_unix_nano - T0) / MS) for step in steps] == [
        ("request", "C", 20),
        ("response", "A2", 40),
    ]
    assert [attempt.wait_ns for call in retried_calls(reading.forest) for attempt in call.attempts] == [0, 0]


def test_a_log_record_in_it_is_joined_and_not_said_to_lie_outside() -> None:
    report = join_logs(trace(without_time(span("C", 0, 1))), [record("C", 500)])

    assert (report.joined_count, report.outside_span) == (1, ())


@given(traces(), st.data())
def test_any_span_may_lose_its_time_and_no_number_tells_of_1970(given_trace: Trace, data: st.DataObject) -> None:
    lost = data.draw(st.sets(st.sampled_from([*NEVER_SET, ""]), min_size=1))
    spans = [
        without_time(one, which) if which else one
        for one in given_trace.spans
        if (which := data.draw(st.sampled_from(sorted(lost)))) is not None
    ]
    reading = TraceReading(Trace(given_trace.trace_id, tuple(spans)))

    longest = max(reading.self_time_ns.values(), default=0)
    assert max(longest, reading.end_time_unix_nano - reading.start_time_unix_nano) < 60_000 * MS
    assert all(late_ns < 60_000 * MS for late_ns in reading.path.outlives_parent_ns.values())
    assert all(abs(shift_ns) < 60_000 * MS for shift_ns in reading.skew.shifts_ns.values())
    assert sum(step.duration_ns for step in reading.path.steps) == (reading.root.duration_ns if reading.root else 0)
    assert {one.span_id for one, _ in reading.forest.depth_first()} == {
        one.span_id for one in forest_of(reading.trace).spans
    }
