"""A process of the stack, spawned or forked: to whoever started it there is no difference."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from clients.discovery.living import command_line_of
from clients.discovery.stack_record import ProcessRecord, StackRecord
from tests.e2e.lab_process import Lab, environment, living
from tests.polling import eventually
from tracelab.fork_server import ForkedProcess, ForkServer, ProcessStarter, client, loading_environment
from tracelab.stack.child_process import Child

Start = Callable[..., Child]
FORKS = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")


@pytest.fixture(name="start", params=["spawn", pytest.param("fork", marks=FORKS)])
def _start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Starts UserService, or another module, with more words; kills it at the end."""
    started: list[Child] = []

    def start(*words: str, module: str = "services.user_service", **variables: str) -> Child:
        ready_file = tmp_path / f"{len(started)}.ready"
        command = [sys.executable, "-P", "-m", module, *words, "--ready-file", str(ready_file), "--until-stdin-ends"]
        environ = loading_environment(environment(tmp_path, **variables))
        stderr_file = tmp_path / f"{len(started)}.stderr"  # each its own: a start empties it
        child = Child.start(module, command, environ, ready_file, stderr_file, is_held=True, start_method=request.param)
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()


@pytest.fixture
def new_fork_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One that this test makes: the worker's may be of a test with another environment, for which all are spawned."""
    servers: list[ForkServer] = []
    monkeypatch.setattr(client, "_servers", servers)
    yield
    for server in servers:
        server.close()


def test_a_process_that_was_started_serves_under_its_own_name_in_a_session_of_its_own(start: Start) -> None:
    child = start("--port", "0")
    assert eventually(lambda: sorted(child.addresses() or ()), within_s=30) == ["grpc"]
    assert child.exit_code is None
    command_line = command_line_of(ProcessRecord("user", child.pid, {}, ""))
    assert command_line[3] == "services.user_service"
    assert command_line[-1] == "--until-stdin-ends"
    assert os.getsid(child.pid) == child.pid


def test_a_process_that_is_asked_to_stop_ends_with_code_0_and_one_that_is_killed_with_its_signal(start: Start) -> None:
    asked, killed = start("--port", "0"), start("--port", "0")
    for child in (asked, killed):
        eventually(child.addresses, within_s=30)
    assert not asked.wait(0.0)
    asked.terminate()
    killed.kill()
    assert asked.wait(30.0)
    assert (asked.exit_code, killed.exit_code) == (0, -signal.SIGKILL)
    assert living([asked.pid, killed.pid]) == []


def test_a_process_that_refuses_its_command_line_ends_with_code_2_and_says_why(start: Start) -> None:
    child = start("--port", "none")
    assert child.wait(30.0)
    assert child.exit_code == 2
    assert "--port: 'none' is no port" in child.complaint()
    assert "Traceback" not in child.complaint()


def test_each_process_has_an_environment_of_its_own(start: Start) -> None:
    refuses, serves = start("--port", "0", LAB_API="nonsense"), start("--port", "0")
    eventually(serves.addresses, within_s=30)
    assert refuses.wait(30.0)
    assert "nonsense" in refuses.complaint()
    assert serves.exit_code is None


def test_the_backend_too_is_started_so(start: Start) -> None:
    ports = ("--otlp-grpc-port", "0", "--otlp-http-port", "0", "--query-port", "0")
    child = start(*ports, "--store", ":memory:", module="otel.backend")
    assert eventually(lambda: sorted(child.addresses() or ()), within_s=30) == ["otlp_grpc", "otlp_http", "query"]


@FORKS
@pytest.mark.usefixtures("new_fork_server")
@pytest.mark.parametrize("start", ["fork"], indirect=True)
def test_processes_are_forked_but_for_one_whose_environment_was_read_when_modules_were_loaded(start: Start) -> None:
    user, order = start("--port", "0"), start("--port", "0", module="services.order_service", LAB_API="sync")
    other = start("--port", "0", OTEL_PROPAGATORS="b3")
    parents = [psutil.Process(child.pid).ppid() for child in (user, order, other)]
    assert parents[0] == parents[1] != parents[2] == os.getpid()


