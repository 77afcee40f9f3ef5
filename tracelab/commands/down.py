"""`lab down`: stops what `lab up` and `lab demo` started."""

from __future__ import annotations

import os

import typer

from clients.discovery.home import home_of
from clients.output import print_json
from tracelab.commands.options import JsonFlag
from tracelab.stack.stopping import stop_recorded

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def down(as_json: JsonFlag = False) -> int:
    """Stop the stack: the services first, then the backend; what they recorded stays.

    \b
      lab down

    Stops every stack that was started below LAB_HOME, those on free ports too.
    """
    home = home_of(os.environ)
    records = [home / "stack.json", *sorted((home / "runs").glob("*/stack.json"))]
    stopped = [process for record in records for process in stop_recorded(record)]
    if as_json:
        print_json({"stopped": [{"name": process.name, "pid": process.pid} for process in stopped]})
    elif stopped:
        for process in stopped:
            print(f"stopped {process.name} (pid {process.pid})")
    else:
        print("nothing runs that lab started")
    return 0
