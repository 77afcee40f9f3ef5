"""`lab up`: starts the stack in the foreground, or leaves it running."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from clients.discovery.defaults import LOOPBACK, PROCESSES
from clients.discovery.endpoints import find_endpoints, probe_endpoints
from clients.discovery.home import home_of
from clients.errors import WrongUsageError
from clients.output import note, print_json
from clients.word_completion import one_of
from tracelab.commands.options import ApiOption, JsonFlag, PortsOption, StoreOption, is_auto, known_api
from tracelab.stack import Stack, StackOptions, StackProcess
from tracelab.stack.run_home import record_file_for, run_home
from tracelab.stack.start_lock import StartLock
from tracelab.stack.start_plan import options_for, plan_start, refuse_another_api
from tracelab.stack.view import damage_notes, plain_process_line, processes_json
from tracelab.stack.watch import watch

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def up(
    detach: Annotated[bool, typer.Option("-d", "--detach", help="Leave it running; lab down stops it.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="NAME",
            autocompletion=one_of("backend", "user", "order", "report"),
            help="Start this alone: backend, user, order, report.",
        ),
    ] = None,
    ports: PortsOption = "default",
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = LOOPBACK,
    store: StoreOption = None,
    api: ApiOption = "",
    jaeger_ui: Annotated[
        Path | None,
        typer.Option("--jaeger-ui", metavar="DIR", exists=True, file_okay=False, help="Serve this Jaeger UI bundle."),
    ] = None,
    allow_faults: Annotated[bool, typer.Option("--allow-faults", help="Let calls ask for faults, by --fault.")] = False,
    witness: Annotated[bool, typer.Option("--witness", help="Write down what servicers really did.")] = False,
    channel_option: Annotated[
        list[str] | None, typer.Option("--channel-option", metavar="KEY=VALUE", help="A gRPC option of the services.")
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Start the backend and the three services; what already runs is left alone.

    \b
      lab up
      lab up -d --json
      lab up --only backend
      lab up -d --ports auto --allow-faults
      lab up --store .lab/runs/RUN/telemetry.sqlite --only backend
    """
    is_new = is_auto(ports)
    home = run_home("up", os.environ) if is_new else home_of(os.environ)
    options = StackOptions(
        home=home,
        ports="auto" if is_new else "default",
        host=host,
        only=_names(only or []),
        store=store,
        allow_faults=allow_faults,
        witness=witness,
        channel_options=tuple(channel_option or ()),
        api=known_api(api),
        jaeger_ui=jaeger_ui,
        detached=detach,
        follows_tls_variables=True,
        record_file=record_file_for(home, os.environ) if is_new else None,
    )
    with StartLock(home).acquire(note) as lock:
        return _start(options, lock, is_new=is_new, as_json=as_json)


def _start(options: StackOptions, lock: StartLock, *, is_new: bool, as_json: bool) -> int:
    """Start what is missing of `options.names`; the lock is given up once it runs."""
    if not is_new:
        endpoints = find_endpoints(os.environ)
        plan = plan_start(endpoints, probe_endpoints(endpoints), options.names, trusts_environment=False)
        refuse_another_api(plan, options)
        for name in options.names:
            if name not in plan.missing:
                note(f"{name} already runs")
        if not plan.missing:
            if as_json:
                print_json(processes_json(find_endpoints(os.environ)))
            return 0
        options = options_for(plan, endpoints, options)
    return _run(options, lock, as_json=as_json)


def _run(options: StackOptions, lock: StartLock, *, as_json: bool) -> int:
    def show(process: StackProcess) -> None:
        if not as_json:
            print(plain_process_line(process.name, process.addresses), flush=True)

    with Stack.start(options, on_healthy=show) as stack:
        lock.release()
        for sentence in damage_notes(stack.processes, stack.store):
            note(sentence)
        if as_json:
            print_json(processes_json(find_endpoints(os.environ, options.stack_file.parent)))
        if options.detached:
            stack.detach()
            note("running; ./lab status shows it, ./lab down stops it")
            return 0
        note("running until Ctrl-C")
        sys.stdout.flush()
        watch(stack)
    return 0


def _names(only: list[str]) -> tuple[str, ...]:
    names = [name.strip() for entry in only for name in entry.split(",") if name.strip()]
    for name in names:
        if name not in PROCESSES:
            raise WrongUsageError(f"--only: {name!r} is not one of {', '.join(PROCESSES)}")
    return tuple(names)
