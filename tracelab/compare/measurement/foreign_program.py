"""A server that is not ours, started and traced as `lab run` does, and where it listens."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from tracelab.compare.question.errors import CompareError, UsageError
from tracelab.compare.question.method_call import ForeignServer, is_this_machine
from tracelab.own.program import prepared, program_environ, program_of
from tracelab.own.target import Target, Tls
from tracelab.stack.child_process import Child

START_BOUND_S = 30.0
STOP_BOUND_S = 5.0
READY_BOUND_S = 1.0
_POLL_S = 0.05
_EVERY_ADDRESS = ("0.0.0.0", "::")  # how a socket says that it is open to all


class ForeignProgram:
    """A program that runs until it is stopped. One thread."""

    def __init__(self, server: ForeignServer, child: Child, output: Path) -> None:
        self._server = server
        self._child = child
        self._output = output

    @classmethod
    def start(
        cls, server: ForeignServer, service_name: str, environ: Mapping[str, str], otlp_endpoint: str, folder: Path
    ) -> ForeignProgram:
        """Start a server's command; what it prints goes to a file in `folder`. WrongUsageError where it is none."""
        program = prepared(program_of(server.command, service_name))
        made = program_environ(program, environ, otlp_endpoint, uuid.uuid4().hex)
        output = folder / "output.log"
        child = Child.start(server.name, program.words, made, folder / "ready", output, is_held=False, stdout_too=True)
        return cls(server, child, output)

    async def target(self, tls: Tls | None) -> Target:
        """Wait until it speaks gRPC where it was said, or at the one address of this machine where it listens.

        CompareError where it ends or listens nowhere, UsageError where it is not clear which address is meant.
        """
        deadline_s = time.monotonic() + START_BOUND_S
        while True:
            listening = [self._server.address] if self._server.address else self._listening()
            ready = [target for address in listening if await _is_ready(target := Target(address, tls))]
            if len(ready) > 1:
                names = ", ".join(target.address for target in ready)
                hint = f"--target {self._server.name}=HOST:PORT says which is meant"
                raise UsageError(f"{self._server.name} speaks gRPC at {names}", hint)
            if ready:
                return ready[0]
            if self._child.exit_code is not None:
                raise self._failure(f"{self._server.name} ended with exit code {self._child.exit_code}")
            if time.monotonic() > deadline_s:
                where = ", ".join(listening) or "no port of this machine"
                raise self._failure(f"{self._server.name} listens at {where}, and speaks no gRPC there")
            await asyncio.sleep(_POLL_S)

    def stop(self) -> None:
        """End it and what it started: politely, and by force after a bound."""
        self._signal_group("SIGTERM")
        if not self._child.wait(STOP_BOUND_S):
            self._child.kill()
        self._signal_group("SIGKILL")

    def _signal_group(self, name: str) -> None:
        if sys.platform == "win32":
            self._child.terminate()
            return
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group that has ended
            os.killpg(self._child.pid, signal.Signals[name])

    def _listening(self) -> list[str]:
        found: dict[str, None] = {}
        with suppress(psutil.Error):
            process = psutil.Process(self._child.pid)
            for each in (process, *process.children(recursive=True)):
                for connection in each.net_connections("tcp"):
                    if connection.status == psutil.CONN_LISTEN:
                        found.update(dict.fromkeys(_dialled(*connection.laddr[:2])))
        return list(found)

    def _failure(self, text: str) -> CompareError:
        said = self._child.complaint().splitlines()
        return CompareError(f"{text}: {said[-1]}" if said else text, f"what it printed is in {self._output}")


def _dialled(host: str, port: int) -> list[str]:
    host = host.removeprefix("::ffff:")  # gRPC's sockets are of IPv6, whatever they are bound to
    if host in _EVERY_ADDRESS:
        return [f"127.0.0.1:{port}"]
    if not is_this_machine(host):
        return []
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]


async def _is_ready(target: Target) -> bool:
    channel = target.channel()
    try:
        await asyncio.wait_for(channel.channel_ready(), READY_BOUND_S)
    except TimeoutError:
        return False
    else:
        return True
    finally:
        await channel.close()
