"""What only the usual ports can show, each test in a network of its own."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab_process import FOUR_LINES, Lab, living
from tests.e2e.own_network import own_network, own_network_is_possible
from tests.polling import eventually

pytestmark = pytest.mark.skipif(
    not own_network_is_possible(), reason="the usual ports are only used in a network of the test's own"
)


@pytest.fixture(name="lab")
def _lab(tmp_path: Path) -> Iterator[Lab]:
    """A home, and a network in which nobody listens; what is left running in it is stopped."""
    with own_network() as inside:
        lab = Lab(tmp_path / "home", tuple(inside))
        yield lab
        lab.run("down")


def test_the_demo_takes_the_usual_ports_and_leaves_a_trace_that_can_be_read_afterwards(lab: Lab) -> None:
    done = lab.run("demo")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert set(lines[:4]) == {
        "backend  OTLP/gRPC 127.0.0.1:4317, OTLP/HTTP :4318, page and query :16686",
        "user     127.0.0.1:50051",
        "order    127.0.0.1:50052",
        "report   127.0.0.1:50053",
    }
    assert lines[4:8] == FOUR_LINES
    command = next(line for line in lines if "./lab trace" in line).split()[2:]
    shown = lab.run(*command)
    assert shown.returncode == 0, shown.stderr
    assert "ReportService/GetUserReport" in shown.stdout


def test_a_second_up_finds_everything_running_and_down_stops_it(lab: Lab) -> None:
    first, second = lab.json("up", "-d"), lab.json("up", "-d")
    assert first == second
    pids = [entry["pid"] for entry in first["processes"]]
    proof = lab.json("demo")
    assert (proof["proof"], set(proof["peak_rss_mb"]) == {"backend", "user", "order", "report"}) == ("full", True)
    assert lab.run("down").returncode == 0
    assert living(pids) == []


def test_only_the_backend_can_be_started_and_the_demo_starts_the_rest(lab: Lab) -> None:
    started = lab.json("up", "-d", "--only", "backend")
    health = {entry["name"]: entry["health"] for entry in started["processes"]}
    assert health == {"backend": "healthy", "user": "absent", "order": "absent", "report": "absent"}
    done = lab.run("demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert "OTLP     http://127.0.0.1:4317 (already running, used)" in done.stdout
    assert "Proof: full" in done.stdout
    assert json.loads(lab.run("status", "--json").stdout)["processes"][0]["health"] == "healthy"


def test_a_port_in_use_is_named_with_the_option_that_moves_it(lab: Lab) -> None:
    other = Lab(lab.home.parent / "other", lab.inside)
    try:
        other.json("up", "-d", "--only", "backend")
        # The same ports under another home, and only half of a backend that can be recognised.
        done = lab.run("up", "--only", "backend", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    finally:
        other.run("down")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert "--ports auto" in done.stderr


def test_two_demos_at_once_take_their_turn_and_both_prove_their_trace(lab: Lab) -> None:
    running = [lab.start("demo") for _ in range(2)]
    ended = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0], ended
    assert ["Proof: full" in out for out, _ in ended] == [True, True]
    assert sum("waiting for it" in err for _, err in ended) <= 1
    assert lab.record() is None


def test_an_endpoint_that_is_named_and_dead_fails_the_demo_without_a_wait(lab: Lab) -> None:
    done = lab.run("demo", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "http://127.0.0.1:9 (named by OTEL_EXPORTER_OTLP_ENDPOINT, does not answer)" in done.stdout
    assert [line for line in done.stdout.splitlines() if line in FOUR_LINES] == FOUR_LINES
    assert "the trace cannot be read back: nothing listens at the exporter's endpoint" in done.stderr


def test_a_service_that_hangs_or_died_is_told_by_its_pid(lab: Lab) -> None:
    lab.json("up", "-d")
    record = lab.record()
    assert record is not None
    pids = {process.name: process.pid for process in record.processes}
    os.kill(pids["report"], signal.SIGSTOP)
    try:
        hung = lab.run("demo")
        os.kill(pids["user"], signal.SIGKILL)
        eventually(lambda: not living([pids["user"]]))
        shown = lab.run("status").stdout
    finally:
        os.kill(pids["report"], signal.SIGCONT)
    assert (hung.returncode, hung.stdout) == (1, "")
    assert f"report (pid {pids['report']}) runs and does not answer" in hung.stderr
    assert f"(was pid {pids['user']})" in shown
