"""`lab test`: ruff, mypy, buf, then pytest. Words after it go to pytest, which then runs alone.

lab test
lab test -k demo
lab test tests/unit
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Final

from clients.errors import LabError
from tracelab.commands.stubs import tools_environ
from tracelab.stack.command_lines import ROOT

CHECKS: Final = (
    ("ruff", ("ruff", "check", ".")),
    ("format", ("ruff", "format", "--check", ".")),
    ("mypy", ("mypy",)),
    ("buf", ("buf", "lint", "proto")),
)
_NEEDED: Final = ("pytest", "mypy", "ruff")


def run(words: list[str]) -> int:
    """Run the checks, then the tests; with words, pytest alone with these. Gives the first failure's exit code."""
    if words[:1] in (["--help"], ["-h"]):
        print(f"Usage: lab test [PYTEST OPTIONS]\n\n{__doc__}")
        return 0
    if not all(importlib.util.find_spec(module) for module in _NEEDED):
        _install()
    if not words:
        for name, command in CHECKS:
            print(f"{name}: {' '.join(command)}", flush=True)
            if subprocess.run(command, cwd=ROOT, env=tools_environ()).returncode != 0:
                raise LabError(f"{name} found something", f"run it by itself: {' '.join(command)}")
    # Not through the shell's environment: pytest is to see what the person set, and to end the output.
    return subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, env=tools_environ()).returncode


def _install() -> None:
    """Install the development requirements; the scripts `lab` and `lab.ps1` do so before they come here."""
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", "requirements-dev.txt"]
    if subprocess.run([sys.executable, *words], cwd=ROOT).returncode != 0:
        raise LabError("the packages of requirements-dev.txt could not be installed", "see the message above")
