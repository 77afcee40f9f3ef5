"""Steady load for a while: nothing that a process holds may grow with the calls that it has served."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

import psutil

from otel.query import TraceQuery
from otel.query.metrics import MetricSearch
from tracelab.chaos.bench import Bench, Process
from tracelab.chaos.callers import CallersTally, callers
from tracelab.chaos.experiment import Count, Experiment, at_most, equal
from tracelab.chaos.slope import theil_sen
from tracelab.chaos.small_disk import MEBIBYTE

LONG_S: Final = 60.0
SHORT_S: Final = 12.0
SAMPLE_COUNT: Final = 60
WARM_UP_RATIO: Final = 0.25
"""Of the whole: what caches and allocators take at first is not what a call leaves behind."""
CALLER_COUNT: Final = 4
PAUSE_S: Final = 0.005
STORE_BYTES: Final = 4 * MEBIBYTE
LIVE_SPANS: Final = "otel.sdk.span.live"
# What may be gained in a whole run, by the lower end of the interval: more has grown with all but certainty.
MOST_SERVICE_MIB: Final = 4.0
MOST_BACKEND_MIB: Final = 24.0  # SQLite's caches fill up to 20 MiB
MOST_HANDLES: Final = 2.0
MOST_LATENCY_RATIO: Final = 1.0


@dataclass
class Series:
    """One figure of one process over time."""

    name: str
    read: Callable[[], float]
    most: float
    is_timed: bool = False
    values: list[float] = field(default_factory=list)


async def stay_under_load(bench: Bench) -> tuple[Count, ...]:
    """Keep 4 callers at a service that exports everything, and measure both it and the backend at equal intervals."""
    duration_s = bench.duration_s or bench.pick(LONG_S, SHORT_S)
    backend = await bench.backend("--max-bytes", str(STORE_BYTES))
    service = await bench.service("user", is_witnessed=False, environ=_telemetry(backend))
    async with callers([service.address], CALLER_COUNT, pause_s=PAUSE_S) as tally:
        await asyncio.sleep(duration_s * WARM_UP_RATIO)
        series = [*_of_process(service, MOST_SERVICE_MIB), *_of_process(backend, MOST_BACKEND_MIB), _latency(tally)]
        times_s = await _sampled(series, duration_s * (1 - WARM_UP_RATIO))
    await bench.stop(service)
    live = await asyncio.to_thread(_live_spans, backend)
    gained = [count for each in series for count in _gained(each.name, times_s, each.values, each)]
    return (
        Count("minutes under load", round(duration_s / 60, 2)),
        Count("calls sent", tally.sent_count),
        equal("calls that failed", tally.refused_count, 0),
        *(Count(f"ended {code}", count) for code, count in sorted(tally.codes.items()) if code != "OK"),
        *gained,
        Count("live spans at most, as the service told", max(live, default=0)),
        at_most("live spans more than callers", max(max(live, default=0) - CALLER_COUNT, 0), 0),
        at_most("live spans at the end", live[-1] if live else math.inf, 0),
    )


def _telemetry(backend: Process) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{backend.address}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_BLRP_SCHEDULE_DELAY": "200",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED": "true",
    }


def _of_process(process: Process, most_mib: float) -> list[Series]:
    seen = psutil.Process(process.child.pid)
    return [
        Series(f"{process.name}: MiB of memory", lambda: seen.memory_info().rss / MEBIBYTE, most_mib),
        Series(f"{process.name}: descriptors", lambda: _descriptors(seen), MOST_HANDLES),
        Series(f"{process.name}: threads", lambda: float(seen.num_threads()), MOST_HANDLES),
    ]


def _descriptors(process: psutil.Process) -> float:
    if sys.platform == "win32":
        return float(process.num_handles())
    return float(process.num_fds())


def _latency(tally: CallersTally) -> Series:
    """The median of the calls since the last look, in milliseconds; what is allowed is known at the end."""
    done = len(tally.durations_s)

    def read() -> float:
        nonlocal done
        new, done = tally.durations_s[done:], len(tally.durations_s)
        return median(new) * 1_000 if new else 0.0

    return Series("calls: ms of the median", read, MOST_LATENCY_RATIO, is_timed=True)


async def _sampled(series: Sequence[Series], duration_s: float) -> list[float]:
    begun_s = time.monotonic()
    times_s: list[float] = []
    for number in range(SAMPLE_COUNT):
        await asyncio.sleep(max(begun_s + duration_s * (number + 1) / SAMPLE_COUNT - time.monotonic(), 0.0))
        times_s.append(time.monotonic() - begun_s)
        for each in series:
            each.values.append(each.read())
    return times_s


def _gained(name: str, times_s: Sequence[float], values: Sequence[float], series: Series) -> list[Count]:
    """What a figure gained from the first sample to the last, by the ends of its slope's interval."""
    slope = theil_sen(times_s, values)
    length_s = times_s[-1] - times_s[0]
    most = series.most * median(values) if series.is_timed else series.most
    return [
        Count(f"{name}, median", round(median(values), 2)),
        at_most(f"{name}, gained, lower end of 95 %", round(slope.low * length_s, 2), most, is_timed=series.is_timed),
        Count(f"{name}, gained, upper end of 95 %", round(slope.high * length_s, 2)),
    ]


def _live_spans(backend: Process) -> list[float]:
    """How many spans the service had begun and not ended, at each of its collections; the last at its end. Blocking."""
    with TraceQuery(f"http://{backend.addresses['query']}") as query:
        answer = query.metrics.query(MetricSearch(LIVE_SPANS, aggregate="sum", service="user", step_s=1))
    return [value for line in answer.lines for value in line.values if value is not None]


EXPERIMENTS = (
    Experiment(
        "soak",
        "Nothing that a process holds grows with the calls that it has served, and calls do not slow down.",
        "4 callers without an end at a service that exports every span, log record and metric, sampled 60 times",
        "with 4 KiB kept of each call it gained 14.6 MiB in 9 s, with a file of each tenth 291 descriptors, and with a "
        "span of each hundredth not ended 48 live spans",
        stay_under_load,
    ),
)
