"""Where a command writes: results to standard output, all else to standard error, plain when piped."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


_muted: list[bool] = []


def console(stream: IO[str] | None = None) -> Console:
    """A console on `stream` (default: standard output): plain when piped, without colour where nobody wants it."""
    from clients.screen.console import console_for  # slow to load; commands that print JSON need none

    return console_for(stream or sys.stdout, os.environ)


def print_json(content: Any) -> None:
    """Print one JSON value, and nothing else, on standard output."""
    print(json.dumps(content, indent=2, ensure_ascii=False))


def be_quiet() -> None:
    """Say nothing but results and errors from now on (`--quiet`)."""
    _muted.append(True)


def note(text: str) -> None:
    """Tell the person something that is not the result; silent with `--quiet`."""
    if not _muted:
        print(text, file=sys.stderr, flush=True)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under titles; the column of a title that ends in `>` has numbers, the last column may be cut."""
    from clients.screen.tables import Column, PlainTable

    last = len(titles) - 1
    columns = [
        Column(title.rstrip(">"), is_number=title.endswith(">"), is_flexible=index == last and not title.endswith(">"))
        for index, title in enumerate(titles)
    ]
    console().print(PlainTable(columns, rows))
