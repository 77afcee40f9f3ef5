"""`lab clean`: removes what runs, tests and tools left behind."""

from __future__ import annotations

import os
import shutil
from typing import Annotated, Final

import typer

from clients.discovery.endpoints import living_record
from clients.discovery.home import home_of
from clients.errors import LabError
from tracelab.stack.command_lines import ROOT

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_CACHES: Final = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".coverage")
_SOURCES: Final = ("services", "clients", "tracelab", "otel", "generated", "tests", "benchmarks")
_OF_A_RUN: Final = ("logs", "runs", "ready", "witness", "crash.log", "stack.json", "start.lock")
_STORE: Final = "telemetry.sqlite*"  # with what SQLite and the backend's lock put beside it, and damaged ones set aside


@app.command()
def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove telemetry, log files, runs, caches and compiled files. The virtual environment stays.

    \b
      lab clean
      lab clean --dry-run
    """
    home = home_of(os.environ)
    for record in (home / "stack.json", *(home / "runs").glob("*/stack.json")):
        if living_record(record):
            raise LabError(f"a stack runs ({record})", "stop it first: ./lab down")
    found = [*sorted(home.glob(_STORE)), *(home / name for name in _OF_A_RUN)]
    found += [ROOT / name for name in _CACHES]
    found += [folder for source in _SOURCES for folder in (ROOT / source).rglob("__pycache__")]
    removed = [path for path in found if path.exists() or path.is_symlink()]
    for path in removed:
        print(f"{'would remove' if dry_run else 'removed'} {path}")
        if dry_run:
            continue
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    if not removed:
        print("nothing to remove")
