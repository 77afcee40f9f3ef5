"""Measures what was asked for on a lab of its own, with progress, and takes it down again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from clients.discovery.endpoints import find_endpoints, probe_endpoints
from tracelab.compare.measurement.block_design import StopReason
from tracelab.compare.measurement.foreign_servers import ForeignServers, TelemetryPlace
from tracelab.compare.measurement.lab_servers import LabServers
from tracelab.compare.measurement.servers import Servers, Subject
from tracelab.compare.measurement.stack_set import StackSet, new_run_home
from tracelab.compare.prediction_check import checked
from tracelab.compare.question.method_call import MethodCall
from tracelab.compare.request import Request, plan_of, seed_of, swept
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.results.sweep import SWEPT_WORDS, Sweep
from tracelab.compare.session import Plan, Session
from tracelab.compare.views.reporting import Report

_CONTROL_SERVICES = ("user",)


def measure_plan(plan: Plan, home: Path, report: Report, *, check: bool = False) -> ComparisonRun:
    """Measure one comparison. Raises CompareError, LabError, StackError and QueryError; Ctrl-C gives what was measured
    so far.
    """
    precision = plan.settings.analysis.criteria.precision
    with report.progress(precision) as watcher:
        watcher.stage("starting the services")
        with _servers(plan.variants, home) as servers:
            session = Session(servers, watcher)
            run = session.run(plan)
            if check and run.measurement.stop_reason is not StopReason.INTERRUPTED:
                run = checked(session, plan, run)
            return run


def measure_sweep(request: Request, numbers: tuple[int, ...], home: Path, report: Report) -> Sweep:
    """Measure the same comparison at each number of a sweep, with one seed. Ctrl-C keeps the numbers that are done.

    A KeyboardInterrupt if they are fewer than two: through one point there is no slope.
    """
    request, by = replace(request, seed=seed_of(request)), swept(request)
    plans = [plan_of(request, number) for number in numbers]
    runs: list[ComparisonRun] = []
    with report.progress(request.precision / 100) as watcher, _servers(plans[0].variants, home) as servers:
        session = Session(servers, watcher)
        for number, plan in zip(numbers, plans, strict=True):
            watcher.stage(f"{number:,} {SWEPT_WORDS[by]}")
            run = session.run(plan)
            if run.measurement.stop_reason is StopReason.INTERRUPTED:
                break
            runs.append(run)
    if len(runs) < 2:
        raise KeyboardInterrupt
    return Sweep(numbers[: len(runs)], tuple(runs), by)


@contextmanager
def _servers(variants: Mapping[str, Subject], home: Path) -> Iterator[Servers]:
    calls = [subject for subject in variants.values() if isinstance(subject, MethodCall)]
    with StackSet(new_run_home(home), os.environ) as stack_set:
        if not calls:
            yield LabServers(stack_set)
            return
        # What runs already sends where it was told to; what is started here sends to this run's own backend.
        place = None if all(call.server.command for call in calls) else _running_backend()
        control = LabServers(stack_set, _CONTROL_SERVICES)
        environ = dict(os.environ) if place else stack_set.environ
        with ForeignServers(control, environ, place) as servers:
            yield servers


def _running_backend() -> TelemetryPlace | None:
    """The backend that answers, as `lab run` uses it; None where none does."""
    endpoints = find_endpoints(os.environ)
    reachable = probe_endpoints(endpoints)
    if not (reachable.otlp and reachable.query):
        return None
    is_ours = endpoints.record is not None and endpoints.query.source == "stack"
    store = Path(endpoints.record.store) if endpoints.record and is_ours else None
    is_usual = store is None or store == endpoints.home / "telemetry.sqlite"
    return TelemetryPlace(
        endpoints.otlp.address,
        endpoints.query.address,
        os.environ.get("LAB_QUERY_TOKEN", ""),
        "" if is_usual else str(store),
        endpoints.tls,
    )
