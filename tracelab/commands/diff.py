"""`lab diff`: compares two traces."""

from __future__ import annotations

from typing import Annotated

import typer

from clients.output import console, print_json
from otel.analysis.diff import diff_traces
from otel.analysis.diff_json import diff_to_json
from tracelab.commands.options import JsonFlag
from tracelab.commands.reading import StoreToRead, opened, read_trace
from tracelab.render.diff_table import DiffTable

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="The trace before, by id or its start.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The trace after, by id or its start, or `last`.")],
    show_all: Annotated[bool, typer.Option("--all", help="Show what hardly changed too.")] = False,
    by_delta: Annotated[bool, typer.Option("--by-delta", help="Greatest change first.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Compare different operations too.")] = False,
    store: StoreToRead = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare two traces: what was added, what is gone, and where the time went.

    \b
      lab diff ID ID
      lab diff ID last --by-delta
    """
    with opened(store) as query:
        found = diff_traces(read_trace(query, a), read_trace(query, b), force=force)
    if as_json:
        print_json(diff_to_json(found))
    else:
        console().print(DiffTable(found, show_all=show_all, by_delta=by_delta))
