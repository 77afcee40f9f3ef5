"""The folder of what runs leave: stores, log files, the record of who runs where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

HOME: Final = Path(__file__).resolve().parents[2] / ".lab"
RECORD_NAME: Final = "stack.json"


def home_of(environ: Mapping[str, str]) -> Path:
    """The folder of what a run leaves: `LAB_HOME`, or `.lab` beside the sources."""
    named = environ.get("LAB_HOME", "")
    return Path(named).expanduser().resolve() if named else HOME
