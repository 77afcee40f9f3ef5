"""The critical path: every worked example, and what holds for any forest."""

from __future__ import annotations

import pytest
from hypothesis import given

from otel.analysis.clock_skew import correct_clock_skew
from otel.analysis.critical_path import CriticalPath, critical_path, find_critical_path
from otel.analysis.model import Trace
from otel.analysis.tree import forest_of
from tests.unit.analysis import building as b
from tests.unit.analysis.building import CLIENT, MS, SERVER, T0, span, trace
from tests.unit.analysis.forests import traces


def path_of(given_trace: Trace) -> CriticalPath:
    return find_critical_path(forest_of(correct_clock_skew(given_trace).trace))


def steps_ms(given_trace: Trace) -> list[tuple[str, float, float]]:
    return [
        (step.span.span_id, (step.start_time_unix_nano - T0) / MS, (step.end_time_unix_nano - T0) / MS)
        for step in critical_path(given_trace)
    ]


def in_ms(times_ns: dict[str, int]) -> dict[str, float]:
    return {span_id: time_ns / MS for span_id, time_ns in times_ns.items()}


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        pytest.param(
            b.SEQUENTIAL,
            [("P", 0, 10), ("C1", 10, 40), ("P", 40, 50), ("C2", 50, 90), ("P", 90, 100)],
            id="1 sequential, with gaps",
        ),
        pytest.param(b.TOUCHING, [("P", 0, 10), ("C1", 10, 40), ("C2", 40, 90), ("P", 90, 100)], id="1b touching"),
        pytest.param(
            b.BY_A_HAIR,
            [("P", 0, 0.1), ("C1", 0.1, 0.4), ("C2", 0.4, 0.9), ("P", 0.9, 1.0)],
            id="1c overlapping by a hair",
        ),
        pytest.param(b.OVERLAPPING, [("P", 0, 20), ("B", 20, 80), ("P", 80, 100)], id="2 overlapping"),
        pytest.param(b.CHILD_OUTLIVES, [("P", 0, 10), ("A", 10, 30), ("P", 30, 50)], id="3a child outlives parent"),
        pytest.param(b.SERVER_OUTLIVES, [("C", 0, 2), ("S", 2, 100)], id="3b server outlives client"),
        pytest.param(
            b.SKEWED,
            [("C", 0, 10), ("S", 10, 12), ("D", 12, 26), ("S", 26, 30), ("C", 30, 40)],
            id="4 clock skew",
        ),
        pytest.param(
            b.RETRIES,
            [("A1", 0, 40), ("R", 40, 100), ("A2", 100, 140), ("R", 140, 250), ("A3", 250, 300)],
            id="6 retries",
        ),
        pytest.param(
            b.LEVELS,
            [
                ("P", 0, 10),
                ("U", 10, 15),
                ("SU", 15, 45),
                ("U", 45, 50),
                ("P", 50, 60),
                ("O2", 60, 70),
                ("SO", 70, 80),
                ("DB", 80, 140),
                ("SO", 140, 160),
                ("O2", 160, 170),
                ("P", 170, 200),
            ],
            id="7 levels, parallel",
        ),
    ],
)
def test_a_worked_example_has_its_path(example: Trace, expected: list[tuple[str, float, float]]) -> None:
    assert steps_ms(example) == expected


def test_a_fan_out_alternates_between_the_parent_and_each_call() -> None:
    steps = steps_ms(b.FAN_OUT)

    assert [span_id for span_id, _, _ in steps] == ["P", *(x for i in range(8) for x in (f"L{i}", "P"))]
    times = in_ms(path_of(b.FAN_OUT).time_by_span_ns())
    assert (times.pop("P"), sum(times.values())) == (20, 80)


@pytest.mark.parametrize(
    ("example", "slack"),
    [
        pytest.param(b.OVERLAPPING, {"A": 20, "C": 10}, id="2 overlapping"),
        pytest.param(b.LEVELS, {"O1": 20}, id="7 levels"),
        pytest.param(b.SEQUENTIAL, {}, id="1 sequential"),
        pytest.param(b.CHILD_OUTLIVES, {}, id="3a, never waited for"),
    ],
)
def test_slack_is_how_much_slower_a_call_off_the_path_could_be(example: Trace, slack: dict[str, float]) -> None:
    assert in_ms(dict(path_of(example).slack_ns)) == slack


