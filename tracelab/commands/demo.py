"""`lab demo`: starts what is missing, runs the demo, shows the trace of its report with the logs, and proves it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from clients.discovery.home import home_of
from tracelab.commands.options import ApiOption, JsonFlag, PortsOption, StoreOption, is_auto, known_api
from tracelab.demo.run import DemoOptions, run_lab_demo
from tracelab.stack.run_home import run_home

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def demo(
    as_json: JsonFlag = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Stop what was started and exit.")] = False,
    ports: PortsOption = "default",
    store: StoreOption = None,
    api: ApiOption = "",
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Save the screen as a picture.")] = None,
) -> int:
    """Show one trace across three services, with its logs: start what is missing, call, read back, prove.

    \b
      lab demo
      lab demo --json
      lab demo --ports auto --no-wait
      lab demo --ports auto --api sync

    What already answers is used and named: an OTLP endpoint with a query API (lab up, Docker), and each service.
    On a terminal the stack runs until Ctrl-C; piped, or with --no-wait, what was started is stopped.
    """
    is_new_stack = is_auto(ports)
    demo_options = DemoOptions(
        home=run_home("demo", os.environ) if is_new_stack else home_of(os.environ),
        as_json=as_json,
        stays=not (no_wait or as_json or svg) and sys.stdin.isatty() and sys.stdout.isatty(),
        is_new_stack=is_new_stack,
        store=store,
        api=known_api(api),
        picture=svg,
    )
    return run_lab_demo(demo_options, os.environ)
