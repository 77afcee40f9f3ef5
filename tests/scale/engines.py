"""The engines as programs: fetched from package registries into a folder of their own, once for each set of versions.

Kafka, Cassandra and OpenSearch are Java archives, the Collector and Jaeger are built from Go modules. A binary that
the environment names, `OTELCOL` or `JAEGER`, is used instead.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
FETCH_BOUND_S: Final = 600.0
BUILD_BOUND_S: Final = 3_600.0
JAEGER_PACKAGE: Final = "github.com/jaegertracing/jaeger/cmd/jaeger"
KUSTOMIZE_PACKAGE: Final = "sigs.k8s.io/kustomize/kustomize/v5"


@dataclass(frozen=True, slots=True)
class Engines:
    """Where the programs are: three folders of Java archives, two binaries."""

    kafka: Path
    cassandra: Path
    opensearch: Path
    collector: Path
    jaeger: Path


def fetched(cache: Path, environ: Mapping[str, str]) -> Engines:
    """Fetch and build what the cache lacks and the environment does not name. Minutes, the first time."""
    return Engines(
        _archives("kafka", cache, environ),
        _archives("cassandra", cache, environ),
        _archives("opensearch", cache, environ),
        Path(environ["OTELCOL"]) if environ.get("OTELCOL") else _built("collector", ".", cache, environ),
        Path(environ["JAEGER"]) if environ.get("JAEGER") else _built("jaeger", JAEGER_PACKAGE, cache, environ),
    )


def greeter(cache: Path, environ: Mapping[str, str]) -> Path:
    """Build the greeter in Go, unless the cache has it."""
    return _built("greeter", ".", cache, environ)


def kustomize(cache: Path, environ: Mapping[str, str]) -> Path:
    """Build kustomize, unless the cache has it."""
    return _built("kustomize", KUSTOMIZE_PACKAGE, cache, environ)


def _archives(name: str, cache: Path, environ: Mapping[str, str]) -> Path:
    folder = cache / f"{name}-{_digest(HERE / name)}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        fetching = folder.with_suffix(".part")
        shutil.rmtree(fetching, ignore_errors=True)
        pom = str(HERE / name / "pom.xml")
        command = ["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={fetching}"]
        subprocess.run(command, env=environ, check=True, timeout=FETCH_BOUND_S)
        fetching.rename(folder)
    return folder


def _built(name: str, package: str, cache: Path, environ: Mapping[str, str]) -> Path:
    program = cache / f"{name}-{_digest(HERE / name)}"
    if not program.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        # Of a part only: what the compiler was ended in the midst of is no program.
        building = program.with_suffix(".part")
        command = ["go", "build", "-ldflags=-s -w", "-o", str(building), package]
        subprocess.run(command, cwd=HERE / name, env=environ, check=True, timeout=BUILD_BOUND_S)
        building.rename(program)
    return program


def _digest(folder: Path) -> str:
    """Name the versions: what of a folder says which they are, in eight letters."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]
