"""Buckets that histograms share, and quantiles by interpolation, as Prometheus computes them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint, HistogramDataPoint

from otel.backend.metrics.buckets import MAX_EXPONENTIAL_BUCKETS, counts_of, layout_of, quantile
from tests.contract.measurements import exponential, histogram


def exponential_of(values: list[float], scale: int) -> ExponentialHistogramDataPoint:
    """As an SDK counts: the data model's mapping by logarithm, upper bounds included."""
    indexes = [math.ceil(math.log2(value) * 2.0**scale) - 1 for value in values]
    counts = [indexes.count(index) for index in range(min(indexes), max(indexes) + 1)]
    return exponential(counts, at_s=1, scale=scale, offset=min(indexes))


def test_histograms_of_the_same_bounds_keep_them() -> None:
    points = [histogram([1, 2, 3, 4], at_s=at_s) for at_s in (1, 2)]
    layout = layout_of(points)
    assert layout == (0.01, 0.1, 1.0)
    assert counts_of(points[0], layout) == (1, 2, 3, 4)


def test_histograms_of_other_bounds_are_told_by_those_they_share() -> None:
    fine = histogram([1, 2, 3, 4], at_s=1, bounds=(1.0, 2.0, 3.0))
    coarse = histogram([5, 6], at_s=1, bounds=(2.0,))
    layout = layout_of([fine, coarse])
    assert layout == (2.0,)
    assert [counts_of(fine, layout), counts_of(coarse, layout)] == [(3, 7), (5, 6)]


def test_histograms_that_share_no_bound_are_one_bucket() -> None:
    one, other = histogram([1, 2], at_s=1, bounds=(1.0,)), histogram([3, 4], at_s=1, bounds=(2.0,))
    layout = layout_of([one, other])
    assert (layout, counts_of(one, layout)) == ((), (3,))
    assert math.isnan(quantile(0.5, layout, (3,)))


def test_a_histogram_without_buckets_counts_beyond_every_bound() -> None:
    bare = HistogramDataPoint(count=5, sum=2.0)
    layout = layout_of([bare, histogram([1, 2], at_s=1, bounds=(1.0,))])
    assert counts_of(bare, layout) == (0, 5)


def test_an_exponential_histograms_bounds_are_powers_of_its_base() -> None:
    point = exponential([1, 2, 3], at_s=1, scale=0, offset=-1)
    layout = layout_of([point])
    assert layout == (0.5, 1.0, 2.0, 4.0)
    assert counts_of(point, layout) == (0, 1, 2, 3, 0)


def test_exponential_histograms_of_two_scales_meet_at_the_coarser() -> None:
    fine, coarse = exponential([1, 2, 3, 4], at_s=1, scale=1, offset=0), exponential([5], at_s=1, scale=0, offset=1)
    layout = layout_of([fine, coarse])
    assert layout == (1.0, 2.0, 4.0)
    assert counts_of(fine, layout) == (0, 3, 7, 0)
    assert counts_of(coarse, layout) == (0, 0, 5, 0)


def test_what_is_zero_or_negative_is_in_the_lowest_bucket() -> None:
    point = exponential([1], at_s=1, zero_count=3)
    point.negative.bucket_counts.extend([2, 2])
    assert counts_of(point, layout_of([point])) == (7, 1, 0)


def test_a_range_too_wide_for_its_scale_is_told_more_coarsely() -> None:
    points = [exponential([1], at_s=1, scale=20, offset=offset) for offset in (-(2**24), 2**24)]
    layout = layout_of(points)
    assert 2 <= len(layout) <= MAX_EXPONENTIAL_BUCKETS + 1
    assert [sum(counts_of(point, layout)) for point in points] == [1, 1]


def test_an_index_past_every_double_is_no_trouble() -> None:
    point = exponential([1], at_s=1, scale=-10, offset=2**31 - 1)
    assert sum(counts_of(point, layout_of([point]))) == 1


positive = st.floats(1e-6, 1e6, allow_nan=False)


@given(st.lists(positive, min_size=1, max_size=40), st.lists(positive, min_size=1, max_size=40), st.integers(0, 6))
def test_exponential_histograms_put_together_count_as_if_made_together(
    first: list[float], second: list[float], scale: int
) -> None:
    points = [exponential_of(first, scale), exponential_of(second, max(0, scale - 2))]
    layout = layout_of(points)
    together = [a + b for a, b in zip(*(counts_of(point, layout) for point in points), strict=True)]
    for bound, count in zip(layout, [sum(together[: index + 1]) for index in range(len(layout))], strict=True):
        # A value so near to a bound may be counted on either side: the mapping by logarithm is no more exact.
        low = sum(value <= bound * (1 - 1e-9) for value in first + second)
        high = sum(value <= bound * (1 + 1e-9) for value in first + second)
        assert low <= count <= high


@pytest.mark.parametrize(
    ("share", "counts", "expected"),
    [
        pytest.param(0.5, (10, 10, 0), 1.0, id="at a bound"),
        pytest.param(0.25, (10, 10, 0), 0.5, id="inside the lowest bucket, from 0"),
        pytest.param(0.75, (10, 10, 0), 1.5, id="inside a bucket"),
        pytest.param(0.99, (0, 0, 5), 2.0, id="beyond the last bound"),
        pytest.param(0.0, (0, 4, 0), 1.0, id="the least of all"),
        pytest.param(0.0, (0, 0, 4), 2.0, id="the least of what is beyond the last bound"),
        pytest.param(1.0, (0, 4, 0), 2.0, id="the greatest of all"),
        pytest.param(-1.0, (0, 4, 0), -math.inf, id="below every share"),
        pytest.param(2.0, (0, 4, 0), math.inf, id="above every share"),
        pytest.param(2.0, (0, 0, 0), math.inf, id="above every share of nothing"),
    ],
)
def test_a_quantile_is_interpolated_within_its_bucket(share: float, counts: tuple[float, ...], expected: float) -> None:
    assert quantile(share, (1.0, 2.0), counts) == expected


def test_the_quantile_of_nothing_is_not_a_number() -> None:
    assert math.isnan(quantile(0.5, (1.0, 2.0), (0, 0, 0)))
    assert math.isnan(quantile(0.5, (), (7,)))
    assert math.isnan(quantile(math.nan, (1.0,), (7, 0)))


def test_a_lowest_bound_below_zero_is_told_itself() -> None:
    assert quantile(0.5, (-5.0, 2.0), (10, 0, 0)) == -5.0


@given(st.lists(st.floats(0.001, 3.999), min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_is_in_the_bucket_of_the_measurement_at_its_rank(values: list[float], share: float) -> None:
    layout = (1.0, 2.0, 3.0, 4.0)
    counts = [sum(low < value <= high for value in values) for low, high in zip((0.0, *layout), layout, strict=False)]
    found = quantile(share, layout, (*counts, 0))
    exact = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    # The bucket is that of the measurement, its lower bound only where a share of 0 asks for it.
    assert math.ceil(exact) - 1 <= found <= math.ceil(exact)
