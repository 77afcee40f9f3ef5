"""How wide each column of a waterfall is: what is given up first when there is little room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from tracelab.render.waterfall_rows import SpanRow, short_name

MOST_CELLS_OF_A_SERVICE = 14
LEAST_CELLS_OF_A_NAME = 12
MOST_CELLS_OF_A_BRANCH = 16
"""Eight levels; of a deeper tree the levels nearest to the span are drawn."""
ENOUGH_BAR = 40
"""Room beyond this is better spent on the text of log records."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Widths in cells; 0 for a column that was given up. One cell lies between columns, two before the bar."""

    service: int
    name: int
    kind: int
    status: int
    duration: int
    bar: int
    has_short_names: bool

    @property
    def text(self) -> int:
        """From the name to the end of the status: the room of a log line."""
        return self.name + sum(width + 1 for width in (self.kind, self.status) if width)


@dataclass(frozen=True, slots=True)
class _Step:
    has_short_names: bool
    has_kind_words: bool
    has_status: bool
    least_bar: int


# From all to least: a shorter bar, names without the gRPC service, the kind by its first letter, no bar but a stub,
# no status where all is OK, no bar.
_STEPS = (
    _Step(has_short_names=False, has_kind_words=True, has_status=True, least_bar=18),
    _Step(has_short_names=True, has_kind_words=True, has_status=True, least_bar=12),
    _Step(has_short_names=True, has_kind_words=False, has_status=True, least_bar=10),
    _Step(has_short_names=True, has_kind_words=False, has_status=False, least_bar=8),
    _Step(has_short_names=True, has_kind_words=False, has_status=False, least_bar=0),
)


def columns_for(rows: Sequence[SpanRow], width: int, duration_width: int, text_width: int = 0) -> Columns:
    """Fit the columns into `width` cells. Names are cut only when everything else has been given up.

    Of what is left, the text of log records gets as much as `text_width`, once the bar has enough.
    """
    service = min(MOST_CELLS_OF_A_SERVICE, max((cell_len(row.span.service_name) for row in rows), default=0))
    service = max(service, len("service"))
    has_problem = any(row.status not in ("", "OK") for row in rows)
    status = max((status_cells(row.status, has_mark=has_problem) for row in rows), default=0)
    fitting = [_fitted(step, rows, width, service, status, duration_width, has_problem) for step in _STEPS]
    columns = next((found for found in fitting if found is not None), _least(rows, width, service, duration_width))
    spare = max(0, min(columns.bar - ENOUGH_BAR, text_width - columns.text))
    return replace(columns, name=columns.name + spare, bar=columns.bar - spare)


def branch_cells(branch: str) -> int:
    """How much the tree in front of a name takes."""
    return min(MOST_CELLS_OF_A_BRANCH, cell_len(branch))


def status_cells(status: str, *, has_mark: bool) -> int:
    """How much a status takes; with marks in the table all leave room for one."""
    return max(len("status"), cell_len(status)) + (2 if has_mark else 0)


def _fitted(
    step: _Step, rows: Sequence[SpanRow], width: int, service: int, status: int, duration: int, has_problem: bool
) -> Columns | None:
    name = _name_cells(rows, short=step.has_short_names)
    shown_status = status if step.has_status or has_problem else 0
    kind = max(len("kind"), max((len(row.kind) for row in rows), default=0)) if step.has_kind_words else 1
    taken = service + 1 + name + sum(cells + 1 for cells in (kind, shown_status) if cells) + 1 + duration
    bar = width - taken - 2
    if bar < step.least_bar and not (step.least_bar == 0 and taken <= width):
        return None
    return Columns(service, name, kind, shown_status, duration, max(0, bar), step.has_short_names)


def _least(rows: Sequence[SpanRow], width: int, service: int, duration: int) -> Columns:
    has_problem = any(row.status not in ("", "OK") for row in rows)
    status = max((status_cells(row.status, has_mark=True) for row in rows), default=0) if has_problem else 0
    taken = service + 1 + 2 + 1 + duration + (status + 1 if status else 0)
    name = max(LEAST_CELLS_OF_A_NAME, min(_name_cells(rows, short=True), width - taken))
    return Columns(service, name, 1, status, duration, 0, has_short_names=True)


def _name_cells(rows: Sequence[SpanRow], *, short: bool) -> int:
    names = (branch_cells(row.branch) + cell_len(short_name(row.name) if short else row.name) for row in rows)
    return max(LEAST_CELLS_OF_A_NAME, max(names, default=0))
