"""What a person types and reads: money with decimals, durations with a unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.errors import WrongUsageError
from clients.money import format_money, parse_amount, parse_money
from tracelab.commands.durations import duration_ns


@pytest.mark.parametrize(
    ("minor_units", "text"), [(7500, "75.0"), (7525, "75.25"), (5, "0.05"), (0, "0.0"), (-150, "-1.5"), (10, "0.1")]
)
def test_money_is_shown_with_one_decimal_or_two(minor_units: int, text: str) -> None:
    assert format_money(minor_units) == text


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_money_that_is_shown_reads_back_as_it_was(minor_units: int) -> None:
    assert parse_money(format_money(minor_units)) == minor_units


@pytest.mark.parametrize(
    "text", ["", "forty", "40.005", "nan", "inf", "4,5", "0x10", "1e3", "4_0", "\u0664\u0660", "9" * 5000]
)
def test_what_is_no_amount_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an amount such as 40\.0"):
        parse_money(text)


@pytest.mark.parametrize("text", ["-1", "0", "99999999999999999", "10000000000.01"])
def test_an_amount_that_no_order_may_have_is_refused_in_the_words_it_was_typed_in(text: str) -> None:
    with pytest.raises(ValueError, match=rf"^must be 0\.01 to 10000000000\.0, is {text}$"):
        parse_amount(text)


@pytest.mark.parametrize(("text", "expected"), [("250ms", 250_000_000), ("1.5s", 1_500_000_000), ("10m", 600 * 10**9)])
def test_a_duration_has_a_unit(text: str, expected: int) -> None:
    assert duration_ns(text, "--since") == expected


@pytest.mark.parametrize("text", ["", "10", "ms", "-1s", "1 year"])
def test_a_duration_without_a_unit_is_refused_by_the_options_name(text: str) -> None:
    with pytest.raises(WrongUsageError, match=r"^--since: .* is not a duration"):
        duration_ns(text, "--since")


@pytest.mark.parametrize("text", ["9" * 400 + "s", "999999999999d"], ids=["more than a float", "more than 64 bits"])
def test_a_duration_that_no_clock_has_is_wrong_usage(text: str) -> None:
    with pytest.raises(WrongUsageError, match=r"^--since: more than 290 years$"):
        duration_ns(text, "--since")
