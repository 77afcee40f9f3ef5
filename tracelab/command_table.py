"""Every command of `lab`: its name, the question that it belongs to, and the module that holds it.

The table is static so that `lab --help` and a single command load nothing else. A module is imported when its command
is used, and must have `app`, a `typer.Typer`: with one command it becomes that command, with several a group. A *raw*
command has `run(words) -> exit code` instead and gets its words unparsed. A command without its module is not shown.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from clients.errors import WrongUsageError

_ROOT: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Command:
    """One line of the table. `has_own_output` commands parse `--output`, `--quiet` and `--no-color` by themselves.

    `starts_stack` commands do nothing without one: its modules are loaded while the command's own are.
    """

    name: str
    module: str
    summary: str
    is_raw: bool = False
    has_own_output: bool = False
    starts_stack: bool = False

    @property
    def exists(self) -> bool:
        """Whether the module is there; looked up without importing anything."""
        path = _ROOT.joinpath(*self.module.split("."))
        return path.with_suffix(".py").is_file() or path.is_dir()

    def load(self) -> Any:
        """Import the module and give the command that parses and runs its words."""
        import typer.main

        if self.is_raw:
            from typer.core import TyperCommand

            return TyperCommand(name=self.name, callback=None, params=[], help=self.summary)
        command = typer.main.get_command(importlib.import_module(self.module).app)
        command.name = self.name
        return command

    def run(self, words: list[str]) -> int:
        """Run a raw command on its words."""
        code: int = importlib.import_module(self.module).run(words)
        return code


_RUN: Final = (
    Command(
        "demo",
        "tracelab.commands.demo",
        "start what is missing, run the demo, show its trace and its logs",
        starts_stack=True,
    ),
    Command("up", "tracelab.commands.up", "start the stack: the backend and the three services"),
    Command("run", "tracelab.commands.run", "run a program of your own, traced as it is"),
    Command("down", "tracelab.commands.down", "stop the stack"),
    Command("status", "tracelab.commands.status", "what runs where, and is it healthy"),
)
_CALL: Final = (
    Command("user", "clients.commands.user", "every RPC of UserService"),
    Command("order", "clients.commands.order", "every RPC of OrderService"),
    Command("report", "clients.commands.report", "every RPC of ReportService"),
    Command("call", "tracelab.commands.call", "any method of any gRPC server, yours too"),
    Command("check", "tracelab.commands.check", "whether the spans of any gRPC server say what the wire says"),
)
_HAPPENED: Final = (
    Command("traces", "tracelab.commands.traces", "search the traces"),
    Command("trace", "tracelab.commands.trace", "show one trace with its logs in place"),
    Command("metrics", "tracelab.commands.metrics", "rates, errors and durations over time, with a trace of each"),
)
_LOGS: Final = (Command("logs", "tracelab.commands.logs", "the log lines of a trace, or of one of its spans"),)
_SLOWER: Final = (
    Command("compare", "tracelab.commands.compare", "compare latencies, with a trace behind every number", False, True),
    Command("diff", "tracelab.commands.diff", "compare two traces"),
)
_BEHAVES: Final = (
    Command("learn", "tracelab.commands.learn", "the lessons: each gRPC behaviour with its trace"),
    Command("truth", "tracelab.commands.truth", "stock and corrected instrumentation, side by side"),
)
_WORK: Final = (
    Command("test", "tracelab.commands.test", "all the checks and tests; words after it go to pytest", True),
    Command("certs", "tracelab.commands.certs", "make a private authority and certificates, to try TLS"),
    Command("stubs", "tracelab.commands.stubs", "make generated/ from proto/"),
    Command("bench", "tracelab.commands.bench", "run a benchmark", True),
    Command("chaos", "tracelab.commands.chaos", "do harm to real processes and count what was promised"),
    Command("clean", "tracelab.commands.clean", "remove what runs and tests left behind"),
    Command("completion", "tracelab.commands.completion", "print the completion script of a shell"),
)
QUESTIONS: Final = (
    ("Run it", _RUN),
    ("Call a service", _CALL),
    ("What happened in this call?", _HAPPENED),
    ("Which log lines belong to it?", _LOGS),
    ("Why is this variant slower than that one?", _SLOWER),
    ("How does gRPC really behave here?", _BEHAVES),
    ("Work on the lab", _WORK),
)
COMMANDS: Final = tuple(command for _, commands in QUESTIONS for command in commands)

_ABOUT: Final = """\
Usage: lab COMMAND [OPTIONS]

See, compare and learn gRPC calls: one true trace, its logs in place.
"""
_EXAMPLES: Final = """\
Examples:
  lab demo                                  one trace, with its logs
  lab up -d                                 start the stack and leave it running
  lab user create --name Alice --email a@x  make a call, which is a trace too
  lab trace last                            show the newest trace
"""
_COMMON: Final = """\
Everywhere: --help, --json, --no-color, --quiet, --output FILE, --certs DIR.
lab COMMAND --help shows a command's own examples.
Without arguments on a terminal, lab shows the menu of the services.
"""


def find_command(name: str) -> Command:
    """Give the command of that name; WrongUsageError with the nearest one where there is none."""
    available = {command.name: command for command in COMMANDS if command.exists}
    if name in available:
        return available[name]
    near = get_close_matches(name, available, n=1)
    what = "an option" if name.startswith("-") else "a command"
    raise WrongUsageError(
        f"{name!r} is not {what} of lab", f"did you mean {near[0]}?" if near else "./lab --help lists the commands"
    )


def help_text() -> str:
    """The help of `lab` itself: examples first, then the commands by the question that they answer."""
    lines = [_ABOUT, _EXAMPLES]
    for question, commands in QUESTIONS:
        shown = [command for command in commands if command.exists]
        if shown:
            lines += [f"{question}", *(f"  {command.name:<11} {command.summary}" for command in shown), ""]
    return "\n".join([*lines, _COMMON.rstrip()])
