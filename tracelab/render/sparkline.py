"""A line of small bars, one a value: how something went over time, in as many cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
ASCII_BARS = "_.:-=+*#"
UNKNOWN = " "


def sparkline(values: Sequence[float | None], width: int, *, ascii_only: bool) -> str:
    """Draw `values` from 0 to their greatest in at most `width` cells; where there are more, a cell has the greatest.

    What is not known is left blank; 0 has the lowest bar.
    """
    cells = _squeezed(values, width)
    bars = ASCII_BARS if ascii_only else BARS
    greatest = max((value for value in cells if value is not None), default=0.0)
    return "".join(UNKNOWN if value is None else _bar(value, greatest, bars) for value in cells)


def _bar(value: float, greatest: float, bars: str) -> str:
    if greatest <= 0 or value <= 0:
        return bars[0]
    return bars[min(len(bars) - 1, math.ceil(value / greatest * (len(bars) - 1)))]


def _squeezed(values: Sequence[float | None], width: int) -> list[float | None]:
    if len(values) <= width:
        return list(values)
    cells: list[float | None] = []
    for cell in range(width):
        part = values[cell * len(values) // width : (cell + 1) * len(values) // width]
        cells.append(max((value for value in part if value is not None), default=None))
    return cells
