"""Plain tables: text left, numbers right, columns given up from the least important on when there is little room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clients.screen import palette
from clients.screen.glyphs import Glyphs, glyphs_for
from clients.screen.text import left, plain, right

_GAP = 2
_LEAST_FLEXIBLE = 6


@dataclass(frozen=True, slots=True)
class Column:
    """One column. The highest `give_up` goes first, 0 stays.

    A flexible one is cut to `enough` cells before others are given up, and to less when no other can be.
    """

    title: str
    is_number: bool = False
    give_up: int = 0
    is_flexible: bool = False
    enough: int = 22


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: foreign text is welcome. `style` is a rich style."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class PlainTable:
    """A renderable table; `rows` have a cell for each column."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw at the console's width."""
        glyphs = glyphs_for(ascii_only=options.ascii_only)
        cells = [[_made_safe(cell, glyphs) for cell in row] for row in self.rows]
        shown, widths = self._fitted(cells, options.max_width)
        titles = [Cell(column.title, palette.QUIET) for column in self.columns]
        for row in (titles, *cells):
            yield self._line(row, shown, widths, glyphs)

    def _fitted(self, cells: list[list[Cell]], width: int) -> tuple[list[int], dict[int, int]]:
        natural = {
            index: max(cell_len(column.title), *(cell_len(row[index].text) for row in cells), 0)
            for index, column in enumerate(self.columns)
        }
        shown = list(natural)
        while True:
            excess = sum(natural[index] for index in shown) + _GAP * (len(shown) - 1) - width
            flexible = [index for index in shown if self.columns[index].is_flexible]
            cuttable = sum(max(0, natural[index] - self.columns[index].enough) for index in flexible)
            losable = [index for index in shown if self.columns[index].give_up]
            if excess <= cuttable or not losable:
                break
            shown.remove(max(losable, key=lambda index: self.columns[index].give_up))
        widths = dict(natural)
        for index in flexible:
            cut = min(max(0, excess), max(0, widths[index] - _LEAST_FLEXIBLE))
            widths[index] -= cut
            excess -= cut
        return shown, widths

    def _line(self, row: Sequence[Cell], shown: list[int], widths: dict[int, int], glyphs: Glyphs) -> Text:
        line = Text()
        for index in shown:
            align = right if self.columns[index].is_number else left
            line.append(align(row[index].text, widths[index], glyphs), row[index].style)
            line.append(" " * _GAP)
        line.rstrip()
        return line


def _made_safe(cell: Cell | str, glyphs: Glyphs) -> Cell:
    return Cell(plain(cell, glyphs)) if isinstance(cell, str) else Cell(plain(cell.text, glyphs), cell.style)
