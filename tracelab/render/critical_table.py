"""Where the time of many traces goes: the critical path, folded by path of operations.

Shows itself: `python -m tracelab.render.critical_table`.
"""

from __future__ import annotations

import os
import sys

from clients.screen import palette
from clients.screen.console import console_for
from clients.screen.tables import Cell, Column, PlainTable
from otel.analysis.aggregate import Aggregate, PathShare, aggregate_critical_paths
from otel.analysis.durations import scale_for
from otel.analysis.example import example_trace, failing_trace
from otel.analysis.reading import TraceReading

LEAST_RATIO = 0.005  # a share below half a percent is rounded to nothing on the screen


def critical_table(aggregate: Aggregate) -> PlainTable:
    """List the shares depth first, as a flame graph is read, each with the trace to look at.

    Means are over all traces. Shares below half a percent are left out. Given up when there is little room: the kind,
    the worst trace, the count of traces.
    """
    shares = [share for share in aggregate.shares if aggregate.ratio(share) >= LEAST_RATIO]
    scale = scale_for(int(max((aggregate.mean_ns(share) for share in shares), default=0)), least_decimals=1)
    columns = [
        Column("service"),
        Column("operation", is_flexible=True),
        Column("kind", give_up=3),
        Column(f"mean {scale.unit}", is_number=True),
        Column("share", is_number=True),
        Column("traces", is_number=True, give_up=1),
        Column("median trace"),
        Column("worst trace", give_up=2),
    ]
    return PlainTable(
        columns, [_row(share, aggregate, scale.number(float(aggregate.mean_ns(share)))) for share in shares]
    )


def _row(share: PathShare, aggregate: Aggregate, mean: str) -> list[Cell | str]:
    key = share.path[-1]
    return [
        Cell(key.service_name, palette.service_style(key.service_name)),
        "  " * (len(share.path) - 1) + key.operation,
        key.kind.name.lower(),
        mean,
        f"{aggregate.ratio(share):.0%}",
        str(share.trace_count),
        share.median_trace_id,
        share.worst_trace_id,
    ]


def main() -> None:
    """Print the example traces together on standard output."""
    readings = [TraceReading(*make()) for make in (example_trace, failing_trace)]
    console_for(sys.stdout, os.environ).print(critical_table(aggregate_critical_paths(readings)))


if __name__ == "__main__":
    main()
