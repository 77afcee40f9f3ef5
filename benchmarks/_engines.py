"""The engines that `benchmarks.engines` compares: each a process with a fresh store, bound to one core."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 60.0
POLL_S = 0.1
JAEGER_STORAGES = {
    "memory": {"memory": {"max_traces": 1_000_000}},
    "badger": {"badger": {"ephemeral": False, "directories": {"keys": "keys", "values": "values"}}},
}


@dataclass(frozen=True, slots=True)
class Running:
    """An engine that takes spans at `otlp` and answers at `query`, both host:port; its store is in `folder`."""

    processes: tuple[psutil.Process, ...]
    otlp: str
    query: str
    folder: Path | None

    def cpu_ns(self) -> int:
        """Return the processor time so far, of all its processes."""
        times = [process.cpu_times() for process in self.processes]
        return round(sum(each.user + each.system for each in times) * 1e9)

    def resident_bytes(self) -> int:
        """Return the memory of all its processes."""
        return sum(process.memory_info().rss for process in self.processes)

    def stored_bytes(self) -> int:
        """Return what its folder takes, 0 where it is not known; Badger's files are far longer than what they hold."""
        if self.folder is None:
            return 0
        stats = [file.stat() for file in self.folder.rglob("*") if file.is_file()]
        return sum(each.st_blocks * 512 if hasattr(each, "st_blocks") else each.st_size for each in stats)


@dataclass(frozen=True, slots=True)
class Engine:
    """How to run one; `core` is the number of the processor that it is bound to."""

    name: str
    start: Callable[[Path], tuple[subprocess.Popen[bytes], Callable[[], tuple[str, str] | None]]]

    @contextmanager
    def running(self, folder: Path, core: int) -> Iterator[Running]:
        """Run it with a store in `folder` until the context ends."""
        child, addresses = self.start(folder)
        try:
            process = psutil.Process(child.pid)
            if hasattr(process, "cpu_affinity"):
                process.cpu_affinity([core])
            deadline_s = time.monotonic() + START_TIMEOUT_S
            while (found := addresses()) is None:
                if child.poll() is not None or time.monotonic() > deadline_s:
                    raise SystemExit(f"error: {self.name} did not start; see {folder / 'log'}")
                time.sleep(POLL_S)
            yield Running((process,), *found, folder)
        finally:
            child.terminate()
            child.wait(timeout=START_TIMEOUT_S)


def engines_of_jaeger(environ: Mapping[str, str]) -> list[Engine]:
    """Return Jaeger with each storage, if JAEGER names its binary; ends the program if that cannot be run."""
    binary = environ.get("JAEGER", "")
    if binary and not os.access(binary, os.X_OK):
        print(f"error: JAEGER={binary} is no program that can be run", file=sys.stderr)
        raise SystemExit(2)
    return [jaeger(storage, Path(binary).resolve()) for storage in JAEGER_STORAGES] if binary else []


def embedded(name: str, checkout: Path = ROOT) -> Engine:
    """Return the backend of a checkout, run with this Python."""

    def start(folder: Path) -> tuple[subprocess.Popen[bytes], Callable[[], tuple[str, str] | None]]:
        ready = folder / "ready.json"
        arguments = [
            "--store",
            str(folder / "store.sqlite"),
            "--ready-file",
            str(ready),
            "--max-bytes",
            str(8 * 1024**3),
        ]
        for port in ("otlp-grpc", "otlp-http", "query"):
            arguments += [f"--{port}-port", "0"]

        def addresses() -> tuple[str, str] | None:
            if not ready.exists():
                return None
            found = json.loads(ready.read_text("utf-8"))["addresses"]
            return found["otlp_grpc"], found["query"]

        return _spawn([sys.executable, "-m", "otel.backend", *arguments], folder, checkout), addresses

    return Engine(name, start)


def jaeger(storage: str, binary: Path) -> Engine:
    """Return Jaeger (version 2) with one of JAEGER_STORAGES."""

    def start(folder: Path) -> tuple[subprocess.Popen[bytes], Callable[[], tuple[str, str] | None]]:
        otlp, query, query_grpc, health = (f"127.0.0.1:{port}" for port in _free_ports(4))
        config = {
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query", "healthcheckv2"],
                "pipelines": {
                    "traces": {
                        "receivers": ["otlp"],
                        "processors": ["batch"],
                        "exporters": ["jaeger_storage_exporter"],
                    }
                },
                "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "error"}},
            },
            "extensions": {
                "jaeger_storage": {"backends": {"lab": JAEGER_STORAGES[storage]}},
                "jaeger_query": {
                    "storage": {"traces": "lab"},
                    "http": {"endpoint": query},
                    "grpc": {"endpoint": query_grpc},
                },
                "healthcheckv2": {"use_v2": True, "http": {"endpoint": health}},
            },
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": otlp}}}},
            "processors": {"batch": {}},
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "lab"}},
        }
        (folder / "jaeger.json").write_text(json.dumps(config), "utf-8")

        def addresses() -> tuple[str, str] | None:
            try:
                healthy = httpx.get(f"http://{health}/status").is_success
            except httpx.TransportError:
                return None
            return (otlp, query) if healthy else None

        return _spawn([str(binary), "--config", "jaeger.json"], folder, folder), addresses

    return Engine(f"Jaeger, {storage}", start)


def _spawn(command: list[str], folder: Path, cwd: Path) -> subprocess.Popen[bytes]:
    with (folder / "log").open("wb") as log:
        # Jaeger would trace itself, and send that to nobody.
        environment = {**os.environ, "OTEL_TRACES_SAMPLER": "always_off"}
        return subprocess.Popen(command, cwd=cwd, stdout=log, stderr=log, env=environment)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
