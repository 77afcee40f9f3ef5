"""The waterfall, by what it prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from otel.analysis.example import example_trace, failing_trace
from otel.analysis.model import LogRecord, Resource, Trace
from otel.analysis.reading import TraceReading
from tests.unit.analysis import building as b
from tests.unit.analysis.building import CLIENT, SERVER, record, span, trace
from tests.unit.analysis.forests import traces
from tests.unit.render.drawing import drawn, expected
from tracelab.render.waterfall import Waterfall
from tracelab.render.waterfall_columns import status_cells

Example = Callable[[], tuple[Trace, tuple[LogRecord, ...]]]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize(
    ("make", "name"), [(example_trace, "report"), (failing_trace, "failing")], ids=["ok", "failing"]
)
def test_a_trace_is_drawn_as_it_was_looked_at(make: Example, name: str, width: int) -> None:
    assert drawn(Waterfall(TraceReading(*make())), width) == expected(f"waterfall_{name}_{width}")


def test_where_the_encoding_is_ascii_so_is_everything() -> None:
    text = drawn(Waterfall(TraceReading(*failing_trace())), ascii_only=True)

    assert text == expected("waterfall_failing_80_ascii")
    assert text.isascii()


def test_colour_changes_no_character() -> None:
    waterfall = Waterfall(TraceReading(*failing_trace()))
    coloured = drawn(waterfall, colour=True)

    assert "\x1b[" in coloured
    assert _without_escapes(coloured) == drawn(waterfall)


def test_a_span_without_a_time_and_a_circle_of_parents_are_said_in_words() -> None:
    timeless = replace(span("C", 0, 0, "P", CLIENT), start_time_unix_nano=0)
    circle = (span("A", 20, 30, "B"), span("B", 22, 28, "A"))

    lines = drawn(Waterfall(TraceReading(trace(span("P", 0, 100, kind=SERVER), timeless, *circle)))).splitlines()

    assert "P · 100.0 ms · 4 spans" in lines[0]
    shown = next(number for number, line in enumerate(lines) if line.split()[1:3] == ["└", "C"])
    assert lines[shown].split()[-1] == "-", "no length and no bar"
    assert "no time: its start or its end was never set" in lines[shown + 1]
    assert [line for line in lines if "its parent B stands below it" in line]
    assert not [line for line in lines if "was not received" in line]


def test_a_trace_that_has_no_time_at_all_is_drawn() -> None:
    timeless = replace(span("C", 0, 0), start_time_unix_nano=0, end_time_unix_nano=0)

    text = drawn(Waterfall(TraceReading(trace(timeless), (record("C", 5),)), has_logs=True))

    assert "· no time" in text
    assert "1970" not in text


def test_an_error_has_a_mark_and_its_code_without_any_colour() -> None:
    lines = drawn(Waterfall(TraceReading(*failing_trace()))).splitlines()

    assert [line for line in lines if "✗ DEADLINE_EXCEEDED" in line]
    assert [line for line in lines if "! CANCELLED" in line]


def test_a_server_that_cannot_know_why_its_call_was_cut_short_says_that_it_was() -> None:
    stream = span("S", 0, 9, kind=SERVER, operation="a.B/C", attributes={"tracelab.rpc.cut_short": True})
    lines = drawn(Waterfall(TraceReading(trace(stream)))).splitlines()

    assert [line for line in lines if "server" in line and "cut short" in line]


def test_terminal_escapes_in_foreign_text_are_shown_and_do_nothing() -> None:
    evil = span("S", 0, 5, operation="\x1b[31mred\x07\u202e[bold]x[/bold]", service="a\x1b]0;title\x07b")
    nasty = record("S", 1, "line\nbreak", note="\x1b[2J\x9b1mclear")

    text = drawn(Waterfall(TraceReading(trace(evil), (nasty,))), 120)

    assert not [character for character in text if character != "\n" and not character.isprintable()]
    assert r"\x1b[31mred\x07\u202e[bold]x[/bold]" in text
    assert r"note=\x1b[2J\x9b1mclear" in text


@pytest.mark.parametrize("status", ["", "OK", "ERROR"])
def test_short_statuses_with_marks_leave_room_for_the_heading(status: str) -> None:
    assert status_cells(status, has_mark=True) == len("  status")


def test_width_is_counted_in_cells() -> None:
    wide = trace(span("S", 0, 5, operation="注文一覧を取得する処理"), span("C", 1, 2, "S", operation="e\u0301tat 🎉"))

    lines = drawn(Waterfall(TraceReading(wide)), 80).splitlines()

    assert len({cell_len(line[: line.index("internal")]) for line in lines if "internal" in line}) == 1


def test_long_names_and_many_services_stay_readable_at_80_columns() -> None:
    method = "tracelab.report.v1.ReportService/GenerateQuarterlyConsolidatedReport"
    parents = ["", *(f"{i:02d}" for i in range(19))]
    chain = trace(
        *(
            span(f"{i:02d}", i, 100 - i, parent, CLIENT, operation=method, service=f"service-{i}-x")
            for i, parent in enumerate(parents)
        )
    )

    text = drawn(Waterfall(TraceReading(chain)), 80)

    assert text == expected("waterfall_deep_80")


def test_clock_skew_is_said_at_the_span_and_below() -> None:
    text = drawn(Waterfall(TraceReading(b.SKEWED)), 80)

    assert "↳ moved by +130.0 ms, its host's clock differs" in text
    assert "! clocks differ between hosts: 2 spans were moved" in text


def test_a_status_message_is_shown_once_at_the_span_where_it_began() -> None:
    outer = replace(span("C", 0, 9, kind=CLIENT, is_error=True), status_message="user 'u-404' does not exist")
    inner = replace(span("S", 1, 8, "C", is_error=True), status_message="user 'u-404' does not exist")

    assert drawn(Waterfall(TraceReading(trace(outer, inner)))).count("does not exist") == 1


def test_what_a_reader_should_notice_stands_at_its_span() -> None:
    text = drawn(Waterfall(TraceReading(*example_trace()), marks={f"{0xA6:016x}": "the slow one"}))

    lines = text.splitlines()
    assert lines[next(i for i, line in enumerate(lines) if line.startswith("order ")) + 1].strip() == "▶ the slow one"


def test_spans_beyond_the_limit_are_counted() -> None:
    many = trace(span("P", 0, 99), *(span(f"{i:03d}", i, i + 1, "P") for i in range(50)))

    text = drawn(Waterfall(TraceReading(many), most_spans=10))

    assert "… and 41 more spans" in text


def test_a_chain_of_ten_thousand_spans_can_be_drawn() -> None:
    parents = ["", *(f"{i:05d}" for i in range(9_999))]
    chain = trace(*(span(f"{i:05d}", i, 20_001 - i, parent) for i, parent in enumerate(parents)))

    assert "… and 9,700 more spans" in drawn(Waterfall(TraceReading(chain)))


def test_a_trace_without_spans_says_so() -> None:
    assert drawn(Waterfall(TraceReading(trace()))) == "no spans\n"


def test_logs_can_be_left_out() -> None:
    assert "•" not in drawn(Waterfall(TraceReading(*example_trace()), has_logs=False))


def test_a_multi_line_value_of_a_log_record_stays_on_its_line_and_is_cut() -> None:
    stack = "Traceback (most recent call last):\n" + "  File x\n" * 50

    text = drawn(Waterfall(TraceReading(trace(span("S", 0, 5)), (record("S", 1, "it.broke", 17, stack=stack),))), 100)

    assert "✗ ERROR it.broke" in text
    assert max(map(len, text.splitlines())) <= 100
    assert len(text.splitlines()) < 12


@settings(max_examples=60)
@given(traces(), st.sampled_from([60, 80, 100, 120, 200]))
def test_no_line_is_wider_than_the_terminal(given_trace: Trace, width: int) -> None:
    lines = drawn(Waterfall(TraceReading(given_trace)), width).splitlines()

    assert all(cell_len(line) <= width for line in lines)


@settings(max_examples=60)
@given(st.text(), st.text(), st.text())
def test_no_foreign_text_breaks_a_drawing(name: str, service: str, value: str) -> None:
    foreign = replace(span("S", 0, 5, operation=name), resource=Resource({"service.name": service}))

    for ascii_only in (False, True):
        text = drawn(
            Waterfall(TraceReading(trace(foreign), (record("S", 1, value, note=value),))), ascii_only=ascii_only
        )
        assert all(character == "\n" or character.isprintable() for character in text)
        assert all(cell_len(line) <= 80 for line in text.splitlines())


def _without_escapes(text: str) -> str:
    kept: list[str] = []
    for part in text.split("\x1b["):
        kept.append(part.partition("m")[2] if kept else part)
    return "".join(kept)
