from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracelab.compare.statistics.quantiles import (
    MEDIAN,
    P95,
    P99,
    P999,
    QUANTILES,
    Interval,
    Pool,
    Quantile,
    block_draws,
    mean_interval_of_logs,
    order_statistic,
    ratio_intervals,
    t_quantile,
    widening,
)


def test_a_rank_is_computed_in_integers_where_floats_would_be_one_too_high() -> None:
    seven = Quantile("p7", 7, 100)
    assert math.ceil(0.07 * 100) == 8
    assert seven.rank(100) == 7


@given(count=st.integers(1, 5000), quantile=st.sampled_from(QUANTILES))
def test_a_rank_is_the_smallest_with_at_least_the_share_below(count: int, quantile: Quantile) -> None:
    share = Fraction(quantile.numerator, quantile.denominator)
    rank = quantile.rank(count)
    assert Fraction(rank, count) >= share
    assert rank == 1 or Fraction(rank - 1, count) < share


def test_a_quantile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one call"):
        MEDIAN.rank(0)


def test_a_quantile_needs_ten_calls_beyond_it() -> None:
    assert [quantile.calls_needed for quantile in (MEDIAN, P95, P99, P999)] == [20, 200, 1000, 10000]


def test_a_quantile_is_one_of_the_calls() -> None:
    assert order_statistic([1, 2, 3, 40], MEDIAN) == 2
    assert order_statistic([1, 2, 3, 40], P95) == 40


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("share", [0.975, 1 - 0.05 / 6, 0.6])
def test_t_is_exact_with_few_degrees_of_freedom(degrees: int, share: float, scipy_stats: Any) -> None:
    assert t_quantile(share, degrees) == pytest.approx(scipy_stats.t.ppf(share, degrees), rel=1e-6)


@pytest.mark.parametrize("degrees", [12, 19, 29, 59, 99])
@pytest.mark.parametrize("share", [0.975, 1 - 0.05 / 4, 1 - 0.05 / 6])
def test_t_by_cornish_fisher_is_right_to_a_thousandth(degrees: int, share: float, scipy_stats: Any) -> None:
    assert t_quantile(share, degrees) == pytest.approx(scipy_stats.t.ppf(share, degrees), abs=1e-3)


def test_the_widening_falls_towards_one_with_more_blocks(scipy_stats: Any) -> None:
    factors = [widening(0.05, blocks) for blocks in (8, 20, 30, 100, 10_000)]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == pytest.approx(1.0, abs=1e-3)
    assert factors[1] == pytest.approx(
        scipy_stats.t.ppf(0.975, 19) / scipy_stats.norm.ppf(0.975) * math.sqrt(20 / 19), rel=1e-4
    )


@given(st.lists(st.lists(st.integers(1, 10**9), max_size=6), min_size=1, max_size=8).filter(any), st.integers(0, 2**32))
def test_a_draw_has_the_quantiles_of_the_calls_that_it_drew(blocks: list[list[int]], seed: int) -> None:
    pool = Pool.of(blocks)
    for multiplicities in block_draws(len(blocks), 5, random.Random(seed)):
        drawn = sorted(
            value for block, times in zip(blocks, multiplicities, strict=True) for value in block for _ in range(times)
        )
        expected = [order_statistic(drawn, quantile) for quantile in QUANTILES] if drawn else None
        assert pool.quantiles_of_draw(multiplicities, QUANTILES) == expected


def test_every_draw_takes_as_many_blocks_as_there_are() -> None:
    assert {sum(draw) for draw in block_draws(7, 100, random.Random(1))} == {7}


def test_the_same_seed_gives_the_same_interval_and_another_one_nearly_so() -> None:
    noise = random.Random(5)
    below, above = (
        Pool.of([[round(noise.lognormvariate(10, 0.2)) for _ in range(9)] for _ in range(30)]) for _ in range(2)
    )
    one, same, other = (
        ratio_intervals(below, above, [MEDIAN], error_rate=0.05, seed=seed)[0] for seed in ("1", "1", "2")
    )
    assert one == same
    assert one != other
    assert other.low == pytest.approx(one.low, rel=0.02)


def test_variants_that_take_the_same_calls_have_a_ratio_of_exactly_one() -> None:
    pool = Pool.of([[10, 12, 11], [13, 9, 10]] * 10)
    assert ratio_intervals(pool, pool, [MEDIAN], error_rate=0.05, seed="1")[0] == Interval(1.0, 1.0, 1.0, 0.05)


def test_the_half_width_is_the_factor_from_the_middle_to_a_limit() -> None:
    assert Interval(1.0, 1 / 1.05, 1.05, 0.05).half_width == pytest.approx(0.05)


def test_the_inverse_of_an_interval_swaps_its_limits() -> None:
    assert Interval(2.0, 1.6, 2.5, 0.05).inverse() == Interval(0.5, 0.4, 0.625, 0.05)


def test_the_interval_of_restarts_is_students(scipy_stats: Any) -> None:
    logs = [0.01, 0.03, -0.02, 0.05, 0.02]
    interval = mean_interval_of_logs(logs, 0.05)
    low, high = scipy_stats.t.interval(0.95, 4, loc=sum(logs) / 5, scale=scipy_stats.sem(logs))
    assert math.log(interval.low) == pytest.approx(low)
    assert math.log(interval.high) == pytest.approx(high)
