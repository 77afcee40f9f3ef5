"""Metrics as tables: those that are stored, and one of them over time with a sparkline for each group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult

from clients.screen import palette
from clients.screen.tables import Cell, Column, PlainTable
from otel.query.metrics import MetricDescription
from tracelab.render.sparkline import sparkline

SPARK_CELLS = 24


@dataclass(frozen=True, slots=True)
class MetricGroup:
    """One group over time. `values` are rates, or levels of a gauge; None where nothing tells.

    `count` is how many were measured, `error_count` how many of them failed, `attempt_count` what attempts gRPC made of
    them; `quantiles` are in the metric's unit.
    """

    name: str
    values: tuple[float | None, ...]
    count: float | None = None
    error_count: float | None = None
    quantiles: tuple[float | None, ...] = ()
    trace_id: str = ""
    method: str = ""
    attempt_count: float | None = None


@dataclass(frozen=True)
class MetricTable:
    """A renderable of one metric: `titles` name the quantiles, `has_errors` says whether failures are known."""

    unit: str
    groups: Sequence[MetricGroup]
    quantile_titles: tuple[str, ...] = ()
    is_level: bool = False
    has_errors: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw at the console's width."""
        columns = [
            Column("of", is_flexible=True, enough=24),
            Column("over time", give_up=2),
            Column("last" if self.is_level else "per s", is_number=True),
            *([] if self.is_level else [Column("count", is_number=True, give_up=3)]),
            *([Column("attempts", is_number=True)] if self._has_attempts else []),
            *([Column("errors", is_number=True)] if self.has_errors else []),
            *(Column(title, is_number=True) for title in self.quantile_titles),
            *([Column("a trace", give_up=4)] if any(group.trace_id for group in self.groups) else []),
        ]
        width = min(SPARK_CELLS, max(8, options.max_width // 5))
        rows = [self._row(group, width, ascii_only=options.ascii_only) for group in self.groups]
        yield PlainTable(columns, rows)

    @property
    def _has_attempts(self) -> bool:
        return any(group.attempt_count is not None for group in self.groups)

    def _row(self, group: MetricGroup, width: int, *, ascii_only: bool) -> list[Cell | str]:
        known = [value for value in group.values if value is not None]
        mean = known[-1] if self.is_level and known else math.fsum(known) / len(known) if known else None
        row: list[Cell | str] = [
            group.name or "all",
            sparkline(group.values, width, ascii_only=ascii_only),
            number_text(mean),
        ]
        if not self.is_level:
            row.append(number_text(group.count))
        if self._has_attempts:
            row.append(number_text(group.attempt_count))
        if self.has_errors:
            row.append(_errors(group))
        row += [value_text(value, self.unit) for value in group.quantiles]
        if any(each.trace_id for each in self.groups):
            row.append(Cell(group.trace_id, palette.QUIET))
        return row


def name_table(metrics: Sequence[MetricDescription]) -> PlainTable:
    """List metrics as given."""
    columns = [
        Column("metric"),
        Column("kind"),
        Column("unit", give_up=1),
        Column("services", give_up=2),
        Column("attributes", is_flexible=True, give_up=3, enough=16),
    ]
    rows = [
        (
            metric.name,
            metric.kind.replace("_", " "),
            metric.unit,
            ", ".join(metric.services),
            ", ".join(metric.attributes),
        )
        for metric in metrics
    ]
    return PlainTable(columns, rows)


def group_name(attributes: Mapping[str, str], shown: Sequence[str]) -> str:
    """Name a group by the values of what it is grouped by; a method without its package."""
    return " ".join(_shortened(attributes.get(key, "")) or "-" for key in shown)


def number_text(value: float | None) -> str:
    """Write a number in three digits; a dash where it is not known."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if abs(value) < 100 else 0
    return f"{value:.{min(digits, 6)}f}"


def value_text(value: float | None, unit: str) -> str:
    """Write a measured value; seconds as the unit that fits."""
    if value is None or unit != "s":
        return number_text(value)
    for size, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= size:
            return f"{number_text(value / size)} {name}"
    return f"{number_text(value * 1e6)} µs"


def _errors(group: MetricGroup) -> Cell:
    if not group.count or group.error_count is None:
        return Cell("-")
    share = group.error_count / group.count
    return Cell(f"{share:.1%}", palette.ERROR if share else "")


def _shortened(text: str) -> str:
    service, slash, method = text.rpartition("/")
    return f"{service.rpartition('.')[2]}/{method}" if slash and service else text
