"""Query parameters read as Go and Jaeger read them, and what is said where they cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel.backend.api import parameters

NOON = 1_795_435_200_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T12:00:00Z", NOON),
        ("2026-11-23T12:00:00.5Z", NOON + 500_000_000),
        ("2026-11-23T12:00:00.123456789Z", NOON + 123_456_789),
        ("2026-11-23T14:00:00+02:00", NOON),
        ("2026-11-23T14:00:00 02:00", NOON),
        ("2026-11-23T11:30:00-00:30", NOON),
        ("1969-12-31T23:59:59.9Z", -100_000_000),
    ],
)
def test_a_time_is_read_to_the_nanosecond(text: str, expected: int) -> None:
    assert parameters.time_of(text) == expected


@pytest.mark.parametrize(
    "text", ["", "noon", "2026-11-23", "2026-13-01T00:00:00Z", "2026-11-23T12:00:00", "1795435200"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        parameters.time_of(text)


@given(st.integers(0, 2**62))
def test_a_time_that_is_written_is_read_back(unix_nano: int) -> None:
    assert parameters.time_of(parameters.rfc3339(unix_nano)) == unix_nano


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5s", 1_500_000_000),
        ("100ms", 100_000_000),
        ("250us", 250_000),
        ("250µs", 250_000),
        ("1h10m", 4_200_000_000_000),
        (".5s", 500_000_000),
        ("2ns", 2),
        ("0", 0),
        ("-1s", -1_000_000_000),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, expected: int) -> None:
    assert parameters.duration_of(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("5", "1d", "s", "1.5", "1 s", "one", "9999999999h", ""),
        pytest.param("1" * 5000 + "s", id="more digits than an integer is read from"),
        pytest.param("1" * 60_000, id="digits that took a minute"),
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        parameters.duration_of(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", "7"),
        ("AbC", "abc"),
        ("f" * 32, "f" * 32),
        ("AAAAAAAAAAE=", "1"),
        ("AAAAAAAAAAI", "2"),
        ("AAAAAAAAAAE", "aaaaaaaaaae"),
        ("_____________________w==", "f" * 32),
        ("/////////////////////w", "f" * 32),
    ],
)
def test_a_trace_id_is_read_in_every_form_that_jaeger_takes(text: str, expected: str) -> None:
    assert parameters.trace_id_of(text).hex() == expected.rjust(32, "0")


@pytest.mark.parametrize("text", ["", "0x7", "g", "f" * 33, "f" * 40, "zz zz", "AAAA"])
def test_what_is_no_trace_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hex digits"):
        parameters.trace_id_of(text + "!" if text == "AAAA" else text)


@pytest.mark.parametrize("text", ["x", "1.5", "", "1e3", "9" * 30, "²"])
def test_what_is_no_integer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an integer|out of the range"):
        parameters.integer_of(text)


def test_an_integer_of_32_bits_is_bounded() -> None:
    assert parameters.integer_of("2147483647", bits=32) == 2**31 - 1
    with pytest.raises(ValueError, match="32 bits"):
        parameters.integer_of("2147483648", bits=32)


@pytest.mark.parametrize("text", ["{", "[]", '{"a":1}', '{"a":null}', '"x"'])
def test_attributes_are_an_object_of_strings(text: str) -> None:
    with pytest.raises(ValueError, match=r"JSON|must be"):
        parameters.attributes_of(text)


def test_the_first_name_with_a_value_wins() -> None:
    assert parameters.first_set({"a": "", "b": "2"}, "a", "b") == ("b", "2")
    assert parameters.first_set({"a": "1", "b": "2"}, "a", "b") == ("a", "1")
    assert parameters.first_set({}, "a", "b") == ("a", "")
