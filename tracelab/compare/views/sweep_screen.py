"""A sweep on the screen and as JSON: medians at each number, slopes or where the difference is, counts, and a plot."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from clients.screen import palette
from clients.screen.glyphs import Glyphs, glyphs_for
from clients.screen.tables import Cell, Column, PlainTable
from clients.screen.text import plain
from tracelab.compare.explanation.milliseconds import NS_PER_MS, short_ms
from tracelab.compare.explanation.sentence import sentence
from tracelab.compare.results.curves import tick_text
from tracelab.compare.results.json_form import run_to_json
from tracelab.compare.results.sweep import SWEPT_WORDS, Slope, Sweep, calls_per_operation
from tracelab.compare.views.quantile_plot import mark_of, style_of

SWEEP_SCHEMA = "tracelab.compare.sweep/1"
COUNTED = "OrderService/ListOrders"
_OF_WHAT = {"users": "of users", "concurrency": "of calls at once", "n": "n"}
_EACH = {"users": "user", "n": "n"}
_HEIGHT, _WIDTH, _MARGIN = 12, 60, 9


def sweep_to_json(sweep: Sweep) -> dict[str, Any]:
    """The sweep with every run whole."""
    return {
        "schema": SWEEP_SCHEMA,
        sweep.by: list(sweep.numbers),
        "slopes": [
            {
                "variant": slope.variant,
                f"per_{_EACH[sweep.by]}_ns": slope.per_step_ns,
                "base_ns": slope.base_ns,
                "low_ns": slope.low_ns,
                "high_ns": slope.high_ns,
                **_counts_to_json(sweep, slope.variant),
            }
            for slope in sweep.slopes()
        ],
        "runs": [run_to_json(run) for run in sweep.runs],
    }


def _counts_to_json(sweep: Sweep, name: str) -> dict[str, Any]:
    if not sweep.is_of_ours:
        return {}
    return {"calls": [calls_per_operation(run, name, COUNTED) for run in sweep.runs]}


def print_sweep(console: Console, sweep: Sweep) -> None:
    """Print the whole screen."""
    glyphs = glyphs_for(ascii_only=console.options.ascii_only)
    for part in _parts(sweep, glyphs):
        console.print(part)


def _parts(sweep: Sweep, glyphs: Glyphs) -> Iterator[RenderableType]:
    names = sweep.names
    numbers = ", ".join(f"{number:,}" for number in sweep.numbers)
    words = f"{', '.join(names[1:])} against {names[0]} with {numbers} {SWEPT_WORDS[sweep.by]}"
    yield Text(plain(words, glyphs), palette.STRONG)
    for slope in sweep.slopes():
        yield Text(plain(_slope_line(slope, _EACH[sweep.by]), glyphs))
    yield Text()
    yield _table(sweep, glyphs)
    yield from (Text(plain(line, glyphs)) for line in _where(sweep))
    notes = dict.fromkeys(note for run in sweep.runs for note in run.notes)
    yield from (Text(f"{glyphs.warning} {plain(note, glyphs)}", palette.WARNING) for note in notes)
    yield Text()
    yield from _plot(sweep, glyphs)


def _where(sweep: Sweep) -> Iterator[str]:
    """Where in the call the difference is, at each number of calls at once: by users the slopes and counts say it."""
    if sweep.by != "concurrency":
        return
    for number, run in zip(sweep.numbers, sweep.runs, strict=True):
        analysis = run.analyse()
        for one in run.decompositions():
            yield f"{number:,} {SWEPT_WORDS[sweep.by]}: {sentence(one, analysis.finds_difference(one.variant))}"


def _slope_line(slope: Slope, unit: str) -> str:
    limits = ""
    if slope.low_ns is not None and slope.high_ns is not None:
        limits = f" [{slope.low_ns / NS_PER_MS:.3g}, {slope.high_ns / NS_PER_MS:.3g}]"
    slope_ms = slope.per_step_ns / NS_PER_MS
    return f"{slope.variant}: {slope_ms:.3g} ms for each {unit}{limits}, beside {short_ms(slope.base_ns)} ms"


def _table(sweep: Sweep, glyphs: Glyphs) -> PlainTable:
    columns = [
        Column(SWEPT_WORDS[sweep.by], is_number=True),
        Column(""),
        Column("variant"),
        Column("median ms", is_number=True),
        *([Column("ListOrders", is_number=True, give_up=1)] if sweep.is_of_ours else []),
        Column("against the first", is_flexible=True),
    ]
    return PlainTable(columns, list(_rows(sweep, glyphs)))


def _rows(sweep: Sweep, glyphs: Glyphs) -> Iterator[list[Cell | str]]:
    medians = {name: sweep.median_ns(name) for name in sweep.names}
    for number, (swept, run) in enumerate(zip(sweep.numbers, sweep.runs, strict=True)):
        analysis = run.analyse()
        verdicts = {one.variant: one.verdict.text for one in analysis.headlines if one.verdict}
        for place, name in enumerate(sweep.names):
            calls = calls_per_operation(run, name, COUNTED)
            text = verdicts.get(name, "").partition(";")[0]
            text = f"({text})" if text and analysis.disturbed else text
            yield [
                f"{swept:,}" if not place else "",
                Cell(mark_of(place, ascii_only=glyphs.is_ascii), style_of(place)),
                name,
                short_ms(medians[name][number]),
                *(["" if calls is None else f"x{calls:.3g}"] if sweep.is_of_ours else []),
                text.replace("Δ", "diff") if glyphs.is_ascii else text,
            ]


def _plot(sweep: Sweep, glyphs: Glyphs) -> Iterator[Text]:
    """Median over the numbers, both logarithmic: a straight line upward is growth by a power, a flat one is none."""
    medians = {name: [value / NS_PER_MS for value in sweep.median_ns(name)] for name in sweep.names}
    known = [value for values in medians.values() for value in values if value]
    if not known:
        return
    low, high = min(known) / 1.1, max(known) * 1.1
    first, last = math.log(sweep.numbers[0]), math.log(sweep.numbers[-1])
    grid = [[(" ", "")] * _WIDTH for _ in range(_HEIGHT)]
    for place, values in reversed(list(enumerate(medians.values()))):
        for number, value in zip(sweep.numbers, values, strict=True):
            if value:
                column = round((_WIDTH - 1) * (math.log(number) - first) / (last - first))
                row = round((_HEIGHT - 1) * math.log(high / value) / math.log(high / low))
                grid[row][column] = (mark_of(place, ascii_only=glyphs.is_ascii), style_of(place))
    yield Text(f"median in ms by number {_OF_WHAT[sweep.by]}, both logarithmic", palette.QUIET)
    for number, cells in enumerate(grid):
        label = tick_text(high) if number == 0 else tick_text(low) if number == _HEIGHT - 1 else ""
        line = Text(f"{label:>{_MARGIN - 2}} {glyphs.lifeline}", palette.QUIET)
        for sign, style in cells:
            line.append(sign, style)
        line.rstrip()
        yield line
    low_end, high_end = f"{sweep.numbers[0]:,}", f"{sweep.numbers[-1]:,}"
    yield Text(f"{'':>{_MARGIN}}{low_end}{high_end:>{_WIDTH - len(low_end)}}", palette.QUIET)