@FORKS
@pytest.mark.parametrize("start", ["fork"], indirect=True)
def test_what_was_forked_ends_when_the_fork_server_does(tmp_path: Path, start: Start) -> None:
    environ = loading_environment(environment(tmp_path))
    server = ForkServer.spawn(environ)
    ready_file = tmp_path / "ready"
    words = [sys.executable, "-P", "-m", "services.user_service", "--port", "0", "--until-stdin-ends"]
    process = server.start([*words, "--ready-file", str(ready_file)], environ, tmp_path / "stderr")
    eventually(ready_file.exists, within_s=30)
    server.close()
    eventually(lambda: not living([process.pid]), within_s=20)
    assert not server.stands_for(environ)
    assert process.poll() == -signal.SIGKILL


@pytest.fixture
def forks(tmp_path: Path) -> Iterator[ForkServer]:
    server = ForkServer.spawn(loading_environment(environment(tmp_path)))
    yield server
    server.close()


@FORKS
def test_what_is_not_held_outlives_the_fork_server(tmp_path: Path, forks: ForkServer) -> None:
    environ, ready_file = loading_environment(environment(tmp_path)), tmp_path / "ready"
    words = [sys.executable, "-P", "-m", "services.user_service", "--port", "0", "--until-stdin-ends"]
    held = forks.start([*words, "--ready-file", str(tmp_path / "held")], environ, tmp_path / "stderr")
    free = forks.start([*words[:-1], "--ready-file", str(ready_file)], environ, tmp_path / "stderr", is_held=False)
    eventually(lambda: ready_file.exists() and (tmp_path / "held").exists(), within_s=30)
    pids = held.pid, free.pid
    try:
        forks.close()
        eventually(lambda: living(pids) == [pids[1]], within_s=20)
    finally:
        os.kill(pids[1], signal.SIGKILL)


@FORKS
def test_what_reads_no_standard_input_is_killed_with_the_fork_server(tmp_path: Path) -> None:
    words = ["services.user_service", "--port", "0", "--ready-file", str(tmp_path / "ready")]
    with ProcessStarter(environment(tmp_path), ["services.user_service"]) as starter:
        process = starter.start(words, tmp_path / "stdout", tmp_path / "stderr")
        eventually((tmp_path / "ready").exists, within_s=30)
        pid = process.pid
        assert process.poll() is None
    eventually(lambda: not living([pid]), within_s=20)


@FORKS
def test_each_of_several_threads_hears_of_the_end_that_it_waits_for(tmp_path: Path, forks: ForkServer) -> None:
    environ = loading_environment(environment(tmp_path))

    def start(name: str) -> ForkedProcess:
        words = [
            sys.executable,
            "-P",
            "-m",
            "services.user_service",
            "--port",
            "0",
            "--ready-file",
            str(tmp_path / name),
        ]
        process = forks.start(words, environ, tmp_path / "stderr")
        eventually((tmp_path / name).exists, within_s=30)
        return process

    first, second = start("first"), start("second")
    with ThreadPoolExecutor() as threads:
        waits = threads.submit(first.wait), threads.submit(second.wait)
        second.kill()
        assert waits[1].result(30) == -signal.SIGKILL
        assert first.poll() is None
        assert not waits[0].done()
        first.send_signal(signal.SIGTERM)
        assert waits[0].result(30) == 0


@FORKS
def test_a_fork_with_a_fork_server_of_its_own_forks_its_stack_which_ends_with_it(
    tmp_path: Path, forks: ForkServer
) -> None:
    environ, printed = loading_environment(environment(tmp_path)), tmp_path / "stdout"

    def is_whole(found: StackRecord | None) -> bool:
        return found is not None and len(found.processes) == 4

    words = [sys.executable, "-P", "-m", "clients.cli", "up", "--ports", "auto"]
    process = forks.start(words, environ, tmp_path / "stderr", printed, has_fork_server=True)
    try:
        record = eventually(Lab(tmp_path).record, until=is_whole, within_s=60)
        assert record is not None
        pids = [each.pid for each in record.processes]
        (parent,) = {psutil.Process(pid).ppid() for pid in pids}
        assert psutil.Process(parent).ppid() == process.pid
    finally:
        process.kill()
    eventually(lambda: living([parent, *pids]) == [], within_s=20)
