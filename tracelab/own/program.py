"""A program that is not ours, to be traced: which interpreter runs it, what it lacks, what environment it gets."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from clients.errors import WrongUsageError

ROOT: Final = Path(__file__).resolve().parents[2]
INJECTED: Final = Path(__file__).resolve().parent / "injected"
RUN_ID_ATTRIBUTE: Final = "lab.run.id"
"""The resource attribute by which what a run sent is found again."""
SCHEDULE_DELAY_MS: Final = "200"
PROBE_TIMEOUT_S: Final = 20.0
LEAST_PYTHON: Final = (3, 11)
PACKAGES: Final = (
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp",
    "opentelemetry-instrumentation-grpc",
    "structlog",
    "orjson",
)
"""What tracing a Python program needs in its environment, or brought along."""
_MODULES: Final = (
    "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.grpc", "opentelemetry.instrumentation.grpc", "structlog",
    "orjson",
)  # fmt: skip
# Runs in the other interpreter: what it is, and which of the modules it cannot find.
_PROBE: Final = """
import importlib.util, json, sys
def has(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
print(json.dumps({"version": list(sys.version_info[:2]), "tag": sys.implementation.cache_tag,
                  "missing": [name for name in sys.argv[1:] if not has(name)]}))
"""
_PYTHON_NAME: Final = re.compile(r"(python|pypy)\d*(\.\d+)*(\.exe)?", re.IGNORECASE)
_OPTIONS_WITH_WORD: Final = ("-X", "-W", "--check-hash-based-pycs")


@dataclass(frozen=True, slots=True)
class Program:
    """A command line to run; `interpreter` is the Python that runs it, None where it is something else."""

    words: tuple[str, ...]
    service_name: str
    interpreter: str | None
    brings_packages: bool = False


def program_of(words: Sequence[str], name: str = "", python: str = "") -> Program:
    """Read what `lab run` was given. WrongUsageError for a program that is not there."""
    words = list(words)
    if python:
        words = [python, *(words[1:] if _is_python(words[0]) else words)]
    found = shutil.which(words[0])
    if found is None:
        raise WrongUsageError(f"{words[0]!r} is no program that can be run", "lab run -- python app.py")
    is_python = bool(python) or _is_python(words[0])
    return Program((found, *words[1:]), name or _name_of(words, is_python=is_python), found if is_python else None)


def prepared(program: Program) -> Program:
    """Ask the interpreter whether it can be traced, and bring our packages along where it lacks them.

    WrongUsageError with the one line that helps, where ours do not fit it.
    """
    if program.interpreter is None:
        return program
    version, tag, missing = _probed(program.interpreter)
    if version < LEAST_PYTHON:
        needed, has = (".".join(map(str, each)) for each in (LEAST_PYTHON, version))
        raise WrongUsageError(f"{program.interpreter} is Python {has}; tracing needs {needed} or later")
    if missing and tag != sys.implementation.cache_tag:
        raise WrongUsageError(f"{program.interpreter} lacks {', '.join(missing)}", install_line(program.interpreter))
    return Program(program.words, program.service_name, program.interpreter, brings_packages=bool(missing))


def install_line(interpreter: str) -> str:
    """The command that gives an interpreter what it lacks."""
    wanted = " ".join(f"{package}=={metadata.version(package)}" for package in PACKAGES)
    return f"{interpreter} -m pip install {wanted}"


def program_environ(program: Program, environ: Mapping[str, str], otlp_endpoint: str, run_id: str) -> dict[str, str]:
    """What the program gets: the standard variables, and for Python the folder whose `sitecustomize` traces it."""
    made = dict(environ)
    attributes = [made.get("OTEL_RESOURCE_ATTRIBUTES", ""), f"{RUN_ID_ATTRIBUTE}={run_id}"]
    made |= {
        "OTEL_SERVICE_NAME": program.service_name,
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_endpoint,
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(filter(None, attributes)),
        "LAB_RUN_ROOT": str(ROOT),
        "LAB_RUN_INSTALL": install_line(program.interpreter or "python"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(INJECTED), made.get("PYTHONPATH", "")])),
    }
    for name, value in {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_BSP_SCHEDULE_DELAY": SCHEDULE_DELAY_MS,
        "OTEL_BLRP_SCHEDULE_DELAY": SCHEDULE_DELAY_MS,
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
    }.items():
        made.setdefault(name, value)
    if program.brings_packages:
        made["LAB_RUN_PACKAGES"] = sysconfig.get_paths()["purelib"]
    return made


def _probed(interpreter: str) -> tuple[tuple[int, ...], str, list[str]]:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            [interpreter, "-c", _PROBE, *_MODULES],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=True,
            env=environ,
        )
        found = json.loads(done.stdout)
        return tuple(found["version"]), found["tag"], [_package_of(name) for name in found["missing"]]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise WrongUsageError(f"{interpreter} does not run as a Python", "--python PATH names another") from error


def _package_of(module: str) -> str:
    return dict(zip(_MODULES, PACKAGES, strict=True))[module]


def _is_python(word: str) -> bool:
    return _PYTHON_NAME.fullmatch(Path(word).name) is not None


def _name_of(words: Sequence[str], *, is_python: bool) -> str:
    if not is_python:
        return Path(words[0]).stem
    rest = iter(words[1:])
    for word in rest:
        if word == "-m":
            return next(rest, "python")
        if word in _OPTIONS_WITH_WORD:
            next(rest, None)
        elif word == "-c":
            break
        elif not word.startswith("-"):
            return Path(word).stem
    return "python"
