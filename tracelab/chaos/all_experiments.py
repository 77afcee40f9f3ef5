"""Every experiment, and how they are run one after the other."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Final

from tracelab.chaos import backend_killed, disk, overload, soak, stopping, store_file, telemetry_trouble
from tracelab.chaos.bench import Bench, BenchError
from tracelab.chaos.experiment import Count, Experiment, Result

EXPERIMENTS: Final = (
    *stopping.EXPERIMENTS,
    *overload.EXPERIMENTS,
    *backend_killed.EXPERIMENTS,
    *disk.EXPERIMENTS,
    *store_file.EXPERIMENTS,
    *telemetry_trouble.EXPERIMENTS,
    *soak.EXPERIMENTS,
)
# What a person has set for other programs would change what is counted.
IGNORED_VARIABLES: Final = ("OTEL_", "LAB_", "GRPC_")

Run = Callable[[Coroutine[object, object, tuple[Count, ...]]], tuple[Count, ...]]


def run_experiments(
    experiments: Sequence[Experiment],
    environ: Mapping[str, str],
    *,
    is_short: bool,
    duration_s: float = 0.0,
    on_begun: Callable[[Experiment], None] = lambda _: None,
    run: Run = asyncio.run,
) -> list[Result]:
    """Run experiments in their order, each on a bench of its own; what it started is ended with it, whatever happens.

    `on_begun` hears of each before it begins; `duration_s` is the length of a soak, 0 that of the form.
    """
    clean = {key: value for key, value in environ.items() if not key.startswith(IGNORED_VARIABLES)}
    results = []
    for experiment in experiments:
        on_begun(experiment)
        results.append(_carried_out(experiment, clean, is_short, duration_s, run))
    return results


def _carried_out(
    experiment: Experiment, environ: Mapping[str, str], is_short: bool, duration_s: float, run: Run
) -> Result:
    begun_s = time.monotonic()
    counts: tuple[Count, ...] = ()
    error = ""
    with tempfile.TemporaryDirectory(prefix="lab-chaos-") as folder:
        bench = Bench(Path(folder), environ, is_short=is_short, duration_s=duration_s)
        try:
            counts = run(experiment.run(bench))
        except BenchError as failed:
            error = str(failed)
        except ExceptionGroup as failed:  # callers run in a group
            error = "; ".join(str(each) for each in failed.exceptions)
        finally:
            bench.close()
    return Result(experiment, counts, time.monotonic() - begun_s, error)
