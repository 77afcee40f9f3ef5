"""`lab certs`: a private authority and certificates for a try-out of TLS."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Annotated

import typer

from clients.discovery.home import home_of
from clients.output import note, print_json
from otel.tls.try_out import BROWSER_FILE, BROWSER_FILE_PASSWORD, issue
from tracelab.commands.options import JsonFlag

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def certs(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", file_okay=False, help="Where to; .lab/certs by default.")
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="One more name or address of the servers; may be repeated."),
    ] = None,
    days: Annotated[float, typer.Option("--days", metavar="N", min=0.001, max=3650, help="How long they last.")] = 90,
    anew: Annotated[bool, typer.Option("--anew", help="Make others in place of those that are there.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a private authority, and certificates of servers and of a client: for a try-out, not for strangers.

    \b
      lab certs
      lab demo --certs .lab/certs
      lab certs /tmp/certs --name lab.example --days 7
    """
    where = folder or home_of(os.environ) / "certs"
    made = issue(where, names or (), days, dt.datetime.now(dt.UTC), anew=anew)
    if as_json:
        print_json({"folder": str(made.path.resolve()), "variables": made.variables})
        return
    print(f"made in {where}: ca.pem, server.pem, client.pem and their keys, valid for {days:g} days")
    note(
        f"for a browser: {where / BROWSER_FILE}, with the password {BROWSER_FILE_PASSWORD}, and ca.pem as an authority"
    )
    note(f"./lab demo --certs {where} speaks mTLS by them, or set what {where / 'tls.sh'} says: . {where / 'tls.sh'}")