@pytest.mark.parametrize(
    ("example", "outlives"),
    [
        pytest.param(b.CHILD_OUTLIVES, {"B": 70}, id="3a child"),
        pytest.param(b.SERVER_OUTLIVES, {"S": 200}, id="3b server"),
        pytest.param(b.LEVELS, {}, id="none"),
    ],
)
def test_a_span_that_ends_after_its_parent_is_marked(example: Trace, outlives: dict[str, float]) -> None:
    assert in_ms(dict(path_of(example).outlives_parent_ns)) == outlives


def test_below_a_clipped_server_the_path_is_what_it_waited_for_at_the_deadline() -> None:
    example = trace(
        span("C", 0, 100, kind=CLIENT),
        span("S", 2, 300, "C", SERVER),
        span("A", 10, 150, "S", CLIENT),
        span("B", 20, 290, "S", CLIENT),
    )

    assert steps_ms(example) == [("C", 0, 2), ("S", 2, 20), ("B", 20, 100)]


def test_a_call_below_a_call_off_the_path_has_the_slack_of_both() -> None:
    example = trace(
        span("P", 0, 100),
        span("Fast", 10, 60, "P"),
        span("Slow", 10, 80, "P"),
        span("X", 10, 30, "Fast"),
        span("Y", 10, 50, "Fast"),
    )

    assert in_ms(dict(path_of(example).slack_ns)) == {"Fast": 20, "Y": 20, "X": 40}


def test_of_several_roots_the_longest_has_the_path_or_the_one_with_the_clients_span() -> None:
    example = trace(span("R1", 0, 10), span("C1", 2, 5, "R1"), span("R2", 0, 30))

    assert {step.span.span_id for step in critical_path(example)} == {"R2"}
    assert {step.span.span_id for step in critical_path(example, "C1")} == {"R1", "C1"}


def test_a_trace_of_orphans_has_a_path_too() -> None:
    assert steps_ms(trace(span("O", 5, 8, "missing"))) == [("O", 5, 8)]


def test_an_empty_trace_has_an_empty_path() -> None:
    assert critical_path(trace()) == ()


def test_a_chain_of_ten_thousand_spans_is_no_problem() -> None:
    chain = trace(*(span(f"{i:05d}", i, 20_001 - i, f"{i - 1:05d}" if i else "") for i in range(10_000)))

    assert sum(step.duration_ns for step in critical_path(chain)) == 20_001 * MS


@given(traces())
def test_the_steps_tile_the_root(given_trace: Trace) -> None:
    path = path_of(given_trace)

    edges = [(step.start_time_unix_nano, step.end_time_unix_nano) for step in path.steps]
    assert all(start < end for start, end in edges)
    assert [end for _, end in edges[:-1]] == [start for start, _ in edges[1:]]
    if edges and path.root:
        assert (edges[0][0], edges[-1][1]) == (path.root.start_time_unix_nano, path.root.end_time_unix_nano)


@given(traces())
def test_own_times_on_the_path_sum_to_the_root(given_trace: Trace) -> None:
    path = path_of(given_trace)

    assert sum(path.time_by_span_ns().values()) == (path.root.duration_ns if path.root else 0)


@given(traces())
def test_the_order_of_arrival_changes_nothing(given_trace: Trace) -> None:
    reversed_trace = Trace(given_trace.trace_id, given_trace.spans[::-1])

    assert path_of(reversed_trace) == path_of(given_trace)


@given(traces())
def test_no_span_is_both_on_the_path_and_slack(given_trace: Trace) -> None:
    path = path_of(given_trace)

    assert not path.slack_ns.keys() & path.time_by_span_ns().keys()
    assert all(slack >= 0 for slack in path.slack_ns.values())


def test_a_client_span_of_no_length_waited_for_nothing_though_its_server_took_time() -> None:
    path = path_of(trace(span("C", 1, 1, kind=CLIENT), span("S", 0, 2, "C", SERVER)))

    assert (path.steps, path.slack_ns) == ((), {"S": 0})
