"""The stack of real processes: started side by side, found by others, ended in every case."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from clients.discovery.stack_record import ProcessRecord, StackRecord, add_processes, read_record
from tests.e2e.lab_process import Lab, environment, living
from tests.polling import eventually
from tracelab.fork_server import fork_server_pid
from tracelab.stack import PortInUseError, ProcessFailedError, Stack, StackOptions
from tracelab.stack import command_lines as commands
from tracelab.stack import stack as stack_module
from tracelab.stack.command_lines import Ports
from tracelab.stack.memory import peak_rss_bytes
from tracelab.stack.stopping import stop_recorded


@pytest.fixture(name="occupied_port")
def _occupied_port() -> Iterator[int]:
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.fixture(name="children")
def _children() -> Callable[[], list[int]]:
    """Lists what the test has started, and what that has; what outlives a test, as the fork server does, is not its."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}

    def of_the_test() -> list[int]:
        found = {child.pid for child in psutil.Process().children(recursive=True)}
        return sorted(found - before - {fork_server_pid()})

    return of_the_test


def test_every_process_is_healthy_recorded_and_measured_and_ends_with_the_stack(tmp_path: Path) -> None:
    healthy: list[str] = []
    options = StackOptions(home=tmp_path, ports="auto", witness=True)
    with Stack.start(options, environment(tmp_path), lambda process: healthy.append(process.name)) as stack:
        record = read_record(tmp_path / "stack.json")
        assert record is not None
        recorded = {process.name: (process.pid, process.addresses) for process in record.processes}
        assert recorded == {process.name: (process.pid, process.addresses) for process in stack.processes}
        assert sorted(healthy) == ["backend", "order", "report", "user"]
        assert [process.name for process in stack.processes] == ["backend", "user", "order", "report"]
        assert all((peak_rss_bytes(process.pid) or 0) > 10_000_000 for process in stack.processes)
        assert all(process.log_file.is_file() for process in stack.processes)
        pids = [process.pid for process in stack.processes]
        assert all(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)
        assert all(os.getpgid(pid) != os.getpgid(0) for pid in pids)
    assert living(pids) == []
    assert not (tmp_path / "stack.json").exists()


@pytest.mark.parametrize(
    "words", [("up", "-d", "--only", "backend"), ("demo", "--no-wait")], ids=lambda words: words[0]
)
def test_a_damaged_store_is_told_on_the_screen_with_the_file_that_keeps_it(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    lab, store = Lab(tmp_path / "home"), tmp_path / "kept.sqlite"
    store.write_bytes(b"SQLite format 3\0" + b"and no database" * 1000)
    done = lab.run(*words, "--ports", "auto", "--store", str(store))
    for record_file in lab.home.rglob("stack.json"):
        stop_recorded(record_file)
    (aside,) = tmp_path.glob("kept.sqlite.damaged-*Z")
    assert done.returncode == 0, done.stderr
    assert f"kept.sqlite was damaged: it is kept as {aside}, and a new one was begun" in done.stderr.splitlines()


def test_a_free_port_that_was_taken_meanwhile_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, occupied_port: int
) -> None:
    offers: list[Ports] = [{"user": {"grpc": occupied_port}}]
    honest = commands.free_ports
    monkeypatch.setattr(commands, "free_ports", lambda names, host: offers.pop() if offers else honest(names, host))
    options = StackOptions(home=tmp_path, ports="auto", only=("user",))
    with Stack.start(options, environment(tmp_path, OTEL_SDK_DISABLED="true")) as stack:
        assert stack.address("user") != f"127.0.0.1:{occupied_port}"


def test_a_usual_port_in_use_is_named_with_the_option_that_moves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, occupied_port: int, children: Callable[[], list[int]]
) -> None:
    monkeypatch.setattr(stack_module, "DEFAULT_PORTS", {"user": {"grpc": occupied_port}})
    with pytest.raises(PortInUseError) as refused:
        Stack.start(StackOptions(home=tmp_path, only=("user",)), environment(tmp_path))
    assert str(refused.value) == f"port {occupied_port} is in use, and user needs it"
    assert "--ports auto" in refused.value.hint
    assert children() == []


def test_a_process_that_fails_takes_the_others_with_it_and_says_why(
    tmp_path: Path, children: Callable[[], list[int]]
) -> None:
    options = StackOptions(home=tmp_path, ports="auto", only=("user", "order"), channel_options=("nonsense",))
    with pytest.raises(ProcessFailedError) as failed:
        Stack.start(options, environment(tmp_path))
    assert "ended with exit code 2" in str(failed.value)
    assert "nonsense" in str(failed.value)
    assert children() == []


