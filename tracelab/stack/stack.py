"""Starts the backend and the services side by side, waits until they are healthy, and stops them."""

from __future__ import annotations

import atexit
import datetime as dt
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from clients.discovery import probes
from clients.discovery.defaults import BACKEND, DEFAULT_PORTS
from clients.discovery.stack_record import ProcessRecord, StackRecord, add_processes, remove_processes
from tracelab.fork_server import has_fork_server
from tracelab.stack import command_lines as commands
from tracelab.stack.child_process import PORT_IN_USE, Child
from tracelab.stack.disk import SPACE_HINT, lack_of_space
from tracelab.stack.errors import PortInUseError, ProcessFailedError, StackError
from tracelab.stack.options import StackOptions

POLL_S: Final = 0.005
STOP_BOUND_S: Final = 10.0  # a service's own bounds for its calls and its telemetry, and some
FREE_PORT_TRIES: Final = 5

_PORT = re.compile(r"port (\d+)")


@dataclass(frozen=True, slots=True)
class StackProcess:
    """One healthy process of a stack.

    `witness_file` is None where no witness was asked for, `set_aside` where the process found no damaged store.
    """

    name: str
    pid: int
    addresses: Mapping[str, str]
    log_file: Path
    witness_file: Path | None = None
    set_aside: Path | None = None


