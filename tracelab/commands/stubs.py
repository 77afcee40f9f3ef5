"""`lab stubs`: makes `generated/` from `proto/`, byte for byte as it is committed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import typer

from clients.errors import LabError
from tracelab.stack.command_lines import ROOT

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_OUTPUTS: Final = ("--python_out=.", "--grpc_python_out=.", "--mypy_out=.", "--mypy_grpc_out=.")


@app.command()
def stubs() -> None:
    """Make the stubs in generated/ from proto/.

    \b
      lab stubs
    """
    protos = sorted((ROOT / "proto").glob("*.proto"))
    words = [sys.executable, "-m", "grpc_tools.protoc", "-Igenerated=proto", *_OUTPUTS]
    made = subprocess.run(
        [*words, *(f"generated/{proto.name}" for proto in protos)],
        cwd=ROOT,
        env=tools_environ(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    if made.returncode != 0:
        raise LabError(f"protoc: {made.stderr.strip() or 'failed'}", "the protos are in proto/")
    # In a process of its own: it reads the stubs that were made just now.
    config = subprocess.run(
        [sys.executable, "-m", "tracelab.service_config"], cwd=ROOT, env=tools_environ(), capture_output=True, text=True
    )
    if config.returncode != 0:
        raise LabError(f"the service config: {config.stderr.strip().splitlines()[-1]}", "the protos are in proto/")
    print(f"made generated/ from {', '.join(proto.name for proto in protos)}")


def tools_environ() -> dict[str, str]:
    """The environment in which our environment's own tools (protoc's plugins, buf, ruff) are found first."""
    scripts = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")])}
