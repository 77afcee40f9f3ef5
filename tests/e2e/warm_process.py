"""Runs commands without the half a second in which each loads the same libraries: as forks of one that has loaded them.

Commands that depend on how a process begins (a network, a signal, variables that libraries read) are not run so.
"""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from clients.discovery.defaults import MODULES
from tracelab.command_table import COMMANDS
from tracelab.fork_server import ForkServer, can_fork, loading_environment

ROOT: Final = Path(__file__).resolve().parents[2]
LOADED: Final = (*MODULES.values(), *(command.module for command in COMMANDS if command.exists))


@functools.cache
def _forks() -> ForkServer:
    """This worker's, started at its first use."""
    server = ForkServer.spawn(loading_environment({"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}), LOADED)
    atexit.register(server.close)
    return server


def run_module(
    words: Sequence[str], cwd: Path, environ: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run `-m MODULE WORDS...` to its end, without standard input. Raises subprocess.TimeoutExpired past the bound."""
    command = [sys.executable, "-P", "-m", *words]
    if not (can_fork() and _forks().stands_for(loading_environment(environ))):
        return subprocess.run(
            command,
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
    with tempfile.TemporaryDirectory() as folder:
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        process = _forks().start(command, environ, stderr, stdout, cwd, has_fork_server=True)
        try:
            returned = process.wait(timeout_s)
        finally:
            process.kill()
        said = (stream.read_bytes().decode("utf-8") for stream in (stdout, stderr))
        return subprocess.CompletedProcess(list(words), returned, *said)
