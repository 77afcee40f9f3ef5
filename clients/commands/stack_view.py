"""A stack as lines and as JSON: who runs where, under which pid, and is it healthy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from clients.stack import StackProcess, health
from clients.stack.options import BACKEND
from clients.stack.surroundings import Place, Surroundings

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


def processes_json(around: Surroundings) -> dict[str, Any]:
    """What runs, as `lab status --json` and `lab up -d --json` print it.

    A process that lab did not start has no pid and no log file; one that does not answer is `unhealthy` if it was
    started by lab, `died` if such a process is gone though nobody stopped it by lab, and `absent` otherwise.
    """
    entries = [_entry(BACKEND, around.query, around), *(_entry(n, p, around) for n, p in around.services.items())]
    return {
        "processes": entries,
        "otlp_endpoint": around.otlp.address,
        "query_url": around.query.address,
        "store": around.record.store if around.record and around.record.process(BACKEND) else None,
        "storage_error": health.storage_error(around.query.address),
        "started_time": around.record.started_time if around.record else None,
    }


def _entry(name: str, place: Place, around: Surroundings) -> dict[str, Any]:
    recorded = around.record.process(name) if around.record and place.source == "stack" else None
    answers = health.query_answers(place.address) if name == BACKEND else health.service_serves(place.address)
    has_died = name in around.died and place.source != "environment"
    if recorded is not None:
        addresses = dict(recorded.addresses)
    elif name == BACKEND:
        query = health.address_of(place.address, health.QUERY_PORTS)
        addresses = {"otlp_grpc": health.address_of(around.otlp.address), "query": query}
    else:
        addresses = {"grpc": place.address}
    return {
        "name": name,
        "health": "healthy" if answers else "unhealthy" if recorded else "died" if has_died else "absent",
        "pid": recorded.pid if recorded else None,
        "addresses": addresses,
        "log_file": recorded.log_file if recorded else None,
    }
