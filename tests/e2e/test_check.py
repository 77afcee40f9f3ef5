"""`lab check` on other people's servers: both greeters by each instrumentation, behind TLS, in Node, without any."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from clients.discovery.probes import accepts_connections
from tests.conformance import node_sender
from tests.e2e.lab_process import Lab, environment
from tests.e2e.outsiders import hello_folder, started, with_tls
from tracelab.stack import Stack, StackOptions

pytestmark = pytest.mark.timeout(300)

METHODS = {
    "Greeter/SayHello": '{"name": "Ana"}',
    "Greeter/CountDown": '{"from": 60}',
    "Greeter/SayHelloToAll": '{"name": "Ana"}',
    "Greeter/Chat": '{"name": "Ana"}',
}
NAMED = [word for name, data in METHODS.items() for word in ("--method", f"{name}={data}")]


@pytest.fixture(name="lab", scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("check") / "home")
    with Stack.start(StackOptions(home=lab.home, ports="auto", only=("backend",)), environment(lab.home)):
        yield lab


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hello_folder(tmp_path_factory.mktemp("hello"))


def traced(*words: str) -> list[str]:
    """The command that runs a program of somebody else's with the telemetry of `lab run`."""
    return [sys.executable, "-P", "-m", "clients.cli", "run", "--name", "greeter", "--", *words]


def checked(lab: Lab, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code of a check, and what it found."""
    done: subprocess.CompletedProcess[str] = lab.run("check", *words, "--trace-wait", "20", "--json")
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


def verdicts(found: dict[str, Any], *endings: str) -> dict[tuple[str, str], str]:
    """The verdict of each call by method and ending; of these endings alone, where some are given."""
    return {
        (call["method"].rpartition("/")[2], call["ending"]): call["verdict"]
        for call in found["calls"]
        if not endings or call["ending"] in endings
    }


@pytest.mark.parametrize("script", ["greeter_server.py", "greeter_aio_server.py"])
def test_with_the_corrected_instrumentation_nothing_is_wrong(lab: Lab, folder: Path, script: str) -> None:
    words = traced(sys.executable, script, "--port", "0")
    with started(words, folder, environment(lab.home), f"corrected-{script}") as greeter:
        code, found = checked(lab, greeter.address, *NAMED)

    assert (code, found["wrong_count"]) == (0, 0), found
    said = verdicts(found)
    assert len(said) == 13
    assert said["CountDown", "deadline"] == said["CountDown", "cancel"] == "true"
    assert said["SayHelloToAll", "deadline"] == said["Chat", "deadline"] == "true"
    assert said["SayHelloToAll", "cancel"] == "unknown", "Python cannot tell a cancel from a refusal there"
    assert said["NoSuchMethod", "unknown method"] == "true"


@pytest.mark.parametrize("script", ["greeter_server.py", "greeter_aio_server.py"])
def test_what_the_stock_instrumentation_gets_wrong_is_said(lab: Lab, folder: Path, script: str) -> None:
    words, environ = traced(sys.executable, script, "--port", "0"), environment(lab.home, LAB_INSTRUMENTATION="stock")
    with started(words, folder, environ, f"stock-{script}") as greeter:
        code, found = checked(lab, greeter.address, *NAMED)

    assert code == 1
    assert set(verdicts(found, "answer").values()) == {"true"}
    faults = {(call["method"].rpartition("/")[2], call["ending"]): call["faults"] for call in found["calls"]}
    assert "says OK, not DEADLINE_EXCEEDED" in faults["CountDown", "deadline"]
    assert "says OK, not CANCELLED" in faults["CountDown", "cancel"]
    assert "says OK, not DEADLINE_EXCEEDED" in faults["Chat", "deadline"]
    assert "says OK, not CANCELLED" in faults["Chat", "cancel"]
    assert faults["NoSuchMethod", "unknown method"] == ["the call is in no span"]


def test_a_server_behind_tls_is_checked(lab: Lab, folder: Path) -> None:
    with_tls(folder)
    tls = ["--ca", str(folder / "ca.pem"), "--server-name", "greeter.test"]
    with started(traced(sys.executable, "tls_server.py"), folder, environment(lab.home), "tls") as greeter:
        code, found = checked(lab, greeter.address, *tls, "--method", 'Greeter/CountDown={"from": 60}')

    assert (code, found["wrong_count"]) == (0, 0), found
    assert verdicts(found)["CountDown", "deadline"] == "true"


def test_a_server_in_node_goes_through_run_and_call_and_check(lab: Lab, folder: Path) -> None:
    packages = node_sender.installed() / "node_modules"
    words = traced("node", "--require", "./tracing.cjs", "greeter_server.cjs", "--port", "0")
    environ = environment(lab.home, NODE_PATH=str(packages))
    proto = ("--proto", str(folder / "hello.proto"))
    with started(words, folder, environ, "node") as greeter:
        answer = lab.json("call", greeter.address, "Greeter/SayHello", '{"name": "Ana"}', *proto, "--trace-wait", "20")
        code, found = checked(lab, greeter.address, *proto, *NAMED)

    assert answer["responses"] == [{"message": "Hello, Ana!"}]
    assert answer["trace_services"] == ["cli", "greeter"]
    assert code == 1
    assert {call["scope"].split()[0] for call in found["calls"] if call["scope"]} == {
        "@opentelemetry/instrumentation-grpc"
    }
    assert set(verdicts(found, "answer").values()) == {"true"}
    assert verdicts(found)["CountDown", "deadline"] == "wrong"
    assert verdicts(found)["NoSuchMethod", "unknown method"] == "wrong"


def test_a_backend_is_started_where_the_server_exports_to(folder: Path, tmp_path: Path) -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {
        "PATH": os.environ["PATH"],
        "NODE_PATH": str(node_sender.installed() / "node_modules"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    words = ["node", "--require", "./tracing.cjs", "greeter_server.cjs", "--port", "0"]
    called = ("--proto", str(folder / "hello.proto"), "--method", 'Greeter/SayHello={"name": "Ana"}')
    with started(words, folder, environ, "elsewhere") as greeter:
        _, found = checked(Lab(tmp_path / "home"), greeter.address, "--otlp", str(port), *called)

    assert verdicts(found, "answer") == {("SayHello", "answer"): "true"}
    assert not accepts_connections(f"127.0.0.1:{port}"), "it ended with the check"


def test_a_server_whose_spans_do_not_come_is_told_what_to_set(lab: Lab, folder: Path) -> None:
    words = [sys.executable, "greeter_server.py", "--port", "0"]
    with started(words, folder, {"PATH": os.environ["PATH"]}, "silent") as greeter:
        done = lab.run("check", greeter.address, "--method", "Greeter/SayHello", "--trace-wait", "0.3")

    assert done.returncode == 3
    assert f"error: no span of {greeter.address} has come within 0.3 s" in done.stderr
    assert "hint: set OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "error: no method may be called: none has idempotency_level = NO_SIDE_EFFECTS"),
        (["--otlp", "elsewhere:4317"], "error: --otlp: 'elsewhere:4317' is no port of this machine"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(lab: Lab, folder: Path, words: Sequence[str], said: str) -> None:
    with started([sys.executable, "greeter_server.py", "--port", "0"], folder, {"PATH": os.environ["PATH"]}) as greeter:
        done = lab.run("check", greeter.address, *words)

    assert (done.returncode, done.stderr.splitlines()[0]) == (2, said)
