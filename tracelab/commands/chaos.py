"""`lab chaos`: does harm to real processes and counts what was promised."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Annotated, Final

import typer

from clients.errors import LabError, WrongUsageError
from clients.event_loop import run_until_signal
from clients.output import console, note
from clients.word_completion import one_of
from tracelab.chaos.all_experiments import EXPERIMENTS, run_experiments
from tracelab.chaos.experiment import Experiment
from tracelab.chaos.report import document, print_results, results_json, with_long_soak
from tracelab.commands.options import JsonFlag
from tracelab.stack.command_lines import ROOT

DOCUMENT: Final = ROOT / "docs" / "reliability.md"
BY_SLUG: Final = {experiment.slug: experiment for experiment in EXPERIMENTS}

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def chaos(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="EXPERIMENT", autocompletion=one_of(*BY_SLUG), help="Which; default: all of them."),
    ] = None,
    is_short: Annotated[bool, typer.Option("--short", help="The form that takes seconds, for CI.")] = False,
    is_written: Annotated[
        bool, typer.Option("--write", help="Write docs/reliability.md from this run, or a long soak into it.")
    ] = False,
    minutes: Annotated[
        float, typer.Option("--minutes", metavar="N", min=0.0, max=1440, help="How long soak goes on; alone with it.")
    ] = 0.0,
    as_json: JsonFlag = False,
) -> None:
    """Do harm to real processes on loopback, and count: what was sent, answered, refused, stored, lost.

    \b
    lab chaos                    every experiment, in under 10 minutes
    lab chaos --short            the same in about a minute
    lab chaos restart overload   some of them
    lab chaos soak --minutes 30  steady load, and what grows under it
    """
    if is_written and (is_short or (names and not minutes)):
        raise WrongUsageError("--write takes the long form of every experiment", "leave out the names and --short")
    if minutes and names != ["soak"]:
        raise WrongUsageError("--minutes is for soak alone", "./lab chaos soak --minutes 30")
    experiments = [named(name) for name in names or BY_SLUG]
    results = run_experiments(
        experiments,
        os.environ,
        is_short=is_short,
        duration_s=minutes * 60,
        on_begun=lambda experiment: note(f"{experiment.slug}: {experiment.harm}"),
        run=run_until_signal,
    )
    if as_json:
        print(results_json(results, is_short=is_short))
    else:
        print_results(console(), results)
    if is_written:
        page = DOCUMENT.read_text(encoding="utf-8")
        page = with_long_soak(page, results[0]) if minutes else document(results, page)
        DOCUMENT.write_text(page, encoding="utf-8")
        note(f"wrote docs/{DOCUMENT.name}")
    broken = [result.experiment.slug for result in results if not result.held]
    if broken:
        raise LabError(f"not held: {', '.join(broken)}", "./lab chaos --json lists every count")


def named(name: str) -> Experiment:
    """Give the experiment of that name; WrongUsageError with the nearest otherwise."""
    if name in BY_SLUG:
        return BY_SLUG[name]
    near = get_close_matches(name, BY_SLUG, n=1)
    raise WrongUsageError(
        f"{name!r} is no experiment", f"did you mean {near[0]}?" if near else f"there are {', '.join(BY_SLUG)}"
    )
