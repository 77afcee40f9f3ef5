"""The bench of an experiment: real processes on loopback and free ports, in a folder of their own, ended with it."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import psutil

from clients.discovery import probes
from tracelab.stack.child_process import Child
from tracelab.stack.command_lines import ROOT

T = TypeVar("T")

START_BOUND_S: Final = 30.0
STOP_BOUND_S: Final = 20.0
POLL_S: Final = 0.01
BACKEND_PORTS: Final = {"otlp_grpc": "--otlp-grpc-port", "otlp_http": "--otlp-http-port", "query": "--query-port"}


class BenchError(Exception):
    """A process did not do what the experiment needs; the text says which and what."""


@dataclass(slots=True)
class Process:
    """One process, which may be stopped or killed and started again where it was."""

    name: str
    words: tuple[str, ...]
    environ: Mapping[str, str]
    child: Child
    addresses: Mapping[str, str]
    folder: Path

    @property
    def address(self) -> str:
        """Where its gRPC is."""
        return self.addresses.get("grpc") or self.addresses["otlp_grpc"]

    def witness(self) -> list[dict[str, Any]]:
        """What its handlers did, over all its lives; a line that a kill cut short is left out."""
        return list(_json_lines(self.folder / f"{self.name}.witness"))

    def log_lines(self) -> list[dict[str, Any]]:
        """What it logged, over all its lives."""
        return list(_json_lines(self.folder / f"{self.name}.log"))


class Bench:
    """Starts, stops, kills. `is_short` asks for the form that takes seconds, `duration_s` for a soak of that length.

    Use on one event loop.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], *, is_short: bool, duration_s: float = 0.0) -> None:
        self.folder = folder
        self.is_short = is_short
        self.duration_s = duration_s
        self._environ = dict(environ)
        self._processes: list[Process] = []
        self._numbers = itertools.count(1)

    def pick(self, long: T, short: T) -> T:
        """Give what fits the form: the long one or the short one."""
        return short if self.is_short else long

    async def service(
        self,
        name: str,
        *words: str,
        label: str = "",
        environ: Mapping[str, str] | None = None,
        is_witnessed: bool = True,
    ) -> Process:
        """Start `python -m services.NAME_service`, with a witness; without `environ` it exports no telemetry."""
        label = label or name
        silent = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "LOGS", "METRICS")}
        witness = ("--witness", str(self.folder / f"{label}.witness")) if is_witnessed else ()
        return await self._start(
            label,
            (sys.executable, "-P", "-m", f"services.{name}_service", *witness, *words),
            silent if environ is None else environ,
            {"grpc": "--port"},
        )

    @property
    def store(self) -> Path:
        """The file of the backend, where it was told of no other."""
        return self.folder / "telemetry.sqlite"

    async def backend(self, *words: str, store: Path | None = None, label: str = "backend") -> Process:
        """Start an embedded backend with a store of its own."""
        return await self._start(
            label,
            (sys.executable, "-P", "-m", "otel.backend", "--store", str(store or self.store), *words),
            {},
            BACKEND_PORTS,
        )

    async def refused(self, process: Process, *, ports_of_its_own: bool = False) -> tuple[int, str]:
        """Start a process once more, which it is to refuse; give its exit code and what it said. BenchError if not."""
        anywhere = itertools.chain.from_iterable((option, "0") for option in BACKEND_PORTS.values())
        child = self._spawn("refused", (*process.words, *(anywhere if ports_of_its_own else ())), process.environ)
        try:
            if not await asyncio.to_thread(child.wait, START_BOUND_S):
                raise BenchError(f"{process.name} was to be refused, and runs")
            return child.exit_code or 0, child.complaint()
        finally:
            await asyncio.to_thread(child.kill)

    async def restart(self, process: Process) -> None:
        """Start a process again, on the ports that it had."""
        process.child = self._spawn(process.name, process.words, process.environ)
        await self._ready(process.name, process.child)

    async def stop(self, process: Process, *, held_up_s: float = 0.0) -> float:
        """Ask a process to stop; give the seconds that it took. BenchError if it does not.

        For `held_up_s` before, none of its threads runs: it hears of the stop before it sees what came in meanwhile.
        """
        if held_up_s:
            psutil.Process(process.child.pid).suspend()
            await asyncio.sleep(held_up_s)
        begun_s = time.monotonic()
        process.child.terminate()
        if held_up_s:
            psutil.Process(process.child.pid).resume()
        if not await asyncio.to_thread(process.child.wait, STOP_BOUND_S):
            raise BenchError(f"{process.name} did not stop within {STOP_BOUND_S:g} s")
        return time.monotonic() - begun_s

    async def kill(self, process: Process) -> None:
        """End a process at once, as SIGKILL and a crash do."""
        await asyncio.to_thread(process.child.kill)

    def close(self) -> None:
        """End whatever still runs."""
        for process in self._processes:
            if process.child.exit_code is None:
                process.child.kill()

    async def _start(
        self, name: str, words: tuple[str, ...], environ: Mapping[str, str], port_options: Mapping[str, str]
    ) -> Process:
        common = ("--log-file", str(self.folder / f"{name}.log"), "--until-stdin-ends")
        anywhere = tuple(itertools.chain.from_iterable((option, "0") for option in port_options.values()))
        child = self._spawn(name, (*words, *common, *anywhere), environ)
        addresses = await self._ready(name, child)
        there = tuple(
            itertools.chain.from_iterable(
                (option, addresses[purpose].rpartition(":")[2]) for purpose, option in port_options.items()
            )
        )
        process = Process(name, (*words, *common, *there), environ, child, addresses, self.folder)
        self._processes.append(process)
        return process

    def _spawn(self, name: str, words: tuple[str, ...], environ: Mapping[str, str]) -> Child:
        ready_file = self.folder / f"{name}.{next(self._numbers)}.ready"
        made = {**self._environ, **environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "GRPC_VERBOSITY": "NONE"}
        stderr_file = self.folder / f"{name}.stderr"
        return Child.start(name, [*words, "--ready-file", str(ready_file)], made, ready_file, stderr_file, is_held=True)

    async def _ready(self, name: str, child: Child) -> dict[str, str]:
        def addresses() -> dict[str, str] | None:
            if child.exit_code is not None:
                raise BenchError(f"{name} ended with exit code {child.exit_code}: {child.complaint()}")
            found = child.addresses()
            if found is None or ("grpc" in found and not probes.service_serves(found["grpc"])):
                return None
            return found

        return await until(addresses, f"{name} to serve", START_BOUND_S)


async def until(probe: Callable[[], T | None], what: str, bound_s: float = START_BOUND_S) -> T:
    """Ask `probe`, in a thread, until it gives something; BenchError with `what` was waited for at the bound."""
    until_s = time.monotonic() + bound_s
    while True:
        found = await asyncio.to_thread(probe)
        if found is not None and found is not False:
            return found
        if time.monotonic() > until_s:
            raise BenchError(f"waited {bound_s:g} s for {what}")
        await asyncio.sleep(POLL_S)


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue
