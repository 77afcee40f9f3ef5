"""Options that several commands share, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from clients.errors import WrongUsageError
from clients.word_completion import one_of

_PORTS: Final = ("default", "auto")
_APIS: Final = ("aio", "sync")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]
LimitOption = Annotated[int, typer.Option("--limit", metavar="COUNT", min=1, max=1_000_000, help="At most this many.")]
PortsOption = Annotated[
    str,
    typer.Option(
        "--ports",
        metavar="default|auto",
        autocompletion=one_of(*_PORTS),
        help="auto: a new stack on free ports, with its own store.",
    ),
]
StoreOption = Annotated[
    Path | None, typer.Option("--store", metavar="FILE", dir_okay=False, help="The backend's SQLite file.")
]


ApiOption = Annotated[
    str,
    typer.Option(
        "--api",
        metavar="aio|sync",
        autocompletion=one_of(*_APIS),
        help="gRPC's API that services are started on. [LAB_API, or aio]",
    ),
]


def known_api(api: str) -> str:
    """The API that was asked for; WrongUsageError for a word that `--api` does not know."""
    if api and api not in _APIS:
        raise WrongUsageError(f"--api: {api!r} is not one of {', '.join(_APIS)}")
    return api


def is_auto(ports: str) -> bool:
    """Whether free ports are wanted; WrongUsageError for a word that `--ports` does not know."""
    if ports not in _PORTS:
        raise WrongUsageError(f"--ports: {ports!r} is not one of {', '.join(_PORTS)}")
    return ports == "auto"
