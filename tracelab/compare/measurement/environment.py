"""Where a run was made: versions and machine, recorded in it and asked before two runs are compared."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, slots=True)
class Environment:
    """Versions and machine of a run. `load_before` and `load_after` are one-minute averages, None where unknown."""

    python: str
    grpcio: str
    opentelemetry: str
    lab: str
    commit: str
    os: str
    cpu_model: str
    core_count: int
    load_before: float | None = None
    load_after: float | None = None

    def why_not_comparable(self, other: Environment) -> str:
        """What differs that latencies depend on; "" if nothing does."""
        pairs = {
            "CPU": (self.cpu_model, other.cpu_model),
            "cores": (self.core_count, other.core_count),
            "Python": (self.python, other.python),
            "grpcio": (self.grpcio, other.grpcio),
        }
        differing = [f"{name} {then} then, {now} now" for name, (now, then) in pairs.items() if now != then]
        return "; ".join(differing)

    @property
    def crowded(self) -> bool:
        """Whether the machine had more to do than cores before the run began."""
        return self.load_before is not None and self.load_before > self.core_count


def record_environment(root: Path) -> Environment:
    """Describe this machine; `root` is the lab's folder, for its commit."""
    return Environment(
        python=platform.python_version(),
        grpcio=_version("grpcio"),
        opentelemetry=_version("opentelemetry-sdk"),
        lab=_version("grpc-trace-lab"),
        commit=_commit(root),
        os=f"{platform.system()} {platform.release()}",
        cpu_model=_cpu_model(),
        core_count=os.cpu_count() or 1,
        load_before=load_average(),
    )


def load_average() -> float | None:
    """The load of the last minute; None where the system has no such figure."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _commit(root: Path) -> str:
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
