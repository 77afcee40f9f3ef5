"""Starts processes of ours whose output goes to files: as forks of one that has loaded them, where that can be done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tracelab.fork_server.client import ForkedProcess, ForkServer, can_fork
from tracelab.fork_server.loading import loading_environment


class ProcessStarter:
    """Starts `python -m MODULE …` in one environment, for any thread; a context that ends the fork server.

    Where it forks, from a process that has loaded `modules`, what has not ended by then is killed, and so it is where
    this process is. What is spawned instead is to be ended by who started it.
    """

    def __init__(self, environ: Mapping[str, str], modules: Sequence[str]) -> None:
        self._environ = dict(environ)
        self._forks = ForkServer.spawn(loading_environment(environ), modules) if can_fork() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(
        self,
        words: Sequence[str],
        stdout_file: Path,
        stderr_file: Path,
        variables: Mapping[str, str] | None = None,
        *,
        has_fork_server: bool = False,
    ) -> subprocess.Popen[bytes] | ForkedProcess:
        """Start a module with its words, out of reach of the terminal's Ctrl-C; does not wait for it.

        `variables` come to the environment. With a fork server of its own, what it starts is forked, too.
        """
        command = [sys.executable, "-P", "-m", *words]
        environ = loading_environment({**self._environ, **(variables or {})})
        if self._forks is not None and self._forks.stands_for(environ):
            return self._forks.start(
                command, environ, stderr_file, stdout_file, is_killed=True, has_fork_server=has_fork_server
            )
        with stdout_file.open("ab") as stdout, stderr_file.open("ab") as stderr:
            return subprocess.Popen(
                command,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    def close(self) -> None:
        """End the process that others are forked from."""
        if self._forks is not None:
            self._forks.close()
