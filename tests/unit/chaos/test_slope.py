"""The slope that a soak judges by: as scipy has it, and not moved by what comes once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracelab.chaos.slope import theil_sen

values = st.lists(st.integers(0, 20).map(float), min_size=3, max_size=30)


@given(y=values)
def test_slope_and_interval_are_those_of_scipy_with_ties_and_without(y: list[float], scipy_stats: Any) -> None:
    x = [float(each) for each in range(len(y))]
    slope, _, low, high = scipy_stats.theilslopes(y, x, 0.95)
    found = theil_sen(x, y)
    assert (found.estimate, found.low, found.high) == pytest.approx((slope, low, high))


def test_what_does_not_change_has_no_slope() -> None:
    found = theil_sen([1.0, 2.0, 3.0, 4.0], [7.0] * 4)
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)


def test_one_wild_sample_moves_nothing() -> None:
    x = [float(each) for each in range(40)]
    assert theil_sen(x, [2 * each for each in x]).estimate == 2.0
    assert theil_sen(x, [2 * each + (1e6 if each == 20 else 0) for each in x]).estimate == 2.0
