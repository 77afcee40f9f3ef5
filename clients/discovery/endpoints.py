"""What already runs: named by the environment, recorded by an earlier command, or on the usual ports.

A place that the environment names wins, then one of a process in `stack.json` that lives, then the usual port.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from clients.discovery import probes
from clients.discovery.defaults import ADDRESS_VARIABLES, BACKEND, DEFAULT_PORTS, LOOPBACK, SERVICES
from clients.discovery.home import home_of
from clients.discovery.stack_record import ProcessRecord, StackRecord, read_record
from clients.errors import WrongUsageError
from otel.tls.files import NO_TLS, TlsFiles

Source = Literal["environment", "stack", "usual port"]

MOST_PORT: Final = 65_535
_PORT: Final = re.compile(r":([0-9]+)/?$")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where something is, or would be, and who says so: `variable` is that of the environment which names it."""

    address: str
    source: Source
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where each service, the OTLP endpoint and the query API are expected, by what was said and recorded.

    Nothing here has been asked whether it answers: `probe_endpoints` does that. `record` has the processes that live,
    `died` the names and pids of those that ended without being stopped by us. `tls` is what they are asked with.
    """

    home: Path
    services: Mapping[str, Endpoint]
    otlp: Endpoint
    query: Endpoint
    record: StackRecord | None
    died: Mapping[str, int] = field(default_factory=dict)
    tls: TlsFiles = NO_TLS

    @property
    def addresses(self) -> dict[str, str]:
        """The gRPC address of each service."""
        return {name: endpoint.address for name, endpoint in self.services.items()}

    @property
    def is_named(self) -> bool:
        """Whether the environment names an OTLP endpoint or a query API, so that no backend of ours belongs there."""
        return "environment" in {self.otlp.source, self.query.source}


@dataclass(frozen=True, slots=True)
class ReachableEndpoints:
    """What answers: the names of services, and whether OTLP and the query API do."""

    services: frozenset[str]
    otlp: bool
    query: bool


def find_endpoints(environ: Mapping[str, str], home: Path | None = None) -> Endpoints:
    """Find out where things are expected. Reads `stack.json`, asks nobody. WrongUsageError for a port past all."""
    home = home or home_of(environ)
    everything = read_record(home / "stack.json")
    record = _living(everything)
    living = {process.name for process in record.processes} if record else set()
    return Endpoints(
        home=home,
        services={name: _service_endpoint(name, environ, record) for name in SERVICES},
        otlp=_otlp_endpoint(environ, record),
        query=_query_endpoint(environ, record),
        record=record,
        died={p.name: p.pid for p in everything.processes if p.name not in living} if everything else {},
        tls=TlsFiles.from_environ(environ),
    )


def probe_endpoints(endpoints: Endpoints) -> ReachableEndpoints:
    """Ask everything at once whether it answers; a closed port costs about a millisecond."""
    with ThreadPoolExecutor(max_workers=len(SERVICES) + 2) as pool:
        services = {
            name: pool.submit(probes.service_serves, endpoint.address, tls=endpoints.tls)
            for name, endpoint in endpoints.services.items()
        }
        otlp = pool.submit(probes.accepts_connections, probes.address_of(endpoints.otlp.address))
        query = pool.submit(probes.query_answers, endpoints.query.address, tls=endpoints.tls)
        return ReachableEndpoints(
            services=frozenset(name for name, answer in services.items() if answer.result()),
            otlp=otlp.result(),
            query=query.result(),
        )


def living_record(path: Path) -> StackRecord | None:
    """Read a record and keep the processes in it that still live; None where there are none."""
    return _living(read_record(path))


def _living(record: StackRecord | None) -> StackRecord | None:
    if record is None:
        return None
    from clients.discovery.living import lives  # needs psutil, which only a record is worth loading for

    living = tuple(process for process in record.processes if lives(process))
    return StackRecord(record.started_time, record.store, living) if living else None


def _recorded(record: StackRecord | None, name: str) -> ProcessRecord | None:
    return record.process(name) if record else None


def _named_endpoint(place: str, variable: str) -> Endpoint:
    port = _PORT.search(place)
    if port and int(port[1]) > MOST_PORT:  # gRPC would take what is left of it in 16 bits
        raise WrongUsageError(f"{variable}: {port[1]} is no port", f"ports end at {MOST_PORT}")
    return Endpoint(place, "environment", variable)


def _service_endpoint(name: str, environ: Mapping[str, str], record: StackRecord | None) -> Endpoint:
    named = environ.get(ADDRESS_VARIABLES[name], "")
    if named:
        return _named_endpoint(named, ADDRESS_VARIABLES[name])
    process = _recorded(record, name)
    if process:
        return Endpoint(process.addresses["grpc"], "stack")
    return Endpoint(f"{LOOPBACK}:{DEFAULT_PORTS[name]['grpc']}", "usual port")


def _otlp_endpoint(environ: Mapping[str, str], record: StackRecord | None) -> Endpoint:
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        if environ.get(variable):
            return _named_endpoint(environ[variable], variable)
    backend = _recorded(record, BACKEND)
    if backend:
        return Endpoint(f"{backend.scheme}://{backend.addresses['otlp_grpc']}", "stack")
    scheme = TlsFiles.from_environ(environ).scheme
    return Endpoint(f"{scheme}://{LOOPBACK}:{DEFAULT_PORTS[BACKEND]['otlp_grpc']}", "usual port")


def _query_endpoint(environ: Mapping[str, str], record: StackRecord | None) -> Endpoint:
    named = environ.get("LAB_QUERY_URL", "").rstrip("/")
    if named:
        return _named_endpoint(named, "LAB_QUERY_URL")
    backend = _recorded(record, BACKEND)
    if backend:
        return Endpoint(f"{backend.scheme}://{backend.addresses['query']}", "stack")
    scheme = TlsFiles.from_environ(environ).scheme
    return Endpoint(f"{scheme}://{LOOPBACK}:{DEFAULT_PORTS[BACKEND]['query']}", "usual port")