def test_an_interrupt_while_it_starts_leaves_nothing_behind(tmp_path: Path, children: Callable[[], list[int]]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stack.start(StackOptions(home=tmp_path, ports="auto"), environment(tmp_path), on_spawned=interrupted)
    assert children() == []
    assert not (tmp_path / "stack.json").exists()


def test_an_error_of_the_one_who_uses_it_stops_the_stack(tmp_path: Path, children: Callable[[], list[int]]) -> None:
    options = StackOptions(home=tmp_path, ports="auto", only=("user",))
    with pytest.raises(ZeroDivisionError), Stack.start(options, environment(tmp_path)):
        raise ZeroDivisionError
    assert children() == []


def test_a_process_that_dies_is_reported(tmp_path: Path) -> None:
    options = StackOptions(home=tmp_path, ports="auto", only=("user",))
    with Stack.start(options, environment(tmp_path)) as stack:
        assert stack.died() is None
        os.kill(stack.process("user").pid, signal.SIGKILL)
        died = eventually(stack.died)
    assert "user ended with exit code -9" in str(died)


def test_a_recorded_stack_is_stopped_by_another_process_and_a_stale_record_is_forgotten(tmp_path: Path) -> None:
    options = StackOptions(home=tmp_path, ports="auto", only=("user",), detached=True)
    stack = Stack.start(options, environment(tmp_path))
    pid = stack.process("user").pid
    stack.detach()
    assert [process.pid for process in stop_recorded(tmp_path / "stack.json")] == [pid]
    assert living([pid]) == []
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
    assert stop_recorded(tmp_path / "stack.json") == ()
    assert not (tmp_path / "stack.json").exists()


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [pytest.param(signal.SIGINT, 130, id="Ctrl-C"), pytest.param(signal.SIGTERM, 143, id="SIGTERM")],
)
def test_a_signal_to_lab_up_ends_every_process(tmp_path: Path, number: signal.Signals, exit_code: int) -> None:
    lab = Lab(tmp_path / "home")
    running = lab.start("up", "--ports", "auto")
    try:
        record = eventually(lab.record, within_s=60)
        assert record is not None
        pids = [process.pid for process in record.processes]
        running.send_signal(number)
        _, complaint = running.communicate(timeout=30)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == exit_code, complaint
    assert "Traceback" not in complaint
    assert living(pids) == []


@pytest.mark.parametrize("command", ["up", "demo"])
def test_no_process_outlives_the_command_in_the_foreground_that_is_killed(tmp_path: Path, command: str) -> None:
    lab = Lab(tmp_path / "home")
    running = lab.start(command, "--ports", "auto")
    try:
        record = eventually(lab.record, within_s=60)
        assert record is not None
        pids = [process.pid for process in record.processes]
    finally:
        running.kill()
        running.communicate(timeout=30)
    eventually(lambda: not living(pids), within_s=20)


def test_a_graceful_stop_loses_no_span_and_no_log(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")
    options = StackOptions(home=lab.home, ports="auto")
    count = 120
    with Stack.start(options, environment(lab.home)):
        user_id = lab.json("user", "create", "--name", "Alice", "--email", "a@example.com")["user"]["user_id"]
        file = tmp_path / "orders.csv"
        file.write_text("user_id,amount\n" + f"{user_id},1.5\n" * count, encoding="utf-8")
        done = lab.run("order", "import", str(file))  # and stop while what it caused is still on its way
        assert f"{count} created, 0 rejected" in done.stdout, done.stderr
    trace = lab.json("trace", "last", "--store", str(lab.home / "telemetry.sqlite"))
    written = [
        line
        for name in ("user", "order")
        for line in (lab.home / "logs" / f"{name}.log").read_text(encoding="utf-8").splitlines()
        if trace["traceId"] in line
    ]
    assert trace["orphanSpanIds"] == []
    assert trace["services"] == ["cli", "order", "user"]
    assert trace["logCount"] == len(written) > 0


@pytest.mark.timeout(60)
def test_who_has_ended_counts_as_stopped_though_nobody_waits_for_it(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready"
    service = [sys.executable, "-P", "-m", "services.user_service", "--port", "0", "--ready-file", str(ready_file)]
    start = "import subprocess, sys; subprocess.Popen(sys.argv[1:]); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", start, *service], env=environment(tmp_path), stdin=subprocess.PIPE
    ) as like_a_container:
        eventually(ready_file.exists, within_s=30)
        pid = json.loads(ready_file.read_text())["pid"]
        add_processes(tmp_path / "stack.json", StackRecord("", "", (ProcessRecord("user", pid, {}, ""),)))
        stopped = stop_recorded(tmp_path / "stack.json", bound_s=1000.0)
        assert [process.pid for process in stopped] == [pid]
        assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        like_a_container.communicate()
