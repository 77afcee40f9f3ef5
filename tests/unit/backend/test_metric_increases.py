"""How much a series grew, and when: deltas, cumulative points, restarts, unknown starts."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel.backend.metric_ports import Temporality
from otel.backend.metrics.increases import Increase, Sample, cumulated, increases_of, samples_of, spread
from tests.contract.measurements import histogram, number_point


def grown(samples: list[Sample], temporality: Temporality = Temporality.CUMULATIVE) -> list[tuple[int, int, float]]:
    found = increases_of(samples, temporality)
    return [(each.after_unix_nano, each.until_unix_nano, each.values[0]) for each in found]


def sample(start: int, time: int, value: float) -> Sample:
    return Sample(start, time, (value,))


def test_the_first_cumulative_point_grew_from_its_start() -> None:
    assert grown([sample(10, 20, 5)]) == [(10, 20, 5)]


def test_later_cumulative_points_grew_from_the_ones_before() -> None:
    assert grown([sample(10, 20, 5), sample(10, 30, 7)]) == [(10, 20, 5), (20, 30, 2)]


@pytest.mark.parametrize("start", [0, 20], ids=["no start", "a start that is the time"])
def test_a_cumulative_point_without_a_known_start_is_only_where_others_grow_from(start: int) -> None:
    assert grown([sample(start, 20, 500), sample(start, 30, 502)]) == [(20, 30, 2)]


def test_a_new_start_is_a_restart_even_where_the_value_is_higher() -> None:
    assert grown([sample(10, 20, 5), sample(25, 30, 9)])[1:] == [(25, 30, 9)]


def test_a_value_that_became_less_is_a_restart_without_any_start() -> None:
    assert grown([sample(0, 20, 5), sample(0, 30, 3)]) == [(20, 30, 3)]


def test_a_restart_that_says_it_began_before_the_last_point_grew_from_that_point() -> None:
    assert grown([sample(10, 20, 5), sample(15, 30, 2)])[1:] == [(20, 30, 2)]


def test_a_sum_of_measurements_that_became_less_is_no_restart() -> None:
    points = [
        histogram([2, 0], at_s=1, bounds=(0.0,), total=-1.0),
        histogram([4, 0], at_s=2, bounds=(0.0,), total=-3.0),
    ]
    found = increases_of(samples_of(points, (0.0,)), Temporality.CUMULATIVE)
    assert found[1].values == (2, 0, -2.0)


def test_deltas_are_what_grew() -> None:
    samples = [sample(10, 20, 5), sample(20, 30, 2)]
    assert grown(samples, Temporality.DELTA) == [(10, 20, 5), (20, 30, 2)]


def test_a_delta_without_a_start_grew_from_the_one_before() -> None:
    assert grown([sample(0, 20, 5), sample(0, 30, 2)], Temporality.DELTA) == [(20, 20, 5), (20, 30, 2)]


def test_a_point_that_says_that_nothing_was_recorded_is_left_out() -> None:
    gap = number_point(0, at_s=2)
    gap.flags = 1
    points = [number_point(5, at_s=1), gap, number_point(7, at_s=3)]
    assert [each.values for each in samples_of(points)] == [(5,), (7,)]


def test_an_increase_is_spread_over_the_steps_that_it_touches() -> None:
    assert list(spread(Increase(5, 25, (1,)), 0, 10, 5)) == [(0, 0.25), (1, 0.5), (2, 0.25)]


def test_only_what_lies_in_the_time_asked_for_is_told() -> None:
    assert list(spread(Increase(-10, 10, (1,)), 0, 10, 1)) == [(0, 0.5)]
    assert list(spread(Increase(20, 30, (1,)), 0, 10, 2)) == []
    assert list(spread(Increase(-20, 0, (1,)), 0, 10, 2)) == []


def test_an_increase_of_no_length_is_in_the_step_that_it_ends() -> None:
    assert list(spread(Increase(10, 10, (1,)), 0, 10, 3)) == [(0, 1.0)]


@given(st.integers(-50, 150), st.integers(0, 100), st.integers(1, 40), st.integers(1, 30))
@example(1, 0, 10, 3)
def test_no_part_of_an_increase_gets_lost_or_is_told_twice(after: int, length: int, step: int, count: int) -> None:
    whole = range(after, after + max(1, length)) if length else range(after - 1, after)
    inside = sum(0 <= moment < step * count for moment in whole)
    shares = list(spread(Increase(after, after + length, (1,)), 0, step, count))
    assert sum(share for _, share in shares) == pytest.approx(inside / len(whole))
    assert len({number for number, _ in shares}) == len(shares)


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(0, 9), st.booleans()), min_size=1, max_size=20),
)
def test_what_is_sent_cumulative_with_restarts_grew_as_what_is_sent_as_deltas(
    steps: list[tuple[int, int, bool]],
) -> None:
    deltas: list[Sample] = []
    cumulative: list[Sample] = []
    start = now = 1000
    total = 0
    for length, value, restarts in steps:
        if restarts:
            start, total = now, 0
        deltas.append(sample(now, now + length, value))
        now += length
        total += value
        cumulative.append(sample(start, now, total))
    assert grown(cumulative) == grown(deltas, Temporality.DELTA)


def test_deltas_add_up() -> None:
    found = cumulated([sample(10, 20, 5), sample(20, 30, 2), sample(30, 40, 1)])
    assert [(each.start_unix_nano, each.time_unix_nano, each.values[0]) for each in found] == [
        (10, 20, 5),
        (10, 30, 7),
        (10, 40, 8),
    ]
    assert cumulated([]) == []
