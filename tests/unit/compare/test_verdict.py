from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracelab.compare.question.errors import UsageError
from tracelab.compare.statistics.quantiles import Interval
from tracelab.compare.statistics.verdict import (
    Criteria,
    VerdictKind,
    blocks_to_resolve,
    judge,
    parse_gate,
    too_few_blocks,
)

CRITERIA = Criteria()


def interval(low: float, high: float, estimate: float | None = None) -> Interval:
    return Interval(math.sqrt(low * high) if estimate is None else estimate, low, high, 0.05)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        pytest.param(interval(1 / 3.3, 1 / 2.9, 1 / 3.1), "3.1x faster [2.9, 3.3]", id="faster, slow divided by fast"),
        pytest.param(interval(1.08, 1.16, 1.12), "12 % slower [8, 16]", id="below one and a half in per cent"),
        pytest.param(interval(1 / 1.16, 1 / 1.08, 1 / 1.12), "12 % faster [8, 16]", id="faster in per cent"),
        pytest.param(interval(30.2, 33.9, 31.6), "32x slower [30, 34]", id="large ratios without decimals"),
        pytest.param(interval(2.01, 2.09, 2.05), "2.05x slower [2.01, 2.09]", id="narrow ratios with two decimals"),
        pytest.param(interval(1.021, 1.031, 1.026), "2.6 % slower [2.1, 3.1]", id="narrow shares with one decimal"),
        pytest.param(interval(0.97, 1.0439), "no measurable difference: |Δ| < 4.4 %", id="within the margin"),
        pytest.param(interval(0.98, 1.0131), "no measurable difference: |Δ| < 2.1 %", id="the larger bound, upward"),
        pytest.param(
            interval(1 / 1.09, 1.13, 1.01),
            "not resolved: between 9 % faster and 13 % slower; about 110 more blocks would tell",
            id="wide",
        ),
        pytest.param(
            interval(1.01, 1.105, 1.06),
            "not resolved: between 1.0 % slower and 10 % slower; about 20 more blocks would tell",
            id="one-sided and precise",
        ),
    ],
)
def test_an_interval_is_said_in_words(given: Interval, text: str) -> None:
    assert judge(given, 30, CRITERIA).text == text


@given(st.floats(0.05, 20), st.floats(1.0001, 3))
def test_every_interval_has_one_verdict_and_its_inverse_has_the_mirrored_one(estimate: float, reach: float) -> None:
    given_ = Interval(estimate, estimate / reach, estimate * reach, 0.05)
    kinds = {VerdictKind.FASTER: VerdictKind.SLOWER, VerdictKind.SLOWER: VerdictKind.FASTER}
    kind = judge(given_, 30, CRITERIA).kind
    assert judge(given_.inverse(), 30, CRITERIA).kind is kinds.get(kind, kind)


def test_a_difference_below_the_floor_is_not_called_one() -> None:
    assert judge(interval(1.005, 1.015), 60, CRITERIA).kind is VerdictKind.NO_DIFFERENCE
    assert judge(interval(1.005, 1.015), 60, Criteria(floor=0.001)).kind is VerdictKind.SLOWER


def test_half_the_width_takes_four_times_the_blocks() -> None:
    wide = interval(1 / 1.10, 1.10)
    needed = blocks_to_resolve(wide, 30, Criteria(precision=math.sqrt(1.1) - 1 + 1e-9))
    assert needed == 90


def test_a_run_that_was_cut_short_says_how_many_blocks_are_missing() -> None:
    assert too_few_blocks(1, 8).text == "not resolved: 1 block measured, an interval needs 8"


def test_a_gate_trips_only_if_the_whole_interval_is_beyond_it() -> None:
    gate = parse_gate("slower:10%")
    assert gate.trips(interval(1.11, 1.4))
    assert not gate.trips(interval(1.09, 1.4))
    assert not gate.trips(None)
    assert parse_gate("faster:10 %").trips(interval(0.5, 0.8))


@pytest.mark.parametrize("text", ["slower", "slower:10", "worse:10%", "slower:-3%", ""])
def test_a_gate_that_is_not_understood_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="is not like slower:10%"):
        parse_gate(text)
