"""Decides what to start and what to use of what already runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from clients.discovery.defaults import BACKEND, PROCESSES, SERVICES
from clients.discovery.endpoints import Endpoints, ReachableEndpoints
from tracelab.stack.errors import StackError
from tracelab.stack.options import StackOptions


@dataclass(frozen=True, slots=True)
class StartPlan:
    """`missing` is to be started, `addresses` are of services that answer; `uses_backend`: so does a backend."""

    missing: tuple[str, ...]
    addresses: Mapping[str, str]
    uses_backend: bool


def plan_start(
    endpoints: Endpoints,
    answers: ReachableEndpoints,
    wanted: Sequence[str] = PROCESSES,
    *,
    trusts_environment: bool = True,
) -> StartPlan:
    """Sort what is wanted into what answers and what is missing.

    `trusts_environment`: an OTLP endpoint or a query API that the environment names is used even where it is silent, so
    that no backend is started in its endpoint. Raises StackError where starting would hide a mistake: a service that is
    named and silent, a process of ours that runs and is silent, or a backend of which only half answers.
    """
    missing = [name for name in SERVICES if name in wanted and name not in answers.services]
    for name in missing:
        endpoint = endpoints.services[name]
        if endpoint.source == "environment":
            raise StackError(
                f"no {name} service answers at {endpoint.address}",
                f"start it there, or unset {name.upper()}_ADDRESS to let lab start one",
            )
        _refuse_hung(name, endpoints)
    uses_backend = (answers.otlp and answers.query) or (trusts_environment and endpoints.is_named)
    if BACKEND in wanted and not uses_backend:
        _refuse_hung(BACKEND, endpoints)
        _refuse_half_a_backend(endpoints, answers)
        missing = [BACKEND, *missing]
    return StartPlan(
        missing=tuple(missing),
        addresses={name: endpoints.services[name].address for name in SERVICES if name in answers.services},
        uses_backend=uses_backend,
    )


def options_for(plan: StartPlan, endpoints: Endpoints, options: StackOptions) -> StackOptions:
    """Turn the decision into options: start what is missing, and tell it where the rest is."""
    return replace(
        options,
        only=plan.missing,
        addresses=plan.addresses,
        otlp_endpoint=endpoints.otlp.address if plan.uses_backend else "",
    )


def refuse_another_api(plan: StartPlan, options: StackOptions) -> None:
    """Refuse to use a service that runs where an API was asked for: which one it is served by, nobody can see."""
    running = [name for name in plan.addresses if name in options.names]
    if options.api and running:
        raise StackError(
            f"{running[0]} already runs, and --api is for what is started",
            "./lab down ends it, then start again; --ports auto takes a stack of your own",
        )


def _refuse_hung(name: str, endpoints: Endpoints) -> None:
    """Refuse to start what runs already and does not answer: its port is taken, and its telemetry would be lost."""
    endpoint = endpoints.query if name == BACKEND else endpoints.services[name]
    process = endpoints.record.process(name) if endpoints.record else None
    if process is not None and endpoint.source == "stack":
        raise StackError(
            f"{name} (pid {process.pid}) runs and does not answer at {endpoint.address}",
            "./lab down ends it, then start again; --ports auto takes a stack of your own",
        )


def _refuse_half_a_backend(endpoints: Endpoints, answers: ReachableEndpoints) -> None:
    if answers.otlp == answers.query:
        return
    if answers.otlp:
        said = f"an OTLP endpoint answers at {endpoints.otlp.address}, but no query API at {endpoints.query.address}"
        variable = "LAB_QUERY_URL"
    else:
        said = f"a query API answers at {endpoints.query.address}, but no OTLP endpoint at {endpoints.otlp.address}"
        variable = "OTEL_EXPORTER_OTLP_ENDPOINT"
    raise StackError(said, f"name it with {variable}, or take a stack of your own with --ports auto")
