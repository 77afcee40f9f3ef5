"""Tables, log lines, sequence diagrams, diffs, pictures and consoles."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from clients.screen.console import console_for
from clients.screen.glyphs import ASCII, UNICODE
from clients.screen.palette import KNOWN_SERVICES, service_style
from clients.screen.tables import Cell, Column, PlainTable
from clients.screen.text import Sentence, fit, left, plain, right, wrap_words
from otel.analysis.diff import diff_traces
from otel.analysis.example import example_trace, failing_trace
from otel.analysis.reading import TraceReading
from tests.unit.analysis import building as b
from tests.unit.analysis.building import record, trace
from tests.unit.render.drawing import drawn, expected
from tracelab.render.diff_table import DiffTable
from tracelab.render.log_lines import LogLines, operations_of
from tracelab.render.sequence_diagram import SequenceDiagram
from tracelab.render.svg import svg_of, svg_of_capture
from tracelab.render.trace_table import operation_table, summary_of, trace_table
from tracelab.render.waterfall import Waterfall

REPORT, FAILING = TraceReading(*example_trace()), TraceReading(*failing_trace())
BATCH = trace(b.span("P", 0, 30, kind=b.SERVER), b.span("Batch", 5, 25, "P", b.CLIENT))

DRAWINGS: dict[str, Any] = {
    "sequence_report": SequenceDiagram(REPORT),
    "sequence_failing": SequenceDiagram(FAILING),
    "logs_failing": LogLines(FAILING.logs, operations_of(FAILING.trace)),
    "traces": trace_table([summary_of(REPORT), summary_of(FAILING)]),
    "operations": operation_table(FAILING),
    "diff_examples": DiffTable(diff_traces(REPORT, FAILING)),
    "diff_fan_out": DiffTable(diff_traces(TraceReading(b.FAN_OUT), TraceReading(BATCH)), show_all=True),
}


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_as_it_was_looked_at(name: str, width: int) -> None:
    assert drawn(DRAWINGS[name], width) == expected(f"{name}_{width}")


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_has_an_ascii_form(name: str) -> None:
    assert drawn(DRAWINGS[name], 80, ascii_only=True).isascii()


def test_a_call_between_nobody_has_no_sequence() -> None:
    assert drawn(SequenceDiagram(TraceReading(trace(b.span("S", 0, 1))))) == "no calls between services\n"


def test_a_table_gives_up_columns_in_their_order_and_cuts_the_flexible_one() -> None:
    table = PlainTable(
        [Column("id"), Column("name", is_flexible=True), Column("extra", give_up=1), Column("more", give_up=2)],
        [["1", "n" * 30, "e" * 10, "m" * 10]],
    )

    assert drawn(table, 60).splitlines()[0].split() == ["id", "name", "extra", "more"]
    assert drawn(table, 44).splitlines()[0].split() == ["id", "name", "extra"]
    assert drawn(table, 30).splitlines()[1] == "1   " + "n" * 25 + "…"
    assert drawn(table, 14).splitlines()[1] == "1   " + "n" * 9 + "…"


def test_a_list_of_traces_gives_up_the_span_counts_before_it_cuts_a_name() -> None:
    lines = drawn(trace_table([summary_of(REPORT)]), 100).splitlines()

    assert lines[0].split() == ["trace", "started", "(UTC)", "root", "ms", "errors"]
    assert "demo ReportService/GetUserReport" in lines[1]


def test_beside_one_long_trace_the_others_still_have_a_duration() -> None:
    usual = summary_of(REPORT)
    long = replace(usual, end_time_unix_nano=usual.start_time_unix_nano + 60_000_000_000)
    lines = drawn(trace_table([usual, long, usual]), 200).splitlines()
    assert "60000.0" in lines[2]
    assert " 14.2 " in lines[1]


def test_an_empty_table_has_its_header() -> None:
    assert drawn(trace_table([])) == "trace  started (UTC)  root  ns  spans  errors  services\n"


def test_numbers_are_aligned_on_the_right() -> None:
    table = PlainTable([Column("n", is_number=True)], [["1"], [Cell("100")]])

    assert drawn(table) == "  n\n  1\n100\n"


@pytest.mark.parametrize(
    ("text", "unicode_form", "ascii_form"),
    [
        ("plain [bold]", "plain [bold]", "plain [bold]"),
        ("a\tb\r\n", r"a\tb\r\n", r"a\tb\r\n"),
        ("\x1b[31m\x7f\x9b", r"\x1b[31m\x7f\x9b", r"\x1b[31m\x7f\x9b"),
        ("\u202eevil\u2066\u200b", r"\u202eevil\u2066\u200b", r"\u202eevil\u2066\u200b"),
        ("\ud800", r"\ud800", r"\ud800"),
        ("5\xa0µs é 🎉", "5 µs é 🎉", r"5 us \xe9 \U0001f389"),
    ],
    ids=["markup", "white space", "escapes", "bidirectional and invisible", "a lone surrogate", "beyond ASCII"],
)
def test_foreign_text_is_made_safe(text: str, unicode_form: str, ascii_form: str) -> None:
    assert (plain(text, UNICODE), plain(text, ASCII)) == (unicode_form, ascii_form)


def test_text_is_cut_and_padded_by_cells() -> None:
    assert fit("注文一覧", 5, UNICODE) == "注文…"
    assert [cell_len(left(text, 5, UNICODE)) for text in ("注文一覧", "a", "")] == [5, 5, 5]
    assert right("7", 3, UNICODE) == "  7"
    assert wrap_words(["aa", "bb", "ccccccc"], 5, UNICODE) == ["aa bb", "cccc…"]


def test_a_service_has_one_colour_wherever_it_appears() -> None:
    assert service_style("order") == KNOWN_SERVICES["order"]
    assert service_style("billing") == service_style("billing")


def test_a_log_record_without_an_event_shows_its_body() -> None:
    text = drawn(LogLines([record("", 1, "", 9)]), 100)

    assert text.startswith("18:00:00.001000 svc •")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "no_color", "has_colour"),
    [
        (Terminal(), {"TERM": "xterm-256color"}, False, True),
        (Terminal(), {"TERM": "xterm-256color", "NO_COLOR": "1"}, False, False),
        (Terminal(), {"TERM": "dumb"}, False, False),
        (Terminal(), {"TERM": "xterm-256color"}, True, False),
        (io.StringIO(), {"TERM": "xterm-256color"}, False, False),
    ],
    ids=["terminal", "NO_COLOR", "dumb", "--no-color", "piped"],
)
def test_colour_is_for_terminals_that_want_it(
    stream: io.StringIO, environ: dict[str, str], no_color: bool, has_colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    console = console_for(stream, environ, no_color=no_color)
    console.print("word", style="red")

    assert ("\x1b[31m" in stream.getvalue()) is has_colour


def test_a_piped_console_has_a_fixed_width() -> None:
    assert console_for(io.StringIO(), {}).width == 100


def test_a_picture_needs_nothing_from_elsewhere_and_is_the_same_every_time() -> None:
    picture = svg_of(Waterfall(REPORT), title="./lab demo")

    assert picture == svg_of(Waterfall(REPORT), title="./lab demo")
    assert "GetUserReport" in picture
    assert "url(" not in picture.replace("url(#", "")


def test_what_a_command_printed_can_be_made_a_picture() -> None:
    assert "hello" in svg_of_capture("\x1b[32mhello\x1b[0m\n", title="x")


def test_a_sentence_that_is_filled_leaves_no_space_at_any_end() -> None:
    shown = drawn(Sentence("Report took 14.2 ms: 6.1 OrderService/ListOrders, 3.9 wire and queues"), width=30)
    assert shown.splitlines() == ["Report took 14.2 ms: 6.1", "OrderService/ListOrders, 3.9", "wire and queues"]


@pytest.mark.parametrize("value", ["C", "POSIX"])
def test_a_system_without_a_character_set_gets_ascii(value: str) -> None:
    stream = io.StringIO()
    console = console_for(stream, {"LC_ALL": value})
    assert console.options.ascii_only
    assert not console_for(stream, {"LC_ALL": "C.UTF-8"}).options.ascii_only
