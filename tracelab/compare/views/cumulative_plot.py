"""The cumulative plot in characters: latency to the right on a logarithmic axis, the share of calls upward."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clients.screen import palette
from clients.screen.glyphs import Glyphs, glyphs_for
from tracelab.compare.explanation.milliseconds import NS_PER_MS
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.results.curves import answered_samples, nice_ticks, places, span_of, tick_text
from tracelab.compare.views.quantile_plot import mark_of, style_of

_HEIGHT = 11
_MARGIN = 9


@dataclass(frozen=True)
class CumulativePlot:
    """A renderable; draws nothing where no call succeeded."""

    run: ComparisonRun

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw at the console's width."""
        curves = {
            place: [sample.latency_ns for sample in answered_samples(self.run, name)]
            for name, place in places(self.run).items()
        }
        if not curves:
            return
        yield Text("share of calls that took no longer than so many ms (logarithmic):", palette.QUIET)
        yield from _drawn(curves, min(options.max_width, 100) - _MARGIN, glyphs_for(ascii_only=options.ascii_only))


def _drawn(curves: Mapping[int, list[int]], width: int, glyphs: Glyphs) -> Iterator[Text]:
    low, high = span_of([latency_ns for curve in curves.values() for latency_ns in (curve[0], curve[-1])])
    grid = [[(" ", "")] * width for _ in range(_HEIGHT)]
    for place, curve in reversed(list(curves.items())):
        for column in range(width):
            latency_ns = low * (high / low) ** (column / (width - 1))
            row = round((_HEIGHT - 1) * (1 - bisect_right(curve, latency_ns) / len(curve)))
            if curve[0] <= latency_ns or column == 0:
                grid[row][column] = (mark_of(place, ascii_only=glyphs.is_ascii), style_of(place))
    for number, cells in enumerate(grid):
        label = f"{100 - 100 * number // (_HEIGHT - 1)} %" if number % 5 == 0 else ""
        line = Text(f"{label:>{_MARGIN - 2}} {glyphs.lifeline}", palette.QUIET)
        for sign, style in cells:
            line.append(sign, style)
        line.rstrip()
        yield line
    ticks = [" "] * (width + _MARGIN)
    for tick in nice_ticks(low / NS_PER_MS, high / NS_PER_MS):
        label = tick_text(tick)
        column = _MARGIN + round((width - 1) * math.log(tick * NS_PER_MS / low) / math.log(high / low))
        start = min(column, width + _MARGIN - len(label))
        if set(ticks[start - 1 : start + len(label)]) <= {" "}:
            ticks[start : start + len(label)] = label
    yield Text("".join(ticks).rstrip(), palette.QUIET)
