"""`lab status`: what runs where, and is it healthy."""

from __future__ import annotations

import os

import typer

from clients.discovery.endpoints import find_endpoints
from clients.output import print_json
from tracelab.commands.options import JsonFlag
from tracelab.stack.view import plain_process_line, processes_json

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def status(as_json: JsonFlag = False) -> int:
    """Say what runs where, under which pid, whether it answers, and why the backend can't store what it is sent.

    Exits with 1 unless all of it answers and is stored.

    \b
      lab status
      lab status --json
    """
    endpoints = find_endpoints(os.environ)
    found = processes_json(endpoints)
    if as_json:
        print_json(found)
    else:
        for entry in found["processes"]:
            pid = f"pid {entry['pid']}" if entry["pid"] else ""
            if entry["health"] == "died":
                pid = f"(was pid {endpoints.died[entry['name']]})"
            print(f"{entry['health']:<9}  {plain_process_line(entry['name'], entry['addresses'])}  {pid}".rstrip())
        if found["store"]:
            print(f"store      {found['store']}")
        if found["storage_error"]:
            print(f"refused    what the backend was sent last: {found['storage_error']}")
    is_well = all(entry["health"] == "healthy" for entry in found["processes"]) and not found["storage_error"]
    return 0 if is_well else 1
