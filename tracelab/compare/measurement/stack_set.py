"""The lab of a comparison: one backend, and as many sets of services as the variants need, under `.lab/runs`.

Nothing of it turns up in the demo's store. Synchronous; used from one thread; everything ends with the context.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from clients.discovery.defaults import BACKEND, SERVICES
from tracelab.stack import Stack, StackOptions, StackProcess

RUNS_FOLDER = "runs"
# What a comparison makes goes to places of its own, which nobody else reads.
_OF_THE_SHELL = ("OTEL_EXPORTER_OTLP_", "LAB_STORE_URL", "LAB_QUERY_TOKEN")


def new_run_home(lab_home: Path) -> Path:
    """Make the folder of a new run, named by its time."""
    runs = lab_home / RUNS_FOLDER
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    for number in range(1, 1_000):
        home = runs / (moment if number == 1 else f"{moment}-{number}")
        try:
            home.mkdir(parents=True)
        except FileExistsError:
            continue
        return home
    raise FileExistsError(f"no free name for a run in {runs}")


class StackSet:
    """Starts the backend on entering, and sets of services as they are asked for."""

    def __init__(
        self, home: Path, environ: Mapping[str, str], on_healthy: Callable[[StackProcess], None] = lambda _: None
    ) -> None:
        self.home = home
        self.environ = {name: value for name, value in environ.items() if not name.startswith(_OF_THE_SHELL)}
        self._on_healthy = on_healthy
        self._stacks = ExitStack()
        self._backend: Stack | None = None
        self._sets: dict[str, Stack] = {}

    def __enter__(self) -> Self:
        options = StackOptions(home=self.home, ports="auto", only=(BACKEND,))
        self._backend = self._stacks.enter_context(Stack.start(options, self.environ, self._on_healthy))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stacks.close()

    @property
    def query_url(self) -> str:
        """Where the traces are read."""
        return self._running().query_url

    @property
    def otlp_endpoint(self) -> str:
        """Where telemetry goes."""
        return self._running().otlp_endpoint

    @property
    def store_file(self) -> Path:
        """The backend's file, which outlives the set."""
        return self._running().options.store_file

    def addresses(
        self, name: str, instrumentation: str, api: str = "aio", services: tuple[str, ...] = SERVICES
    ) -> Mapping[str, str]:
        """The services of a set, by service; started when they are first asked for. Raises StackError."""
        if name not in self._sets:
            options = StackOptions(
                home=self.home / name,
                ports="auto",
                only=services,
                allow_faults=True,
                otlp_endpoint=self.otlp_endpoint,
                api=api,
                start_method="spawn",
            )
            environ = {**self.environ, "LAB_INSTRUMENTATION": instrumentation}
            self._sets[name] = self._stacks.enter_context(Stack.start(options, environ, self._on_healthy))
        return {service: self._sets[name].address(service) for service in services}

    def stop_services(self) -> None:
        """End every set of services; their last spans are sent before they go."""
        for stack in self._sets.values():
            stack.stop()
        self._sets.clear()

    def _running(self) -> Stack:
        assert self._backend is not None, "a set of stacks is used inside its context"
        return self._backend
