"""The real services on free ports, and the real demo run against them, for tests and pictures of the page."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.polling import eventually
from tracelab.stack import Stack, StackOptions

ROOT = Path(__file__).resolve().parents[2]
DEMO_SPAN_COUNT = 6
"""Spans of the demo's report call: three calls, both sides of each."""


@dataclass(frozen=True)
class RealStack:
    """A running stack and what it takes to call it."""

    stack: Stack
    environ: dict[str, str]

    @property
    def url(self) -> str:
        """Where the page is."""
        return self.stack.query_url

    def demo(self) -> str:
        """Run the demo once; return the id of its report trace when all of it is stored."""
        run = subprocess.run(
            [sys.executable, "-m", "clients.demo"],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        trace_id = run.stderr.strip().rsplit("/", 1)[-1]
        eventually(lambda: self._known(trace_id), until=lambda known: known >= (DEMO_SPAN_COUNT, 1), within_s=15)
        return trace_id

    def _known(self, trace_id: str) -> tuple[int, int]:
        answer = httpx.get(f"{self.url}/api/lab/traces/{trace_id}/analysis")
        if answer.status_code != 200:
            return 0, 0
        found = answer.json()
        return len(found["spans"]), len(found["logs"])


@contextlib.contextmanager
def real_stack(home: Path) -> Iterator[RealStack]:
    """Start backend and services with their files under `home`; stop them at the end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LAB_"))}
    environ = kept | {"LAB_HOME": str(home)}
    with Stack.start(StackOptions(home=home, ports="auto", allow_faults=True), environ) as stack:
        environ |= {f"{name.upper()}_ADDRESS": stack.address(name) for name in ("user", "order", "report")}
        environ |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "LAB_QUERY_URL": stack.query_url,
        }
        yield RealStack(stack, environ)
