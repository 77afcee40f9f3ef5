"""What a stack consists of and how it is started: values alone, without reading the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from clients.discovery.defaults import LOOPBACK, PROCESSES
from clients.discovery.home import RECORD_NAME

_NOTHING: Mapping[str, str] = MappingProxyType({})
_NOTHING_EACH: Mapping[str, Mapping[str, str]] = MappingProxyType({})

StartMethod = Literal["fork", "spawn"]


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """How to start a stack.

    `home` takes the store, the log files and the record of who runs where. `ports="auto"` takes free ones, again if one
    was taken meanwhile. `only` names the processes to start; empty means all four. `store` is the backend's SQLite file
    (default: in `home`). `witness` gives each service a witness file. `addresses` and `otlp_endpoint` say where what is
    not started runs; without `otlp_endpoint` and a backend the processes keep what their environment says.
    `api` is the services' `--api`; "" leaves that to the environment.
    `process_environ` adds variables to one process. `detached` processes outlive the one that started them.
    `record_file` is where the record goes (default: `stack.json` in `home`). `otlp_port` is the backend's of OTLP over
    gRPC, if others are told: 0 leaves it to `ports`.
    `start_method`: several processes are forked from one that has loaded their modules, where that can be done.
    `spawn` is for whoever measures them: each process then has its memory for itself.
    `follows_tls_variables`: with `LAB_TLS_*` in the environment everything speaks TLS; without it these variables are
    kept from the processes.
    """

    home: Path
    ports: Literal["default", "auto"] = "default"
    host: str = LOOPBACK
    only: tuple[str, ...] = ()
    store: Path | None = None
    allow_faults: bool = False
    witness: bool = False
    channel_options: tuple[str, ...] = ()
    api: str = ""
    jaeger_ui: Path | None = None
    addresses: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    otlp_endpoint: str = ""
    process_environ: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: _NOTHING_EACH)
    detached: bool = False
    start_method: StartMethod = "fork"
    record_file: Path | None = None
    start_bound_s: float = 20.0
    otlp_port: int = 0
    follows_tls_variables: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The processes to start, in the order in which they are shown."""
        return tuple(name for name in PROCESSES if not self.only or name in self.only)

    @property
    def store_file(self) -> Path:
        """The backend's SQLite file."""
        return self.store or self.home / "telemetry.sqlite"

    @property
    def logs(self) -> Path:
        """The folder of the log files."""
        return self.home / "logs"

    @property
    def stack_file(self) -> Path:
        """The record of who runs where."""
        return self.record_file or self.home / RECORD_NAME
