"""`lab test`: pytest, and beside it ruff, mypy and buf. Words after it go to pytest, which then runs alone.

lab test
lab test --quick       the checks and the unit tests, in a minute
lab test --containers  the compose file on a container engine, each container stopped and restarted under calls
lab test --scale       otel/scale on Kafka, Cassandra, OpenSearch, Collectors and Jaegers, from package registries
lab test -k demo
lab test tests/unit
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from clients.errors import LabError, WrongUsageError
from clients.event_loop import run_until_signal
from clients.output import console, note
from tracelab.commands.stubs import tools_environ
from tracelab.stack.command_lines import ROOT

CHECKS: Final = (
    ("ruff", ("ruff", "check", ".")),
    ("format", ("ruff", "format", "--check", ".")),
    ("mypy", ("mypy",)),
    ("buf", ("buf", "lint", "proto")),
)
QUICK: Final = "--quick"
CONTAINERS: Final = "--containers"
SCALE: Final = "--scale"
MOST_WORKERS: Final = 12
_NEEDED: Final = ("pytest", "mypy", "ruff")


def run(words: list[str]) -> int:
    """Run the checks and the tests; with words, pytest alone with these. Gives the first failure's exit code."""
    if words[:1] in (["--help"], ["-h"]):
        print(f"Usage: lab test [--quick | --containers | --scale] [PYTEST OPTIONS]\n\n{__doc__}")
        return 0
    if CONTAINERS in words:
        return _run_containers(words)
    if words[:1] == [SCALE]:
        return _run_scale(words[1:], os.environ)
    if not all(importlib.util.find_spec(module) for module in _NEEDED):
        _install()
    return _run_side_by_side(*plan(words, os.cpu_count() or 1))


def _run_containers(words: list[str]) -> int:
    """Run the compose file on the engine that answers; nothing of it is pytest's, and CI does not come here."""
    from tracelab.chaos.containers import run_containers
    from tracelab.chaos.report import print_results

    if words != [CONTAINERS]:
        raise WrongUsageError("--containers takes no other words", "./lab test --containers")
    results = run_containers(
        os.environ,
        on_begun=lambda experiment: note(f"{experiment.slug}: {experiment.harm}"),
        run=run_until_signal,
    )
    print_results(console(), results)
    broken = [result.experiment.slug for result in results if not result.held]
    if broken:
        raise LabError(f"not held: {', '.join(broken)}", "docker compose logs shows what a container says")
    return 0


def _run_scale(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run tests/scale, one test after the other, with what it counts shown; CI does not come here."""
    needs_go = not (environ.get("OTELCOL") and environ.get("JAEGER"))
    for program in ("java", "mvn", *(("go",) if needs_go else ())):
        if shutil.which(program, path=environ.get("PATH", "")) is None:
            raise WrongUsageError(
                f"--scale needs {program}, which is not on the path", "docs/scale.md says what it runs"
            )
    return _run_side_by_side((), ["-n", "0", "-s", *(words or ["tests/scale"])])


def plan(words: Sequence[str], cores: int) -> tuple[Sequence[tuple[str, Sequence[str]]], list[str]]:
    """The checks to run, and pytest's words.

    All tests together have more workers than there are cores, since many wait for processes of their own.
    """
    if not words:
        return CHECKS, ["-n", str(min(2 * cores, MOST_WORKERS))]
    if words[0] == QUICK:
        return CHECKS, ["-n", str(min(cores, MOST_WORKERS)), "tests/unit", *words[1:]]
    return (), list(words)


def _run_side_by_side(checks: Sequence[tuple[str, Sequence[str]]], words: Sequence[str]) -> int:
    """Run checks and tests at once, and end the tests where a check finds something."""
    if checks:
        print(f"{', '.join(name for name, _ in checks)}: beside the tests", flush=True)
    with ExitStack() as running:
        started = [
            running.enter_context(
                subprocess.Popen(
                    command, cwd=ROOT, env=tools_environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
                )
            )
            for _, command in checks
        ]
        # Not through the shell's environment: pytest is to see what the person set, and to end the output.
        tests = running.enter_context(
            subprocess.Popen([sys.executable, "-m", "pytest", *words], cwd=ROOT, env=tools_environ())
        )
        try:
            for (name, command), check in zip(checks, started, strict=True):
                said, _ = check.communicate()
                if check.returncode != 0:
                    tests.terminate()
                    tests.wait()
                    print(said, end="", flush=True)
                    raise LabError(f"{name} found something", f"run it by itself: {_typed(command)}")
            return tests.wait()
        except SystemExit:  # a signal that the terminal did not send to pytest as well
            tests.terminate()
            for check in started:
                check.terminate()
            raise


def _typed(command: Sequence[str]) -> str:
    """The command as a person types it in the checkout, where our tools are in `.venv`."""
    folder = Path(sys.executable).parent
    shown = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    return " ".join([str(shown / command[0]), *command[1:]])


def _install() -> None:
    """Install the development requirements; the scripts `lab` and `lab.ps1` do so before they come here."""
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", "requirements-dev.txt"]
    if subprocess.run([sys.executable, *words], cwd=ROOT).returncode != 0:
        raise LabError("the packages of requirements-dev.txt could not be installed", "see the message above")
