"""What a process of the stack finds in its environment when it loads its modules, and a first start of that."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from clients.discovery.home import RECORD_NAME, home_of
from otel.tls.core_lines import choose_verbosity
from tracelab.fork_server.client import prepare

_ROOT: Final = Path(__file__).resolve().parents[2]


def loading_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Write what every process of the stack has in its environment when it loads its modules."""
    paths = [str(_ROOT), *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    made = {**environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONUTF8": "1"}
    choose_verbosity(made)  # gRPC's core writes to stderr past every log setting
    return made


def prepare_stack(environ: Mapping[str, str]) -> None:
    """Let the modules of a stack be loaded while its command still reads its own words, unless one is recorded."""
    if not (home_of(environ) / RECORD_NAME).exists():
        prepare(loading_environment(environ))
