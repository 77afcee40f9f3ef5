"""The menu of the first version: a number starts a service or the demo; the same on every system."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from clients.discovery.defaults import DEFAULT_PORTS, LOOPBACK, MODULES
from clients.discovery.probes import accepts_connections, service_serves
from otel.tls.files import TlsFiles
from tracelab.stack.command_lines import ROOT

_TEXT: Final = """\
gRPC Trace Lab

  1  UserService           port 50051
  2  OrderService          port 50052
  3  ReportService         port 50053
  4  Demo client           four lines, against services that run
  0  Everything            lab demo: services, backend, demo, trace and logs

  q  quit                  ./lab --help shows all commands
"""
_SERVICES: Final = {"1": "user", "2": "order", "3": "report"}


def show_menu(run_lab: Callable[[list[str]], int], ask: Callable[[str], str] = input) -> int:
    """Ask for a number until one is known, run what it stands for, and give its exit code."""
    print(_TEXT)
    while True:
        try:
            answer = ask("Choose 0-4: ").strip().lower()
        except EOFError:
            return 0
        if answer == "q":
            return 0
        if answer == "0":
            return run_lab(["demo"])
        if answer == "4":
            return _run_module("clients.demo")
        if answer in _SERVICES and (running := _running(_SERVICES[answer])):
            print(running)
            continue
        if answer in _SERVICES:
            return _run_module(MODULES[_SERVICES[answer]])
        print(f"{answer!r} is not one of 0, 1, 2, 3, 4")


def _running(service: str) -> str:
    """Say that a service's usual port is taken, by itself or by another program; "" where it is free."""
    address = f"{LOOPBACK}:{DEFAULT_PORTS[service]['grpc']}"
    if not accepts_connections(address):
        return ""
    what = (
        f"{service} already runs"
        if service_serves(address, tls=TlsFiles.from_environ(os.environ))
        else "another program listens"
    )
    return f"{what} at {address}; ./lab status shows what runs, ./lab down stops it"


def _run_module(module: str) -> int:
    """Run a module in the foreground, as by hand: it gets Ctrl-C from the terminal itself, and ends when we do."""
    process = subprocess.Popen([sys.executable, "-m", module], cwd=ROOT)
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the service heard it too, and is stopping
                continue
    finally:
        process.terminate()  # does nothing to one that has ended
        process.wait()
