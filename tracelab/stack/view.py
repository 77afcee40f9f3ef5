"""A stack as lines and as JSON: who runs where, under which pid, and is it healthy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from clients.discovery import probes
from clients.discovery.defaults import BACKEND
from clients.discovery.endpoints import Endpoint, Endpoints
from tracelab.stack import StackProcess

_PURPOSES: Final = {"otlp_grpc": "OTLP/gRPC ", "otlp_http": "OTLP/HTTP ", "query": "page and query ", "grpc": ""}


def plain_process_line(name: str, addresses: Mapping[str, str]) -> str:
    """Say who runs where: `backend  OTLP/gRPC 127.0.0.1:4317, OTLP/HTTP :4318, page and query :16686`."""
    shown: list[str] = []
    for purpose, words in _PURPOSES.items():
        if purpose in addresses:
            host, colon, port = addresses[purpose].rpartition(":")
            is_same_host = any(f"{host}:" in before for before in shown)
            shown.append(words + (colon + port if is_same_host else addresses[purpose]))
    return f"{name:<8} {', '.join(shown)}"


def damage_notes(processes: Iterable[StackProcess], store: Path) -> list[str]:
    """Say which store was damaged and where it is now; nothing where all is well."""
    return [
        f"{store.name} was damaged: it is kept as {process.set_aside}, and a new one was begun"
        for process in processes
        if process.set_aside is not None
    ]


def processes_json(endpoints: Endpoints) -> dict[str, Any]:
    """What runs, as `lab status --json` and `lab up -d --json` print it.

    A process that lab did not start has no pid and no log file; one that does not answer is `unhealthy` if it was
    started by lab, `died` if such a process is gone though nobody stopped it by lab, and `absent` otherwise.
    """
    entries = [
        _entry(BACKEND, endpoints.query, endpoints),
        *(_entry(n, p, endpoints) for n, p in endpoints.services.items()),
    ]
    return {
        "processes": entries,
        "otlp_endpoint": endpoints.otlp.address,
        "query_url": endpoints.query.address,
        "store": endpoints.record.store if endpoints.record and endpoints.record.process(BACKEND) else None,
        "storage_error": probes.storage_error(endpoints.query.address, tls=endpoints.tls),
        "started_time": endpoints.record.started_time if endpoints.record else None,
    }


def _entry(name: str, endpoint: Endpoint, endpoints: Endpoints) -> dict[str, Any]:
    recorded = endpoints.record.process(name) if endpoints.record and endpoint.source == "stack" else None
    answers = (probes.query_answers if name == BACKEND else probes.service_serves)(endpoint.address, tls=endpoints.tls)
    has_died = name in endpoints.died and endpoint.source != "environment"
    if recorded is not None:
        addresses = dict(recorded.addresses)
    elif name == BACKEND:
        query = probes.address_of(endpoint.address, probes.QUERY_PORTS)
        addresses = {"otlp_grpc": probes.address_of(endpoints.otlp.address), "query": query}
    else:
        addresses = {"grpc": endpoint.address}
    return {
        "name": name,
        "health": "healthy" if answers else "unhealthy" if recorded else "died" if has_died else "absent",
        "pid": recorded.pid if recorded else None,
        "addresses": addresses,
        "log_file": recorded.log_file if recorded else None,
    }
