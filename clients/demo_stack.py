"""What `lab demo` runs on: what already answers is used and named, what is missing is started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clients.stack import Stack, StackOptions, StackProcess
from clients.stack.adoption import adopt, options_for
from clients.stack.options import BACKEND, SERVICES
from clients.stack.surroundings import Place, Surroundings, answering

CLIENT_LOG: Final = "demo.log"


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the demo's calls and telemetry go.

    `pids` has the processes that we know of. `log_files` is None where a service's log can't be reached, `store` where
    the backend is not ours.
    """

    addresses: Mapping[str, str]
    otlp_endpoint: str
    query_url: str
    pids: Mapping[str, int]
    log_files: tuple[Path, ...] | None
    stack: Stack | None
    store: Path | None


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who hears of the processes as they are found (name, address, in which state), spawned and healthy."""

    adopted: Callable[[str, str, str], None]
    spawned: Callable[[], None]
    healthy: Callable[[StackProcess], None]


@contextmanager
def own_ground(options: StackOptions, environ: Mapping[str, str], listeners: Listeners) -> Iterator[Ground]:
    """Start a new stack of everything and stop it at the end, whatever already runs."""
    with Stack.start(options, environ, listeners.healthy, listeners.spawned) as stack:
        yield _ground_of(stack, None, options)


@contextmanager
def shared_ground(
    around: Surroundings, options: StackOptions, environ: Mapping[str, str], listeners: Listeners
) -> Iterator[Ground]:
    """Use what answers, start what does not, and stop at the end what was started."""
    answers = answering(around)
    adoption = adopt(around, answers)
    if adoption.uses_backend:
        listeners.adopted("OTLP", around.otlp.address, found_as(around.otlp, is_answering=answers.otlp))
        listeners.adopted("query", around.query.address, found_as(around.query, is_answering=answers.query))
    for name, address in adoption.addresses.items():
        listeners.adopted(name, address, found_as(around.services[name], is_answering=True))
    if not adoption.missing:
        yield _ground_of(None, around, options)
        return
    settled = options_for(adoption, around, options)
    with Stack.start(settled, environ, listeners.healthy, listeners.spawned) as stack:
        yield _ground_of(stack, around, settled)


def found_as(place: Place, *, is_answering: bool) -> str:
    """How something that is not started was found."""
    if is_answering:
        return "already running, used"
    return f"named by {place.variable}, does not answer" if place.variable else "does not answer"


def _ground_of(stack: Stack | None, around: Surroundings | None, options: StackOptions) -> Ground:
    started = {process.name: process for process in stack.processes} if stack else {}
    addresses = dict(around.addresses) if around else {}
    addresses |= {name: started[name].addresses["grpc"] for name in SERVICES if name in started}
    otlp_endpoint = around.otlp.address if around else ""
    query_url = around.query.address if around else ""
    if stack and BACKEND in started:
        otlp_endpoint, query_url = stack.otlp_endpoint, stack.query_url
    pids, files = _recorded(around)
    pids |= {name: process.pid for name, process in started.items()}
    files |= {name: process.log_file for name, process in started.items()}
    known = [files[name] for name in SERVICES if name in files and files[name].is_file()]
    log_files = (options.logs / CLIENT_LOG, *known) if len(known) == len(SERVICES) else None
    return Ground(addresses, otlp_endpoint, query_url, pids, log_files, stack, _store_of(stack, around))


def _store_of(stack: Stack | None, around: Surroundings | None) -> Path | None:
    """The store of the backend in use, if it is one of ours."""
    if stack and BACKEND in {process.name for process in stack.processes}:
        return stack.store
    is_ours = around is not None and around.query.source == "stack" and around.otlp.source == "stack"
    return Path(around.record.store) if around and around.record and is_ours else None


def _recorded(around: Surroundings | None) -> tuple[dict[str, int], dict[str, Path]]:
    """Pids and log files of those processes in the record that are the ones in use."""
    if around is None or around.record is None:
        return {}, {}
    in_use = {name: place.address for name, place in around.services.items()} | {BACKEND: around.query.address}
    ours = [
        process
        for process in around.record.processes
        if any(in_use.get(process.name) in {address, f"http://{address}"} for address in process.addresses.values())
    ]
    return {process.name: process.pid for process in ours}, {p.name: Path(p.log_file) for p in ours}
