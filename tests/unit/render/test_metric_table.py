"""Sparklines and tables of metrics in the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel.query import MetricDescription
from tests.unit.render.drawing import drawn
from tracelab.render.metric_table import MetricGroup, MetricTable, group_name, name_table, number_text, value_text
from tracelab.render.sparkline import sparkline

GROUPS = [
    MetricGroup("UserService/GetUser", (None, 1.0, 4.0, 2.0), 210.0, 21.0, (0.0021, 0.0482, 1.5), "ab" * 16),
    MetricGroup("UserService/ListUsers", (0.0, 0.0, 0.0, 0.5), 15.0, 0.0, (0.00025, None, None), "cd" * 16),
]
TABLE = MetricTable("s", GROUPS, ("p50", "p95", "p99"), has_errors=True)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((0, 1, 2, 3, 4, 5, 6, 7), "▁▂▃▄▅▆▇█"),
        ((None, 1, None), " █ "),
        ((0, 0), "▁▁"),
        ((), ""),
        ((5, 5), "██"),
        ((0.001, 1000), "▂█"),
    ],
)
def test_a_sparkline_goes_from_zero_to_the_greatest(values: tuple[float | None, ...], line: str) -> None:
    assert sparkline(values, 20, ascii_only=False) == line


def test_a_sparkline_of_ascii_is_ascii() -> None:
    assert sparkline((0, 1, 2, 3, 4, 5, 6, 7), 20, ascii_only=True) == "_.:-=+*#"


@given(st.lists(st.none() | st.floats(0, 1e9), max_size=200), st.integers(1, 40))
def test_a_sparkline_fits_and_never_hides_the_greatest(values: list[float | None], width: int) -> None:
    line = sparkline(values, width, ascii_only=False)
    assert len(line) == min(width, len(values))
    assert ("█" in line) == any(value for value in values)


def test_a_table_has_a_line_for_each_group() -> None:
    assert drawn(TABLE, 120) == (
        "of                     over time  per s  count  errors      p50      p95     p99  a trace\n"
        "UserService/GetUser     ▃█▅        2.33    210   10.0%  2.10 ms  48.2 ms  1.50 s  "
        "abababababababababababababababab\n"
        "UserService/ListUsers  ▁▁▁█       0.125   15.0    0.0%   250 µs        -       -  "
        "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd\n"
    )


def test_a_narrow_table_gives_up_what_matters_least() -> None:
    lines = drawn(TABLE, 60, ascii_only=True).splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[0].split() == ["of", "per", "s", "errors", "p50", "p95", "p99"]
    assert "".join(lines).isascii()


def test_a_gauge_shows_its_last_level_and_no_count() -> None:
    table = MetricTable("{call}", [MetricGroup("", (3.0, 5.0, None))], is_level=True)
    assert drawn(table) == "of   over time  last\nall  ▆█         5.00\n"


def test_names_are_listed_whole() -> None:
    metrics = [
        MetricDescription(
            "rpc.server.call.duration", "s", "histogram", "", ("order", "user"), {"rpc.method": ()}, True
        ),
        MetricDescription("queue", "{call}", "exponential_histogram", "", ("order",), {}, True),
    ]
    lines = drawn(name_table(metrics), 100).splitlines()
    assert lines[1].split() == ["rpc.server.call.duration", "histogram", "s", "order,", "user", "rpc.method"]
    assert lines[2].split() == ["queue", "exponential", "histogram", "{call}", "order"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0"), (0.0333, "0.0333"), (2.333, "2.33"), (15.0, "15.0"), (210.0, "210"), (12345.6, "12346")],
)
def test_a_number_has_three_digits(value: float | None, text: str) -> None:
    assert number_text(value) == text


def test_seconds_are_told_in_the_unit_that_fits() -> None:
    assert [value_text(value, "s") for value in (1.5, 0.0482, 0.00025, 0.0)] == ["1.50 s", "48.2 ms", "250 µs", "0 µs"]
    assert value_text(512.0, "By") == "512"


def test_a_method_is_shown_without_its_package() -> None:
    attributes = {"rpc.method": "tracelab.user.v1.UserService/GetUser", "server.port": "50051"}
    assert group_name(attributes, ("rpc.method",)) == "UserService/GetUser"
    assert group_name(attributes, ("server.port", "absent")) == "50051 -"
    assert group_name({}, ()) == ""
