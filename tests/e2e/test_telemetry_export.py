"""A dead or slow backend: it costs nothing while a process works, and three seconds at most when it ends."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.inprocess.instrument.sinks import GrpcSink

# The bound is three seconds; the interpreter's own start and end, on a busy machine, come on top.
EXIT_BOUND_S = 3.5


@dataclass
class Run:
    lines: list[dict[str, Any]]
    worked_s: float
    ended_s: float
    stderr: list[str]
    process_s: float

    def events(self, *names: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] in names]


def run(endpoint: str, *arguments: str, **variables: str) -> Run:
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "GRPC_VERBOSITY": "NONE", **variables}
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "tests.e2e.telemetry_program", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    took_s = time.monotonic() - began_s
    *stderr, last = done.stderr.splitlines()
    return Run(
        [json.loads(line) for line in done.stdout.splitlines()], **json.loads(last), stderr=stderr, process_s=took_s
    )


@pytest.fixture
def dead() -> Iterator[str]:
    """An address that refuses connections: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def slow() -> Iterator[str]:
    sink = GrpcSink(hold=True)
    yield sink.endpoint
    sink.close()


@pytest.mark.parametrize("how", ["shutdown", "exit"])
@pytest.mark.parametrize("backend", ["dead", "slow"])
def test_a_backend_that_is_dead_or_slow_never_holds_up_the_end(
    request: pytest.FixtureRequest, backend: str, how: str
) -> None:
    ended = run(request.getfixturevalue(backend), how, "3000")

    assert ended.ended_s <= EXIT_BOUND_S
    assert ended.process_s - ended.worked_s <= EXIT_BOUND_S + 5


def test_the_number_of_lost_spans_and_logs_is_logged_at_the_end(dead: str) -> None:
    ended = run(dead, "shutdown", "3000")

    (dropped,) = ended.events("telemetry.dropped")
    assert (dropped["span_count"], dropped["dropped_span_count"]) == (3000, 3000)
    assert (dropped["log_count"], dropped["dropped_log_count"]) == (30, 30)


def test_a_failing_export_is_reported_once_and_without_a_stack(dead: str) -> None:
    ended = run(dead, "shutdown", "3000", OTEL_BSP_SCHEDULE_DELAY="20", OTEL_EXPORTER_OTLP_TIMEOUT="1")

    assert len(ended.events("export.failed")) <= 1
    assert {line["event"] for line in ended.lines} <= {"work.done", "export.failed", "telemetry.dropped"}
    assert ended.stderr == []


def test_a_quiet_process_says_nothing_about_exporting(dead: str) -> None:
    ended = run(dead, "shutdown", "300", "quiet", OTEL_BSP_SCHEDULE_DELAY="20", OTEL_EXPORTER_OTLP_TIMEOUT="1")

    assert {line["event"] for line in ended.lines} == {"work.done"}
    assert ended.stderr == []
    assert ended.ended_s < 2.0  # it does not wait for a backend that isn't there


def test_with_a_backend_that_answers_nothing_is_lost() -> None:
    sink = GrpcSink()
    ended = run(sink.endpoint, "exit", "1500")
    sink.close()

    assert ended.events("telemetry.dropped", "export.failed") == []
    assert len(sink.received.span_names()) == 1500
    assert sink.received.log_bodies() == ["work.done"] * 15
