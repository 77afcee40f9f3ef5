"""A service as a process of its own: started on a free port, witnessed, killed at the end of the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.polling import eventually

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 20.0


@dataclass
class ServiceProcess:
    """One `python -m services.…_service`."""

    process: subprocess.Popen[bytes]
    folder: Path
    name: str

    @property
    def address(self) -> str:
        return str(self.ready()["addresses"]["grpc"])

    def ready(self) -> dict[str, Any]:
        path = self.folder / f"{self.name}.ready.json"

        def read() -> dict[str, Any]:
            assert self.process.poll() is None, f"{self.name} ended: {self.stderr()}"
            return dict(json.loads(path.read_text())) if path.exists() else {}

        return eventually(read, within_s=30.0)

    def lines(self) -> list[dict[str, Any]]:
        """Return the log lines of standard output."""
        return [json.loads(line) for line in (self.folder / f"{self.name}.out").read_text().splitlines()]

    def stderr(self) -> str:
        return (self.folder / f"{self.name}.err").read_text()

    def witness(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / f"{self.name}.witness").read_text().splitlines()]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=TIMEOUT_S)


Start = Callable[..., ServiceProcess]


@contextmanager
def service_processes(folder: Path) -> Iterator[Start]:
    """Yield what starts `python -m services.NAME_service`; what still runs at the end is killed."""
    started: list[ServiceProcess] = []

    def start_one(name: str, *arguments: str, port: int = 0, label: str = "", **environ: str) -> ServiceProcess:
        label = label or name
        files = {each: folder / f"{label}.{each}" for each in ("ready.json", "witness", "out", "err")}
        files["ready.json"].unlink(missing_ok=True)
        command = [sys.executable, "-m", f"services.{name}_service", "--port", str(port)]
        command += ["--ready-file", str(files["ready.json"]), "--witness", str(files["witness"]), *arguments]
        exporters = {f"OTEL_{signal_name}_EXPORTER": "none" for signal_name in ("TRACES", "LOGS", "METRICS")}
        with files["out"].open("ab") as out, files["err"].open("ab") as err:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=out, stderr=err, env={**os.environ, **exporters, **environ}
            )
        started.append(ServiceProcess(process, folder, label))
        return started[-1]

    try:
        yield start_one
    finally:
        for each in started:
            with suppress(ProcessLookupError):
                each.process.kill()
            each.process.wait(timeout=TIMEOUT_S)
