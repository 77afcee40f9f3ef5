"""A trace as a sequence diagram in text: a lifeline for each service, time going down.

Shows itself: `python -m tracelab.render.sequence_diagram`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clients.screen import palette
from clients.screen.console import console_for
from clients.screen.glyphs import Glyphs, glyphs_for
from clients.screen.text import fit, plain, right
from otel.analysis.durations import DurationScale, scale_for
from otel.analysis.example import example_trace, failing_trace
from otel.analysis.reading import TraceReading
from otel.analysis.sequence import Sequence, SequenceStep, StepKind, sequence_of
from tracelab.render.waterfall_rows import short_name

MOST_CELLS_OF_A_LANE = 30
LEAST_CELLS_OF_A_LANE = 10


@dataclass(frozen=True)
class SequenceDiagram:
    """A renderable. Where a label fits on its arrow in no form it stands above; lanes narrow before that."""

    reading: TraceReading
    has_logs: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw at the console's width."""
        glyphs = glyphs_for(ascii_only=options.ascii_only)
        sequence = sequence_of(self.reading)
        if not sequence.steps:
            yield Text("no calls between services")
            return
        yield from _Diagram(self.reading, sequence, options.max_width, glyphs).lines(has_logs=self.has_logs)


class _Diagram:
    def __init__(self, reading: TraceReading, sequence: Sequence, width: int, glyphs: Glyphs) -> None:
        self._sequence = sequence
        self._glyphs = glyphs
        self._width = width
        self._start = reading.start_time_unix_nano
        self._scale: DurationScale = scale_for(reading.end_time_unix_nano - self._start, least_decimals=1)
        self._time_cells = len(self._scale.number(reading.end_time_unix_nano - self._start))
        self._lane = self._lane_cells()
        self._at = {name: number * self._lane + self._lane // 2 for number, name in enumerate(sequence.participants)}
        self._drawn = self._lane * len(sequence.participants)

    def lines(self, *, has_logs: bool) -> Iterator[Text]:
        unit = plain(self._scale.unit, self._glyphs)
        header = Text.assemble((right(unit, self._time_cells, self._glyphs) + " ", palette.QUIET))
        for name in self._sequence.participants:
            shown = fit(plain(name, self._glyphs), self._lane - 1, self._glyphs)
            before = self._at[name] - cell_len(shown) // 2 - (header.cell_len - self._time_cells - 1)
            header.append(" " * max(0, before))
            header.append(shown, palette.service_style(name))
        yield header
        for step in self._sequence.steps:
            if step.kind is not StepKind.LOG or has_logs:
                yield from self._step_lines(step)

    def _step_lines(self, step: SequenceStep) -> Iterator[Text]:
        time = right(self._scale.number(step.time_unix_nano - self._start), self._time_cells, self._glyphs)
        label = plain(step.label, self._glyphs)
        here, there = self._at[step.from_service], self._at[step.to_service]
        cells = self._lifelines()
        style = palette.ERROR if step.is_error else ""
        if here == there:
            mark = self._glyphs.error if step.is_error else self._glyphs.log
            yield self._beside(time, cells, here, mark, label, style)
            return
        if step.is_error:
            label = f"{self._glyphs.error} {label}"
        low, high = min(here, there), max(here, there)
        self._draw_arrow(cells, step, low, high, points_right=there > here)
        room = high - low - 3
        fitting = next((text for text in _forms(label) if cell_len(text) + 2 <= room), None)
        if fitting is None:
            yield self._beside(time, self._lifelines(), low, self._glyphs.lifeline, label, style)
            time = " " * self._time_cells
            yield self._arrow_line(time, cells, low + 1, "", style)
        else:
            yield self._arrow_line(time, cells, low + 1 + (room - cell_len(fitting)) // 2, f" {fitting} ", style)

    def _arrow_line(self, time: str, cells: list[str], at: int, label: str, style: str) -> Text:
        line = self._line(time, "".join(cells[:at]) + label, style, at)
        line.append("".join(cells[at + cell_len(label) :]))
        line.rstrip()
        return line

    def _draw_arrow(self, cells: list[str], step: SequenceStep, low: int, high: int, *, points_right: bool) -> None:
        body = self._glyphs.bar if step.kind in (StepKind.REQUEST, StepKind.MESSAGE) else None
        for at in range(low + 1, high):
            # A request is a solid line, what comes back a broken one.
            cells[at] = body or (self._glyphs.bar if at % 2 else " ")
        if points_right:
            cells[high - 1] = self._glyphs.error if step.kind is StepKind.CANCEL else self._glyphs.arrow_right
        else:
            cells[low + 1] = self._glyphs.arrow_left

    def _beside(self, time: str, cells: list[str], at: int, mark: str, label: str, style: str) -> Text:
        cells[at] = mark
        room = self._width - self._time_cells - at - 3
        if cell_len(label) > room and cell_len(label) + 2 <= at:
            first = at - 1 - cell_len(label)
            line = self._line(time, "".join(cells[:first]) + label, style or "italic", first)
            line.append(" " + "".join(cells[at:]))
        else:
            form = next((text for text in _forms(label) if cell_len(text) <= room), label)
            text = fit(form, max(8, room), self._glyphs)
            line = self._line(time, "".join(cells[: at + 1]), style, at)
            line.append(f" {text}", style or "italic")
            line.append(" " + "".join(cells[at + cell_len(text) + 3 :]))
        line.rstrip()
        return line

    def _line(self, time: str, drawn: str, style: str, styled_from: int) -> Text:
        line = Text.assemble((time + " ", palette.QUIET))
        line.append(drawn[:styled_from])
        line.append(drawn[styled_from:], style)
        return line

    def _lifelines(self) -> list[str]:
        cells = [" "] * self._drawn
        for at in self._at.values():
            cells[at] = self._glyphs.lifeline
        return cells

    def _lane_cells(self) -> int:
        count = len(self._sequence.participants)
        longest = max(cell_len(step.label) for step in self._sequence.steps) + 7
        fair = (self._width - self._time_cells - 1) // count
        return max(LEAST_CELLS_OF_A_LANE, min(MOST_CELLS_OF_A_LANE, longest, fair))


def _forms(label: str) -> tuple[str, ...]:
    # From all to least: without the gRPC service, without the time that it took.
    return label, short_name(label), short_name(label).partition(" after ")[0]


def main() -> None:
    """Draw the example traces on standard output."""
    console = console_for(sys.stdout, os.environ)
    for make in (example_trace, failing_trace):
        console.print(SequenceDiagram(TraceReading(*make())))
        console.print()


if __name__ == "__main__":
    main()
