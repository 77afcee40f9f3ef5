"""What `lab demo` runs on: what already answers is used and named, what is missing is started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clients.discovery.defaults import BACKEND, SERVICES
from clients.discovery.endpoints import Endpoint, Endpoints, probe_endpoints
from tracelab.stack import Stack, StackOptions, StackProcess
from tracelab.stack.start_plan import options_for, plan_start, refuse_another_api

CLIENT_LOG: Final = "demo.log"


@dataclass(frozen=True, slots=True)
class DemoTarget:
    """Where the demo's calls and telemetry go.

    `pids` has the processes that we know of. `log_files` is None where a service's log can't be reached, `store` where
    the backend is not ours. `has_older_services`: some ran before their backend, which was started for the demo.
    """

    addresses: Mapping[str, str]
    otlp_endpoint: str
    query_url: str
    pids: Mapping[str, int]
    log_files: tuple[Path, ...] | None
    stack: Stack | None
    store: Path | None
    has_older_services: bool


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who hears of the processes as they are found (name, address, in which state), spawned and healthy."""

    adopted: Callable[[str, str, str], None]
    spawned: Callable[[], None]
    healthy: Callable[[StackProcess], None]


@contextmanager
def own_target(options: StackOptions, environ: Mapping[str, str], listeners: Listeners) -> Iterator[DemoTarget]:
    """Start a new stack of everything and stop it at the end, whatever already runs."""
    with Stack.start(options, environ, listeners.healthy, listeners.spawned) as stack:
        yield _target_of(stack, None, options)


@contextmanager
def shared_target(
    endpoints: Endpoints, options: StackOptions, environ: Mapping[str, str], listeners: Listeners
) -> Iterator[DemoTarget]:
    """Use what answers, start what does not, and stop at the end what was started."""
    answers = probe_endpoints(endpoints)
    plan = plan_start(endpoints, answers)
    refuse_another_api(plan, options)
    if plan.uses_backend:
        listeners.adopted("OTLP", endpoints.otlp.address, found_as(endpoints.otlp, is_answering=answers.otlp))
        listeners.adopted("query", endpoints.query.address, found_as(endpoints.query, is_answering=answers.query))
    for name, address in plan.addresses.items():
        listeners.adopted(name, address, found_as(endpoints.services[name], is_answering=True))
    if not plan.missing:
        yield _target_of(None, endpoints, options)
        return
    settled = options_for(plan, endpoints, options)
    with Stack.start(settled, environ, listeners.healthy, listeners.spawned) as stack:
        yield _target_of(stack, endpoints, settled)


def found_as(endpoint: Endpoint, *, is_answering: bool) -> str:
    """How something that is not started was found."""
    if is_answering:
        return "already running, used"
    return f"named by {endpoint.variable}, does not answer" if endpoint.variable else "does not answer"


def _target_of(stack: Stack | None, endpoints: Endpoints | None, options: StackOptions) -> DemoTarget:
    started = {process.name: process for process in stack.processes} if stack else {}
    addresses = dict(endpoints.addresses) if endpoints else {}
    addresses |= {name: started[name].addresses["grpc"] for name in SERVICES if name in started}
    otlp_endpoint = endpoints.otlp.address if endpoints else ""
    query_url = endpoints.query.address if endpoints else ""
    if stack and BACKEND in started:
        otlp_endpoint, query_url = stack.otlp_endpoint, stack.query_url
    pids, files = _recorded(endpoints)
    pids |= {name: process.pid for name, process in started.items()}
    files |= {name: process.log_file for name, process in started.items()}
    known = [files[name] for name in SERVICES if name in files and files[name].is_file()]
    log_files = (options.logs / CLIENT_LOG, *known) if len(known) == len(SERVICES) else None
    has_older_services = BACKEND in started and not started.keys() >= set(SERVICES)
    return DemoTarget(
        addresses, otlp_endpoint, query_url, pids, log_files, stack, _store_of(stack, endpoints), has_older_services
    )


def _store_of(stack: Stack | None, endpoints: Endpoints | None) -> Path | None:
    """The store of the backend in use, if it is one of ours."""
    if stack and BACKEND in {process.name for process in stack.processes}:
        return stack.store
    is_ours = endpoints is not None and endpoints.query.source == "stack" and endpoints.otlp.source == "stack"
    return Path(endpoints.record.store) if endpoints and endpoints.record and is_ours else None


def _recorded(endpoints: Endpoints | None) -> tuple[dict[str, int], dict[str, Path]]:
    """Pids and log files of those processes in the record that are the ones in use."""
    if endpoints is None or endpoints.record is None:
        return {}, {}
    in_use = endpoints.addresses | {BACKEND: endpoints.query.address}
    ours = [
        process
        for process in endpoints.record.processes
        if any(
            in_use.get(process.name) in {address, f"{process.scheme}://{address}"}
            for address in process.addresses.values()
        )
    ]
    return {process.name: process.pid for process in ours}, {p.name: Path(p.log_file) for p in ours}
