"""OpenTelemetry's Node exporters, installed once from `tests/node` into a git-ignored folder, and run as a process."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "node"
LEAST_NODE = (20, 6)
INSTALL_TIMEOUT_S = 180
SEND_TIMEOUT_S = 60
WAYS = ("grpc", "protobuf", "json")


def installed() -> Path:
    """Return the folder of the locked packages, installing them if need be; skips where that cannot be done.

    With CI set a failed installation fails. Two runs at once may both install; the first to end is kept.
    """
    npm = _tools()
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = SOURCE / ".cache" / hashlib.sha256(lock).hexdigest()[:16]
    if folder.is_dir():
        return folder
    making = folder.with_name(f"{folder.name}.{os.getpid()}")
    making.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(SOURCE / name, making)
    arguments = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    reason = ""
    try:
        subprocess.run(arguments, cwd=making, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
        making.rename(folder)
    except subprocess.TimeoutExpired:
        reason = f"not done within {INSTALL_TIMEOUT_S} s"
    except subprocess.CalledProcessError as error:
        reason = str(error.stderr)[-600:]
    except OSError:
        assert folder.is_dir()
    if making.exists():
        shutil.rmtree(making)
    if reason:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse(f"npm ci in {SOURCE} failed: {reason}")
    return folder


def send(folder: Path, otlp_grpc: str, otlp_http: str, trace_ids: Mapping[str, str], start_unix_ms: int) -> None:
    """Send the known trace and logs by each way; AssertionError says what an exporter was refused."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")} | {
        "OTLP_GRPC_URL": f"http://{otlp_grpc}",
        "OTLP_HTTP_URL": otlp_http,
        "START_UNIX_MS": str(start_unix_ms),
        "TRACE_IDS": json.dumps(dict(trace_ids)),
    }
    # Read from standard input, the script finds its packages in the folder where it runs.
    ended = subprocess.run(
        ["node", "--input-type=module", "-"],
        cwd=folder,
        env=environ,
        input=(SOURCE / "send.mjs").read_text("utf-8"),
        encoding="utf-8",
        capture_output=True,
        timeout=SEND_TIMEOUT_S,
    )
    assert ended.returncode == 0, ended.stderr


def _tools() -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no Node.js with npm found: install one to send with its exporters")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30).stdout.strip()
    if tuple(int(part) for part in said.removeprefix("v").split(".")[:2]) < LEAST_NODE:
        pytest.skip(f"Node.js {said} is older than the exporters need: {'.'.join(map(str, LEAST_NODE))}")
    return npm
