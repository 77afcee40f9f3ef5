"""Measures what was asked for on a lab of its own, with progress, and takes it down again."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from tracelab.compare.measurement.block_design import StopReason
from tracelab.compare.measurement.lab_servers import LabServers
from tracelab.compare.measurement.stack_set import StackSet, new_run_home
from tracelab.compare.prediction_check import checked
from tracelab.compare.request import Request, plan_of, seed_of, swept
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.results.sweep import SWEPT_WORDS, Sweep
from tracelab.compare.session import Plan, Session
from tracelab.compare.views.reporting import Report


def measure_plan(plan: Plan, home: Path, report: Report, *, check: bool = False) -> ComparisonRun:
    """Measure one comparison. Raises CompareError, StackError and QueryError; Ctrl-C gives what was measured so far."""
    precision = plan.settings.analysis.criteria.precision
    with report.progress(precision) as watcher, StackSet(new_run_home(home), os.environ) as stack_set:
        watcher.stage("starting the services")
        session = Session(LabServers(stack_set), watcher)
        run = session.run(plan)
        if check and run.measurement.stop_reason is not StopReason.INTERRUPTED:
            run = checked(session, plan, run)
        return run


def measure_sweep(request: Request, numbers: tuple[int, ...], home: Path, report: Report) -> Sweep:
    """Measure the same comparison at each number of a sweep, with one seed. Ctrl-C keeps the numbers that are done.

    A KeyboardInterrupt if they are fewer than two: through one point there is no slope.
    """
    request, by = replace(request, seed=seed_of(request)), swept(request)
    runs: list[ComparisonRun] = []
    with report.progress(request.precision / 100) as watcher, StackSet(new_run_home(home), os.environ) as stack_set:
        session = Session(LabServers(stack_set), watcher)
        for number in numbers:
            watcher.stage(f"{number:,} {SWEPT_WORDS[by]}")
            run = session.run(plan_of(request, number))
            if run.measurement.stop_reason is StopReason.INTERRUPTED:
                break
            runs.append(run)
    if len(runs) < 2:
        raise KeyboardInterrupt
    return Sweep(numbers[: len(runs)], tuple(runs), by)
