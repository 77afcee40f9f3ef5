"""`lab truth`: what the untouched library says of each ending of a call, what the corrected one says, what is true."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from clients.errors import LabError, WrongUsageError
from clients.output import console
from clients.screen.text import Sentence
from clients.word_completion import one_of
from otel.analysis.model import Trace
from otel.analysis.reading import TraceReading
from tracelab.commands.options import JsonFlag
from tracelab.render.waterfall import Waterfall
from tracelab.truth.catalogue import ALL_APIS, ending_names, endings_of
from tracelab.truth.core_counts import NOT_COUNTED_HERE
from tracelab.truth.core_run import core_can_be_asked
from tracelab.truth.endings import ALL_KINDS, Api, Ending
from tracelab.truth.judge import Cell, Evidence, judge
from tracelab.truth.matrix import Run, run_matrix
from tracelab.truth.plan import TruthError
from tracelab.truth.report import MARKS, cells_to_json, counts, print_matrix

UNCOMPARED: Final = ("OTEL_", "LAB_")  # variables that would make this run differ from the next

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def truth(
    name: Annotated[
        str,
        typer.Argument(
            metavar="ENDING",
            autocompletion=one_of(*(name for name in ending_names() if " " not in name)),
            help="One ending, such as deadline; default: the whole matrix.",
        ),
    ] = "",
    api: Annotated[
        Api | None, typer.Option("--api", help="Only calls by this one of gRPC's two APIs; default: both.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what stock and corrected instrumentation say of each way a call can end, and what is true.

    \b
    lab truth               the whole matrix, stock beside corrected
    lab truth deadline      one call, told by both, and the witness between
    lab truth --api sync    only calls by the synchronous API, a pool of threads
    lab truth --json        every cell, for programs
    """
    apis = ALL_APIS if api is None else (api,)
    endings = endings_named(name, apis) if name else {one: endings_of(one) for one in apis}
    if name and not as_json:
        endings = dict(list(endings.items())[:1])  # one call, told twice, is enough to look at
    kinds = ALL_KINDS if as_json or not name else next(iter(endings.values()))[0].kinds[:1]
    environ = {key: value for key, value in os.environ.items() if not key.startswith(UNCOMPARED)}
    try:
        runs = run_matrix(environ, endings, kinds)
    except TruthError as error:
        raise LabError(str(error)) from error
    cells = [cell for run in runs for cell in run.cells]
    out = console()
    if as_json:
        print(cells_to_json(cells))
    elif name:
        print_told_twice(out, runs)
    else:
        print_matrix(out, cells)
        if not core_can_be_asked():
            out.print(NOT_COUNTED_HERE)
    tally = counts(cells, "corrected")
    if tally["wrong"] or tally["hang"]:
        raise LabError(
            f"{tally['wrong'] + tally['hang']} corrected cells are not true", "./lab truth --json lists them"
        )


def endings_named(name: str, apis: Sequence[Api] = ALL_APIS) -> dict[Api, tuple[Ending, ...]]:
    """The endings of that name by API, or of the only name that begins so; WrongUsageError with the nearest otherwise.

    A name stands for several endings where its kinds end in different ways.
    """
    names = ending_names(apis)
    begins = [known for known in names if known.startswith(name)]
    if name not in names and len(begins) != 1:
        near = get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(map(repr, names))}"
        raise WrongUsageError(f"{name!r} is not an ending of a call", hint)
    wanted = name if name in names else begins[0]
    found = {api: tuple(ending for ending in endings_of(api) if ending.name == wanted) for api in apis}
    return {api: endings for api, endings in found.items() if endings}


def print_told_twice(out: Console, runs: tuple[Run, ...]) -> None:
    """Print one scenario as the stock library tells it, then what the witnesses saw, then as it is told corrected."""
    by_instrumentation = {run.instrumentation: run.evidence[0] for run in runs}
    stock, corrected = by_instrumentation["stock"], by_instrumentation["corrected"]
    _print_telling(out, "stock", stock)
    out.rule("what the witnesses saw", characters="─")
    for line in _witness_lines(corrected):
        out.print(Text(line))
    _print_telling(out, "corrected", corrected)


def _print_telling(out: Console, instrumentation: str, evidence: Evidence) -> None:
    out.rule(f"{instrumentation} says", characters="─")
    out.print(Waterfall(TraceReading(Trace(evidence.record.trace_id, evidence.spans), evidence.logs)))
    for cell in judge(instrumentation, evidence):
        out.print(Sentence(f"{MARKS[cell.verdict]} {cell.side}: {_sentence(cell)}"))
    out.print()


def _sentence(cell: Cell) -> str:
    return f"{cell.claimed}" if cell.verdict == "true" else f"{cell.claimed}; true is {cell.happened}"


def _witness_lines(evidence: Evidence) -> list[str]:
    start = evidence.record.started_unix_nano
    lines = [(start, f"caller    starts {evidence.scenario.method}")]
    lines += [
        (event.time_unix_nano, f"servicer  {event.event} {event.message_number or ''} {event.error}".rstrip())
        for event in evidence.events
    ]
    record = evidence.record
    ending = "hangs" if record.hung else f"receives {record.code or record.raised} {record.details}".rstrip()
    lines.append((record.ended_unix_nano, f"caller    {ending}"))
    told = [f"{(moment - start) / 1e6:8.1f} ms  {text}" for moment, text in sorted(lines)]
    core = evidence.core
    return [*told, f"{'':12} core      counted {core.client}; {core.server}"] if core else told