class Stack:
    """Processes that were started together and end together.

    A context manager. Use from one thread at a time. A stack that nobody stopped ends with the process that started it,
    even if that is killed, unless the options say that it is detached.
    """

    def __init__(self, options: StackOptions, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = dict(environ)
        self._tls = commands.tls_files(options, environ)
        self._ports: commands.Ports = {}
        self._children: dict[str, Child] = {}
        self._processes: dict[str, StackProcess] = {}

    @classmethod
    def start(
        cls,
        options: StackOptions,
        environ: Mapping[str, str] | None = None,
        on_healthy: Callable[[StackProcess], None] = lambda _: None,
        on_spawned: Callable[[], None] = lambda: None,
    ) -> Stack:
        """Start what `options` names and return when all of it is healthy; `on_healthy` hears of each in turn,
        `on_spawned` that all are on their way: the time for slow work of one's own.

        `environ` is what the processes get (default: our own environment). On any failure, Ctrl-C too, whatever was
        started is ended first. Raises PortInUseError, ProcessFailedError and TlsError.
        """
        stack = cls(options, os.environ if environ is None else environ)
        atexit.register(stack._kill_all)
        try:
            stack._start(on_healthy, on_spawned)
        except BaseException:
            stack._kill_all()
            raise
        return stack

    @property
    def processes(self) -> tuple[StackProcess, ...]:
        """The healthy processes, in the order in which they are shown."""
        return tuple(self._processes[name] for name in self._options.names if name in self._processes)

    @property
    def options(self) -> StackOptions:
        """How the stack was started."""
        return self._options

    def process(self, name: str) -> StackProcess:
        """One process by name; StackError if it is not of this stack."""
        if name not in self._processes:
            raise StackError(f"this stack has no {name}", f"it has {', '.join(self._processes) or 'nothing'}")
        return self._processes[name]

    def address(self, service: str) -> str:
        """The gRPC address of a service, `host:port`: its own, or where the options say that it is."""
        if service not in self._processes and service in self._options.addresses:
            return self._options.addresses[service]
        return self.process(service).addresses["grpc"]

    @property
    def query_url(self) -> str:
        """The URL of the backend's query API, without a slash at the end."""
        return f"{self._tls.scheme}://{self.process(BACKEND).addresses['query']}"

    @property
    def otlp_endpoint(self) -> str:
        """The URL that OTLP/gRPC goes to; "" where neither a backend nor the options give one."""
        return commands.otlp_endpoint(self._ports, self._options, self._tls)

    @property
    def store(self) -> Path:
        """The backend's SQLite file."""
        return self._options.store_file

    def died(self) -> StackError | None:
        """The error of a process that ended by itself; None while all run."""
        for name, child in self._children.items():
            if child.exit_code == 0:
                return StackError(f"{name} was stopped by somebody else", "./lab status shows what still runs")
            if child.exit_code is not None:
                return self._failure(name, child)
        return None

    def stop(self, bound_s: float = STOP_BOUND_S) -> None:
        """Stop every process: the services first, so that the backend gets their last telemetry.

        Asks politely and kills what has not ended after `bound_s`. May be called again. Ctrl-C meanwhile kills at once.
        """
        try:
            services = [child for name, child in self._children.items() if name != BACKEND]
            _end(services, bound_s)
            _end([child for name, child in self._children.items() if name == BACKEND], bound_s)
        finally:
            self._kill_all()

    def detach(self) -> None:
        """Leave the processes running; the record on disk is how others find and stop them."""
        for child in self._children.values():
            child.release()
        self._children = {}
        atexit.unregister(self._kill_all)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, on_healthy: Callable[[StackProcess], None], on_spawned: Callable[[], None]) -> None:
        tries = FREE_PORT_TRIES if self._options.ports == "auto" else 1
        for remaining in reversed(range(tries)):
            self._spawn()
            on_spawned()
            try:
                self._wait_until_healthy(on_healthy)
            except PortInUseError:
                if not remaining:
                    raise
                self._end_children()
            else:
                return

    def _spawn(self) -> None:
        options = self._options
        names = options.names
        defaults = {name: DEFAULT_PORTS[name] for name in names}
        self._ports = commands.free_ports(names, options.host) if options.ports == "auto" else defaults
        told = {BACKEND: {"otlp_grpc": options.otlp_port}} if options.otlp_port else {}
        self._ports = {name: {**ports, **told.get(name, {})} for name, ports in self._ports.items()}
        taken = commands.taken_port(told if options.ports == "auto" else self._ports, options.host)
        if taken:
            raise _port_in_use(*taken)
        for name in names:
            ready_file = options.home / "ready" / f"{name}.{os.getpid()}.json"
            witness_file = commands.witness_file(name, options)
            if options.witness:
                witness_file.parent.mkdir(parents=True, exist_ok=True)
            self._children[name] = Child.start(
                name,
                commands.command(name, self._ports, options, ready_file),
                commands.environment(name, self._ports, options, self._environ),
                ready_file,
                commands.stderr_file(name, options),
                is_held=not options.detached,
                start_method=options.start_method if len(names) > 1 or has_fork_server() else "spawn",
            )

    def _wait_until_healthy(self, on_healthy: Callable[[StackProcess], None]) -> None:
        deadline_s = time.monotonic() + self._options.start_bound_s
        healthy: dict[str, StackProcess] = {}
        while len(healthy) < len(self._children):
            for name, child in self._children.items():
                if name in healthy:
                    continue
                if child.exit_code is not None:
                    raise self._failure(name, child)
                process = self._healthy(name, child)
                if process is not None:
                    healthy[name] = process
                    if self._options.ports != "auto":
                        on_healthy(process)
            if time.monotonic() > deadline_s:
                raise self._too_slow(healthy)
            time.sleep(POLL_S)
        self._processes = healthy
        self._record()
        if self._options.ports == "auto":  # only now is it certain that none starts again on another port
            for process in healthy.values():
                on_healthy(process)

    def _healthy(self, name: str, child: Child) -> StackProcess | None:
        addresses = child.addresses()
        if addresses is None:
            return None
        answers = (
            probes.status_answers(addresses["query"], tls=self._tls)
            if name == BACKEND
            else probes.service_serves(addresses["grpc"], tls=self._tls)
        )
        if not answers:
            return None
        options = self._options
        witness_file = commands.witness_file(name, options) if options.witness and name != BACKEND else None
        log_file = commands.log_file(name, options)
        return StackProcess(name, child.pid, addresses, log_file, witness_file, child.set_aside())

    def _record(self) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        records = tuple(
            ProcessRecord(
                process.name, process.pid, process.addresses, str(process.log_file.resolve()), self._tls.serves
            )
            for process in self._processes.values()
        )
        store = str(self._options.store_file.resolve())
        add_processes(self._options.stack_file, StackRecord(now, store, records))

    def _failure(self, name: str, child: Child) -> StackError:
        complaint = child.complaint()
        if child.exit_code == PORT_IN_USE:
            found = _PORT.search(complaint)
            return _port_in_use(name, int(found[1]) if found else next(iter(self._ports[name].values())))
        full = lack_of_space(self._options.home)
        if full:
            return ProcessFailedError(f"{name} ended with exit code {child.exit_code}: {full}", SPACE_HINT)
        said = re.search(r"^error: (.*)$", complaint, re.MULTILINE)
        why = said[1] if said else (complaint.splitlines() or ["it said nothing"])[-1]
        return ProcessFailedError(
            f"{name} ended with exit code {child.exit_code}: {why}",
            f"see {commands.stderr_file(name, self._options)} and {commands.log_file(name, self._options)}",
        )

    def _too_slow(self, healthy: Mapping[str, StackProcess]) -> ProcessFailedError:
        missing = [name for name in self._children if name not in healthy]
        full = lack_of_space(self._options.home)
        if full:
            return ProcessFailedError(f"{', '.join(missing)} did not become healthy: {full}", SPACE_HINT)
        return ProcessFailedError(
            f"{', '.join(missing)} did not become healthy within {self._options.start_bound_s:g} s",
            f"see the log files in {self._options.logs}",
        )

    def _end_children(self) -> None:
        for child in self._children.values():
            child.kill()
        self._children = {}

    def _kill_all(self) -> None:
        """End at once what still runs and take it out of the record."""
        atexit.unregister(self._kill_all)
        pids = [child.pid for child in self._children.values()]
        self._end_children()
        self._processes = {}
        if pids:
            remove_processes(self._options.stack_file, pids)


def _end(children: Sequence[Child], bound_s: float) -> None:
    """Ask the children to stop and wait for them, `bound_s` in all; kill the rest."""
    for child in children:
        if child.exit_code is None:
            child.terminate()
    deadline_s = time.monotonic() + bound_s
    for child in children:
        if not child.wait(deadline_s - time.monotonic()):
            child.kill()


def _port_in_use(name: str, port: int) -> PortInUseError:
    return PortInUseError(
        f"port {port} is in use, and {name} needs it",
        "--ports auto takes free ports; ./lab status shows what runs, ./lab down stops it",
    )
