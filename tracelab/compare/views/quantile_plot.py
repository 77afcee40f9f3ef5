"""The quantile plot in characters: percentiles to the right on 1/(1-p), latency upward in milliseconds, both log."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clients.screen import palette
from clients.screen.glyphs import Glyphs, glyphs_for
from clients.screen.text import plain
from tracelab.compare.explanation.milliseconds import NS_PER_MS
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.results.curves import (
    QUANTILE_TICKS,
    QuantilePoint,
    depth_of,
    nice_ticks,
    places,
    quantile_curve,
    span_of,
    tick_text,
)

_MARKS = "●▲■◆✚✖"
_ASCII_MARKS = "o^#*+x"
_STYLES = ("cyan", "yellow", "magenta", "green", "blue", "red")
_HEIGHT = 12
_MARGIN = 9


def mark_of(place: int, *, ascii_only: bool) -> str:
    """The mark of the variant at that place."""
    marks = _ASCII_MARKS if ascii_only else _MARKS
    return marks[place % len(marks)]


def style_of(place: int) -> str:
    """The colour that goes with the mark."""
    return _STYLES[place % len(_STYLES)]


@dataclass(frozen=True)
class QuantilePlot:
    """A renderable; draws nothing where no call succeeded."""

    run: ComparisonRun

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw at the console's width."""
        names = places(self.run)
        curves = {place: quantile_curve(self.run, name) for name, place in names.items()}
        if not curves:
            return
        glyphs = glyphs_for(ascii_only=options.ascii_only)
        yield _legend(names, glyphs)
        yield from _drawn(curves, min(options.max_width, 100) - _MARGIN, glyphs.is_ascii)


def _legend(names: Mapping[str, int], glyphs: Glyphs) -> Text:
    line = Text("latency in ms by percentile:", palette.QUIET)
    for name, place in names.items():
        line.append(f"  {mark_of(place, ascii_only=glyphs.is_ascii)} {plain(name, glyphs)}", style_of(place))
    return line


def _drawn(curves: Mapping[int, list[QuantilePoint]], width: int, is_ascii: bool) -> Iterator[Text]:
    latencies = [point.latency_ns / NS_PER_MS for curve in curves.values() for point in curve]
    low, high = span_of(latencies)
    deepest = max(curve[-1].depth for curve in curves.values())
    grid = [[(" ", "")] * width for _ in range(_HEIGHT)]
    for place, curve in reversed(list(curves.items())):
        for column in range(width):
            latency_ns = _latency_at(curve, deepest * column / (width - 1))
            if latency_ns is not None:
                row = round((_HEIGHT - 1) * math.log(high / (latency_ns / NS_PER_MS)) / math.log(high / low))
                grid[row][column] = (mark_of(place, ascii_only=is_ascii), style_of(place))
    labels = _labels(low, high)
    axis = "|" if is_ascii else "│"
    for number, row_cells in enumerate(grid):
        line = Text(f"{labels.get(number, ''):>{_MARGIN - 2}} {axis}", palette.QUIET)
        for sign, style in row_cells:
            line.append(sign, style)
        line.rstrip()
        yield line
    yield from _axis(deepest, width, is_ascii)


def _latency_at(curve: list[QuantilePoint], depth: float) -> int | None:
    """The latency of the first call at least so deep; None beyond the slowest."""
    if depth > curve[-1].depth + 1e-9:
        return None
    low, high = 0, len(curve) - 1
    while low < high:
        middle = (low + high) // 2
        if curve[middle].depth < depth - 1e-9:
            low = middle + 1
        else:
            high = middle
    return curve[low].latency_ns


def _labels(low: float, high: float) -> dict[int, str]:
    rows = {
        round((_HEIGHT - 1) * math.log(high / tick) / math.log(high / low)): tick_text(tick)
        for tick in nice_ticks(low, high)
    }
    return {row: label for row, label in rows.items() if 0 <= row < _HEIGHT}


def _axis(deepest: float, width: int, is_ascii: bool) -> Iterator[Text]:
    corner, line = ("+", "-") if is_ascii else ("└", "─")
    yield Text(" " * (_MARGIN - 1) + corner + line * (width - 1), palette.QUIET)
    ticks = [" "] * (width + _MARGIN)
    for quantile in QUANTILE_TICKS:
        depth = depth_of(quantile.numerator, quantile.denominator)
        if depth <= deepest:
            label = "p50" if quantile.label == "median" else quantile.label
            start = min(width + _MARGIN - len(label), _MARGIN + round((width - 1) * depth / deepest))
            ticks[start : start + len(label)] = label
    yield Text("".join(ticks).rstrip(), palette.QUIET)
