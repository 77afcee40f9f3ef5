"""`lab trace`: shows one trace with its logs in place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clients.errors import WrongUsageError
from clients.output import console, note, print_json
from clients.screen.text import Sentence
from clients.word_completion import one_of
from otel.analysis.analysis_json import reading_to_json
from otel.analysis.reading import TraceReading
from otel.analysis.summary import summary_sentence
from otel.query import QueryError, TraceQuery
from otel.viewer.export import export_html
from tracelab.commands.attempts import attempt_sentences
from tracelab.commands.options import JsonFlag
from tracelab.commands.reading import StoreToRead, TraceArgument, opened, read_trace
from tracelab.render.sequence_diagram import SequenceDiagram
from tracelab.render.trace_table import operation_table
from tracelab.render.waterfall import Waterfall

app = typer.Typer(add_completion=False, rich_markup_mode=None)

VIEWS = ("waterfall", "sequence", "operations")


@app.command()
def trace(
    trace_id: TraceArgument = "last",
    view: Annotated[
        str,
        typer.Option(
            "--view",
            autocompletion=one_of(*VIEWS),
            help="waterfall, sequence or operations.",
        ),
    ] = "waterfall",
    no_logs: Annotated[bool, typer.Option("--no-logs", help="Leave the log lines out.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", dir_okay=False, help="Write a page that works offline.")
    ] = None,
    store: StoreToRead = None,
    as_json: JsonFlag = False,
) -> None:
    """Show a trace: who called whom, how long it took, the logs under each span, and where the time went.

    \b
      lab trace last
      lab trace ID --view sequence
      lab trace ID --html trace.html
      lab trace ID --json
    """
    if view not in VIEWS:
        raise WrongUsageError(f"--view: {view!r} is not one of {', '.join(VIEWS)}")
    with opened(store) as query:
        reading = read_trace(query, trace_id)
        attempts = [] if as_json or html else _attempts(query, reading)
    if html is not None:
        html.write_text(export_html(reading_to_json(reading)), encoding="utf-8")
        note(f"wrote {html}: open it in a browser, with or without a network")
        return
    if as_json:
        print_json(reading_to_json(reading))
        return
    screen = console()
    screen.print(_drawn(reading, view, has_logs=not no_logs))
    screen.print()
    screen.print(Sentence(summary_sentence(reading)))
    for sentence in attempts:
        screen.print(Sentence(sentence))


def _attempts(query: TraceQuery, reading: TraceReading) -> list[str]:
    """What metrics add to the trace; nothing where they cannot be asked, since the trace is what was asked for."""
    try:
        return attempt_sentences(query.metrics, reading.trace)
    except QueryError:
        return []


def _drawn(reading: TraceReading, view: str, *, has_logs: bool) -> Any:
    if view == "sequence":
        return SequenceDiagram(reading, has_logs)
    return operation_table(reading) if view == "operations" else Waterfall(reading, has_logs)
