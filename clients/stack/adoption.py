"""Decides what to start and what to use of what already runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from clients.stack.errors import StackError
from clients.stack.options import BACKEND, PROCESSES, SERVICES, StackOptions
from clients.stack.surroundings import Answering, Surroundings


@dataclass(frozen=True, slots=True)
class Adoption:
    """`missing` is to be started, `addresses` are of services that answer; `uses_backend`: so does a backend."""

    missing: tuple[str, ...]
    addresses: Mapping[str, str]
    uses_backend: bool


def adopt(
    around: Surroundings, answers: Answering, wanted: Sequence[str] = PROCESSES, *, trusts_environment: bool = True
) -> Adoption:
    """Sort what is wanted into what answers and what is missing.

    `trusts_environment`: an OTLP endpoint or a query API that the environment names is used even where it is silent, so
    that no backend is started in its place. Raises StackError where starting would hide a mistake: a service that is
    named and silent, a process of ours that runs and is silent, or a backend of which only half answers.
    """
    missing = [name for name in SERVICES if name in wanted and name not in answers.services]
    for name in missing:
        place = around.services[name]
        if place.source == "environment":
            raise StackError(
                f"no {name} service answers at {place.address}",
                f"start it there, or unset {name.upper()}_ADDRESS to let lab start one",
            )
        _refuse_hung(name, around)
    uses_backend = (answers.otlp and answers.query) or (trusts_environment and around.is_named)
    if BACKEND in wanted and not uses_backend:
        _refuse_hung(BACKEND, around)
        _refuse_half_a_backend(around, answers)
        missing = [BACKEND, *missing]
    return Adoption(
        missing=tuple(missing),
        addresses={name: around.services[name].address for name in SERVICES if name in answers.services},
        uses_backend=uses_backend,
    )


def options_for(adoption: Adoption, around: Surroundings, options: StackOptions) -> StackOptions:
    """Turn the decision into options: start what is missing, and tell it where the rest is."""
    return replace(
        options,
        only=adoption.missing,
        addresses=adoption.addresses,
        otlp_endpoint=around.otlp.address if adoption.uses_backend else "",
    )


def _refuse_hung(name: str, around: Surroundings) -> None:
    """Refuse to start what runs already and does not answer: its port is taken, and its telemetry would be lost."""
    place = around.query if name == BACKEND else around.services[name]
    process = around.record.process(name) if around.record else None
    if process is not None and place.source == "stack":
        raise StackError(
            f"{name} (pid {process.pid}) runs and does not answer at {place.address}",
            "./lab down ends it, then start again; --ports auto takes a stack of your own",
        )


def _refuse_half_a_backend(around: Surroundings, answers: Answering) -> None:
    if answers.otlp == answers.query:
        return
    if answers.otlp:
        said = f"an OTLP endpoint answers at {around.otlp.address}, but no query API at {around.query.address}"
        variable = "LAB_QUERY_URL"
    else:
        said = f"a query API answers at {around.query.address}, but no OTLP endpoint at {around.otlp.address}"
        variable = "OTEL_EXPORTER_OTLP_ENDPOINT"
    raise StackError(said, f"name it with {variable}, or take a stack of your own with --ports auto")
