"""Whether the load that was asked for was made: the generator's lag, its own work, and who could not keep up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from tracelab.compare.measurement.runs import Run

PACE_FLOOR = 0.98
"""Below this share of the wanted rate, latencies say nothing about that rate."""
BUSY_CEILING = 0.90
"""A client that computes for more of the time than this is the bottleneck itself."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How one entry's load was made.

    `pace_ratio` is actual by wanted rate, the median over runs; `lag_p99_ns` how late calls started; `busy_share` the
    client's CPU time per time of the runs, which may exceed 1 with several threads.
    """

    pace_ratio: float
    lag_p99_ns: int
    busy_share: float
    abandoned_count: int

    @property
    def overload(self) -> str:
        """Why there are no quantiles; "" if the pace was kept."""
        if self.abandoned_count:
            return f"{self.abandoned_count:,} calls were not started because too many were in flight"
        if self.pace_ratio < PACE_FLOOR:
            return f"{self.pace_ratio * 100:.0f} % of the wanted rate was reached"
        return ""


class PaceMeter:
    """Adds up what the runs of each entry show."""

    def __init__(self) -> None:
        self._runs: defaultdict[str, list[tuple[float, int, int, int]]] = defaultdict(list)
        self._lags_ns: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, entry: str, run: Run) -> None:
        """Take a run into account."""
        abandoned_count = run.planned_count - len(run.timings)
        self._runs[entry].append((run.pace_ratio, run.cpu_ns, run.duration_ns, abandoned_count))
        self._lags_ns[entry] += [timing.start_ns - timing.intended_ns for timing in run.timings]

    def paces(self) -> Mapping[str, Pace]:
        """The pace of every entry that ran."""
        return {entry: self._pace(entry) for entry in self._runs}

    def _pace(self, entry: str) -> Pace:
        runs = self._runs[entry]
        lags_ns = sorted(self._lags_ns[entry]) or [0]
        duration_ns = sum(run[2] for run in runs)
        return Pace(
            pace_ratio=median(run[0] for run in runs),
            lag_p99_ns=lags_ns[-(-len(lags_ns) * 99 // 100) - 1],
            busy_share=sum(run[1] for run in runs) / duration_ns if duration_ns else 0.0,
            abandoned_count=sum(run[3] for run in runs),
        )
