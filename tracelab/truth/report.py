"""Shows the matrix: a table for the terminal, Markdown for the docs, JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tracelab.truth.judge import Cell

MARKS = {"true": "✔", "wrong": "✘", "unknown": "?", "hang": "∞"}
_STYLES = {"true": "green", "wrong": "red", "unknown": "yellow", "hang": "magenta"}
_INSTRUMENTATIONS = ("stock", "corrected")


def cells_to_json(cells: Iterable[Cell]) -> str:
    """The whole matrix as `{"cells": [...]}`."""
    return json.dumps({"cells": [asdict(cell) for cell in cells]}, ensure_ascii=False)


def counts(cells: Iterable[Cell], instrumentation: str, api: str | None = None) -> Counter[str]:
    """How many cells of one instrumentation, and of one API or both, have each verdict."""
    return Counter(
        cell.verdict for cell in cells if cell.instrumentation == instrumentation and api in {None, cell.api}
    )


def print_matrix(console: Console, cells: Sequence[Cell]) -> None:
    """Print one row for each ending, kind and side, both instrumentations beside what happened."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    core = ("core counted",) if any(cell.core for cell in cells) else ()
    for heading in ("api", "ending", "kind", "side", "happened", *core, *_INSTRUMENTATIONS):
        table.add_column(heading, overflow="fold")
    for row in _rows(cells):
        first = next(iter(row.values()))
        verdicts = [_verdict_text(row.get(instrumentation)) for instrumentation in _INSTRUMENTATIONS]
        counted = (first.core,) if core else ()
        table.add_row(first.api, first.ending, first.kind, first.side, _true_happened(row), *counted, *verdicts)
    console.print(table)
    for line in summaries(cells):
        console.print(line)


def summaries(cells: Sequence[Cell]) -> list[str]:
    """A line for each API and instrumentation: `aio, corrected: 190 cells, 184 true, 0 wrong, 6 unknown, 0 hang`."""
    apis = dict.fromkeys(cell.api for cell in cells)
    return [_summary(cells, instrumentation, api) for api in apis for instrumentation in _INSTRUMENTATIONS]


def _summary(cells: Sequence[Cell], instrumentation: str, api: str) -> str:
    tally = counts(cells, instrumentation, api)
    parts = ", ".join(f"{tally[verdict]} {verdict}" for verdict in MARKS)
    return f"{api}, {instrumentation}: {sum(tally.values())} cells, {parts}"


def matrix_markdown(cells: Sequence[Cell]) -> str:
    """The matrix as the Markdown table of `docs/truth.md`, a row for each ending, kind and side."""
    lines = [
        "| ending | kind | side | what happened | core counted | stock says | corrected says |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in _rows(cells):
        first = next(iter(row.values()))
        said = [_verdict_plain(row.get(instrumentation)) for instrumentation in _INSTRUMENTATIONS]
        known = (first.ending, first.kind, first.side, _true_happened(row), first.core)
        lines.append(f"| {' | '.join((*known, *said))} |")
    return "\n".join(lines) + "\n"


def _rows(cells: Iterable[Cell]) -> list[dict[str, Cell]]:
    rows: dict[tuple[str, str, str, str], dict[str, Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.api, cell.ending, cell.kind, cell.side), {})[cell.instrumentation] = cell
    return list(rows.values())


def _true_happened(row: dict[str, Cell]) -> str:
    return (row.get("corrected") or next(iter(row.values()))).happened


def _verdict_plain(cell: Cell | None) -> str:
    return "-" if cell is None else f"{MARKS[cell.verdict]} {cell.claimed}"


def _verdict_text(cell: Cell | None) -> Text:
    return Text(_verdict_plain(cell), style="" if cell is None else _STYLES[cell.verdict])
