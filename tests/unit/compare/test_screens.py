from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from tests.unit.compare.made_run import made_run, untraced
from tracelab.compare.explanation.prediction import Prediction
from tracelab.compare.measurement.block_design import StopReason
from tracelab.compare.measurement.pace import Pace
from tracelab.compare.results.csv_form import run_to_csv
from tracelab.compare.results.notes import notes_of
from tracelab.compare.results.sweep import Sweep
from tracelab.compare.views.html_page import page_of
from tracelab.compare.views.sweep_screen import print_sweep
from tracelab.compare.views.terminal import print_run

MINUS = "\N{MINUS SIGN}"


def screen(run: object, width: int = 100, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(file=stream, width=width, no_color=True, markup=False, emoji=False, highlight=False)
    print_sweep(console, run) if isinstance(run, Sweep) else print_run(console, run)  # type: ignore[arg-type]  # a run
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_one_screen_answers_which_how_much_how_sure_where_and_which_trace() -> None:
    text = screen(made_run())
    assert re.search(r"batch against sequential: 3\.\d+x faster \[3\.\d+, 3\.\d+\]", text)
    assert "sequential against itself" in text
    assert re.search(r"batch saves 2\d\.\d ms: 2\d\.\d of it in 19 calls to ListOrders that it does not make\.", text)
    assert "x20 → x1" in text
    assert "./lab trace ID --store /lab/runs/one/telemetry.sqlite" in text
    assert "p95 needs 200 calls, has 100" in text


def test_the_numbers_of_the_breakdown_add_up_as_they_are_printed() -> None:
    lines = screen(made_run()).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("service"))
    end = next(number for number, line in enumerate(lines) if line.startswith("sum"))
    number = re.compile(rf"(?<![\dx,\[])[+{MINUS}]?\d+\.\d+(?![\d,\]])")
    rows = [
        [float(text.replace(MINUS, "-")) for text in number.findall(line.split("[")[0])]
        for line in lines[start + 1 : end]
    ]
    total = [float(text.replace(MINUS, "-")) for text in number.findall(lines[end])]
    assert [round(sum(column), 3) for column in zip(*rows, strict=True)] == pytest.approx(total)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, screen(made_run(), width).splitlines())) <= width


def test_a_terminal_without_unicode_gets_ascii() -> None:
    assert screen(made_run(), encoding="ascii").isascii()


def test_a_disturbed_run_has_its_verdict_in_brackets() -> None:
    run = made_run()
    slower = tuple(
        replace(sample, latency_ns=sample.latency_ns * 2) if sample.entry.endswith("(twin)") else sample
        for sample in run.measurement.samples
    )
    text = screen(replace(run, measurement=replace(run.measurement, samples=slower)))
    assert re.search(r"batch against sequential: \(3\.\d+x faster \[.*\]\) in a disturbed run: repeat it", text)


def test_without_traces_there_is_a_verdict_and_no_breakdown() -> None:
    text = screen(untraced(made_run()))
    assert "x faster" in text
    assert "where it went" not in text
    assert "traces to look at" not in text


def test_a_run_that_was_cut_short_says_so() -> None:
    run = made_run(blocks=5)
    run = replace(run, measurement=replace(run.measurement, stop_reason=StopReason.INTERRUPTED))
    run = replace(run, notes=notes_of(run))
    text = screen(run)
    assert "not resolved: 5 blocks measured, an interval needs 8" in text
    assert "cut short after 5 blocks: nothing of it is saved" in text


def test_a_busy_client_and_a_busy_machine_are_told() -> None:
    run = made_run()
    busy = replace(run.measurement, pace={"batch": Pace(1.0, 0, 0.97, 0)})
    run = replace(run, measurement=busy, environment=replace(run.environment, load_before=5.0))
    assert notes_of(run) == (
        "the machine was busy before the run: load 5.0 on 2 cores",
        "the client itself was busy for 97 % of batch's runs: it is the bottleneck",
    )


