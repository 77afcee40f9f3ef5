"""What a command refuses or could not do, and the report of it: one line, at most one hint, and an exit code."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

FAILURE: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


class LabError(RuntimeError):
    """A command could not do what was asked; the text is the sentence for the person, `hint` what to do."""

    exit_code = FAILURE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class WrongUsageError(LabError):
    """What was asked for makes no sense."""

    exit_code = USAGE


@dataclass(frozen=True, slots=True)
class Report:
    """What a person is told about a failure, and the exit code that a script sees. `is_help`: the help itself."""

    message: str
    hint: str = ""
    exit_code: int = FAILURE
    is_help: bool = False

    def lines(self) -> list[str]:
        """The lines for standard error."""
        if self.is_help:
            return self.message.splitlines()
        message = " ".join(self.message.split())
        return [inert(line) for line in (f"error: {message}", *([f"hint: {self.hint}"] if self.hint else []))]


def inert(text: str) -> str:
    """Text that says what it says without acting on the terminal: it may quote what another machine sent."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def print_report(report: Report) -> None:
    """Write the report to standard error."""
    for line in report.lines():
        print(line, file=sys.stderr)
