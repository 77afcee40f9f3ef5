"""Where a stack of its own keeps its files, and where it is recorded."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from pathlib import Path

from clients.discovery.endpoints import living_record
from clients.discovery.home import RECORD_NAME, home_of


def run_home(name: str, environ: Mapping[str, str]) -> Path:
    """A new folder for a stack of its own, below `runs`."""
    moment = dt.datetime.now(dt.UTC)
    return home_of(environ) / "runs" / f"{name}-{moment:%Y%m%d-%H%M%S}-{os.getpid()}"


def record_file_for(home: Path, environ: Mapping[str, str]) -> Path:
    """Where a new stack is recorded: as the stack that other commands find, unless one runs already."""
    usual = home_of(environ) / RECORD_NAME
    return usual if living_record(usual) is None else home / RECORD_NAME