def test_a_prediction_is_shown_with_how_good_it_was() -> None:
    prediction = Prediction("batch", "OrderService/ListOrders", 0.5, 41e6, 30e6, 20e6, 32e6)
    text = " ".join(screen(replace(made_run(), what_if=(prediction,))).split())
    assert "what if OrderService/ListOrders took 0.5x its time in batch" in text
    assert "30.0 ms instead of 41.0, if nothing else contends" in text
    assert "they took 32.0 ms, so the prediction is -6.2 % off" in text


def test_a_sweep_shows_slopes_and_counts() -> None:
    text = screen(Sweep((1, 2, 4), (made_run(1, 1), made_run(2, 2), made_run(3, 4))))
    assert re.search(r"sequential: \d+\.?\d* ms for each user \[", text)
    assert "ListOrders" in text
    assert "x20" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_sweep_over_calls_at_once_says_at_each_where_the_difference_is() -> None:
    text = screen(Sweep((1, 8), (made_run(1, 1), made_run(2, 2)), "concurrency"))
    assert "with 1, 8 at once" in text
    assert "for each user" not in text
    assert re.search(r"^1 at once: batch saves \d", text, re.MULTILINE)
    assert re.search(r"^8 at once: batch saves \d", text, re.MULTILINE)


class Outline(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for key, value in attrs if key in {"href", "src"}]


def test_the_page_is_self_contained_and_runs_no_script() -> None:
    page = page_of(made_run())
    outline = Outline()
    outline.feed(page)
    assert "script" not in outline.tags
    assert not {"link", "img", "iframe"} & set(outline.tags)
    assert all(link.startswith("http://127.0.0.1:16686/trace/") for link in outline.links)
    assert outline.links
    assert "@import" not in page
    assert "url(" not in page


def test_every_chart_of_the_page_is_a_picture_with_title_and_description() -> None:
    charts = re.findall(r"<svg viewBox.*?</svg>", page_of(made_run()), re.DOTALL)
    assert len(charts) == 4
    for chart in charts:
        root = ET.fromstring(chart)
        assert root.attrib["role"] == "img"
        names = root.attrib["aria-labelledby"].split()
        assert [root.find(tag).attrib["id"] for tag in ("title", "desc")] == names  # type: ignore[union-attr]  # both are there


def test_foreign_text_on_the_page_is_text() -> None:
    page = page_of(replace(made_run(), question="<script>alert(1)</script>"))
    assert "<script>" not in page


def test_the_share_of_calls_by_latency_is_drawn_when_asked_for() -> None:
    stream = io.StringIO()
    print_run(Console(file=stream, width=80, no_color=True, highlight=False), made_run(), cumulative=True)
    assert "share of calls that took no longer" in stream.getvalue()
    assert "share of calls that took no longer" not in screen(made_run())


def test_a_variant_without_latencies_is_not_drawn_and_the_others_keep_their_marks() -> None:
    run = made_run()
    failed = tuple(
        replace(sample, code="UNAVAILABLE") if sample.entry == "sequential" else sample
        for sample in run.measurement.samples
    )
    text = screen(replace(run, measurement=replace(run.measurement, samples=failed)))
    assert "not comparable: every call of sequential failed (UNAVAILABLE)" in text
    assert "latency in ms by percentile:  ▲ batch" in text
    assert "where it went" not in text


def test_what_could_not_keep_up_is_not_explained() -> None:
    run = made_run()
    pace = {**run.measurement.pace, "batch": Pace(0.6, 0, 0.4, 1_200)}
    run = replace(run, measurement=replace(run.measurement, pace=pace))
    text = screen(run)
    expected = "could not keep up: 1,200 calls were not started because too many were in flight"
    assert expected in " ".join(text.split())
    assert run.decompositions() == ()


def test_too_few_calls_for_a_breakdown_of_the_slowest_are_told() -> None:
    notes = notes_of(replace(made_run(), by_tail=True))
    assert notes == ("sequential and batch made fewer than 400 calls, so there is no breakdown of the slowest 5 %",)


def test_the_csv_has_a_line_for_each_call() -> None:
    run = made_run()
    rows = list(csv.DictReader(io.StringIO(run_to_csv(run))))
    assert len(rows) == len(run.measurement.samples)
    assert rows[0]["latency_ns"] == str(run.measurement.samples[0].latency_ns)
    assert {row["role"] for row in rows} == {"baseline", "variant", "twin", "control"}
