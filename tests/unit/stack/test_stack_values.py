"""The stack without processes: command lines, environments, the record, and what is adopted."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from clients.discovery import probes
from clients.discovery.endpoints import ReachableEndpoints, find_endpoints
from clients.discovery.stack_record import ProcessRecord, StackRecord, add_processes, read_record, remove_processes
from clients.errors import LabError, WrongUsageError
from otel.query import BackendUnreachableError, TraceQuery
from tracelab.commands.status import status
from tracelab.demo.target import found_as
from tracelab.fork_server import loading_environment
from tracelab.stack import StackError, StackOptions
from tracelab.stack import command_lines as commands
from tracelab.stack.errors import HostError
from tracelab.stack.start_plan import options_for, plan_start
from tracelab.stack.view import processes_json

PORTS = {"backend": {"otlp_grpc": 1, "otlp_http": 2, "query": 3}, "user": {"grpc": 4}, "order": {"grpc": 5}}
ROOT = Path(__file__).resolve().parents[3]
NOBODY = ReachableEndpoints(frozenset(), otlp=False, query=False)


def test_each_process_is_told_where_the_others_are(tmp_path: Path) -> None:
    options = StackOptions(home=tmp_path, addresses={"report": "elsewhere:9"})
    made = commands.environment("order", PORTS, options, {"HOME": "/h", "OTEL_BSP_SCHEDULE_DELAY": "50"})
    wanted = {
        "USER_ADDRESS": "127.0.0.1:4",
        "REPORT_ADDRESS": "elsewhere:9",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
        "HOME": "/h",
    }
    assert wanted.items() <= made.items()


def test_without_a_backend_the_environments_endpoint_stays(tmp_path: Path) -> None:
    ports = {"user": {"grpc": 4}}
    made = commands.environment("user", ports, StackOptions(home=tmp_path), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"})
    assert made["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://x"


def test_the_words_of_a_service_follow_from_its_options(tmp_path: Path) -> None:
    options = StackOptions(home=tmp_path, allow_faults=True, witness=True, channel_options=("a=b",))
    words = commands.command("user", PORTS, options, tmp_path / "ready")
    assert words[1:7] == ["-P", "-m", "services.user_service", "--host", "127.0.0.1", "--port"]
    assert {"--allow-faults", "--witness", "--channel-option"} <= set(words)
    backend = commands.command("backend", PORTS, options, tmp_path / "ready")
    assert backend[backend.index("--store") + 1] == str(tmp_path / "telemetry.sqlite")
    assert "--allow-faults" not in backend


def test_free_ports_are_all_different() -> None:
    ports = commands.free_ports(("backend", "user", "order", "report"), "127.0.0.1")
    numbers = [number for purposes in ports.values() for number in purposes.values()]
    assert len(set(numbers)) == len(numbers) == 6


@pytest.mark.parametrize("host", ["", "a..b", "fe80::1%none", "192.0.2.1", "2001:db8::1"])
def test_an_address_of_no_machine_or_another_is_named_and_no_port_is_said_to_be_taken(host: str) -> None:
    with pytest.raises(HostError, match=f"--host: '{host}' is no address of this machine") as refused:
        commands.free_ports(("user",), host)
    assert refused.value.exit_code == 2
    with pytest.raises(HostError):
        commands.taken_port({"user": {"grpc": 0}}, host)


def test_an_address_of_version_6_stands_in_brackets_where_a_port_follows(tmp_path: Path) -> None:
    options = StackOptions(home=tmp_path, host="::1")
    made = commands.environment("order", PORTS, options, {})
    assert (made["USER_ADDRESS"], made["OTEL_EXPORTER_OTLP_ENDPOINT"]) == ("[::1]:4", "http://[::1]:1")


def record(*names: str, first_pid: int = 10) -> StackRecord:
    processes = [ProcessRecord(name, first_pid + i, {"grpc": f"h:{i}"}, "/l") for i, name in enumerate(names)]
    return StackRecord("2026-01-01T00:00:00.000Z", "/s", tuple(processes))


def test_the_record_joins_what_was_started_and_goes_with_the_last_process(tmp_path: Path) -> None:
    path = tmp_path / "home" / "stack.json"
    add_processes(path, record("user", "order"))
    add_processes(path, record("order", "report", first_pid=20))
    found = read_record(path)
    assert found is not None
    assert {process.name: process.pid for process in found.processes} == {"user": 10, "order": 20, "report": 21}
    remove_processes(path, [10, 20])
    remove_processes(path, [21])
    assert read_record(path) is None
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2}'])
def test_a_record_that_is_not_ours_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "stack.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LabError, match=r"stack\.json"):
        read_record(path)


def test_a_home_that_is_a_file_is_named_with_its_variable_and_nothing_is_to_be_removed(tmp_path: Path) -> None:
    file = tmp_path / "passwd"
    file.write_text("root", encoding="utf-8")
    with pytest.raises(LabError, match="passwd is not a folder") as refused:
        read_record(file / "stack.json")
    assert "LAB_HOME" in refused.value.hint
    assert "remove" not in refused.value.hint


def test_with_nobody_there_all_is_started(tmp_path: Path) -> None:
    plan = plan_start(find_endpoints({}, tmp_path), NOBODY)
    assert (plan.missing, plan.uses_backend) == (("backend", "user", "order", "report"), False)


def test_what_answers_is_used_and_the_rest_is_told_where_it_is(tmp_path: Path) -> None:
    endpoints = find_endpoints({}, tmp_path)
    plan = plan_start(endpoints, ReachableEndpoints(frozenset({"user"}), otlp=True, query=True))
    options = options_for(plan, endpoints, StackOptions(home=tmp_path))
    assert options.only == ("order", "report")
    assert options.addresses == {"user": "127.0.0.1:50051"}
    assert options.otlp_endpoint == "http://127.0.0.1:4317"


def test_half_a_backend_is_refused_with_the_variable_that_names_the_other_half(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="no query API at") as refused:
        plan_start(find_endpoints({}, tmp_path), ReachableEndpoints(frozenset(), otlp=True, query=False))
    assert "LAB_QUERY_URL" in refused.value.hint


def test_a_service_that_is_named_and_silent_is_not_started_elsewhere(tmp_path: Path) -> None:
    endpoints = find_endpoints({"USER_ADDRESS": "far:1"}, tmp_path)
    with pytest.raises(StackError, match="no user service answers at far:1"):
        plan_start(endpoints, NOBODY)


@pytest.mark.parametrize(
    ("variable", "place"),
    [
        ("USER_ADDRESS", "127.0.0.1:99999"),
        ("LAB_QUERY_URL", "http://127.0.0.1:99999/"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:99999"),
    ],
)
def test_a_named_port_past_all_ports_is_refused(variable: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUsageError, match=f"{variable}: 99999 is no port"):
        find_endpoints({variable: place}, tmp_path)


def test_a_named_endpoint_is_trusted_even_where_it_is_silent(tmp_path: Path) -> None:
    endpoints = find_endpoints({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://far:4317"}, tmp_path)
    assert plan_start(endpoints, NOBODY).missing == ("user", "order", "report")
    assert plan_start(endpoints, NOBODY, trusts_environment=False).missing[0] == "backend"


def test_a_service_of_ours_that_hangs_is_named_instead_of_its_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_processes(tmp_path / "stack.json", record("report"))
    monkeypatch.setattr("clients.discovery.living.lives", lambda _process: True)
    with pytest.raises(StackError, match=r"report \(pid 10\) runs and does not answer at h:0") as refused:
        plan_start(find_endpoints({}, tmp_path), NOBODY)
    assert "./lab down" in refused.value.hint


def test_a_backend_of_ours_that_hangs_is_named_though_its_port_takes_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = ProcessRecord("backend", 7, {"otlp_grpc": "h:1", "otlp_http": "h:2", "query": "h:3"}, "/l")
    add_processes(tmp_path / "stack.json", StackRecord("2026-01-01T00:00:00.000Z", "/s", (backend,)))
    monkeypatch.setattr("clients.discovery.living.lives", lambda _process: True)
    with pytest.raises(StackError, match=r"backend \(pid 7\) runs and does not answer"):
        plan_start(
            find_endpoints({}, tmp_path),
            ReachableEndpoints(frozenset({"user", "order", "report"}), otlp=True, query=False),
        )


def test_a_process_that_was_killed_is_said_to_have_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_processes(tmp_path / "stack.json", record("user", "order"))
    monkeypatch.setattr("clients.discovery.living.lives", lambda process: process.name == "order")
    monkeypatch.setattr(probes, "query_answers", lambda _url, **_tls: False)
    monkeypatch.setattr(probes, "service_serves", lambda _address, **_tls: False)
    endpoints = find_endpoints({}, tmp_path)
    states = {entry["name"]: entry["health"] for entry in processes_json(endpoints)["processes"]}
    assert states == {"backend": "absent", "user": "died", "order": "unhealthy", "report": "absent"}
    assert endpoints.died == {"user": 10}


@pytest.mark.parametrize(
    ("error", "exit_code", "lines"),
    [("", 0, []), ("the disk is full", 1, ["refused    what the backend was sent last: the disk is full"])],
    ids=["stored", "refused"],
)
def test_the_status_says_why_the_backend_cannot_store_what_it_is_sent(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: str,
    exit_code: int,
    lines: list[str],
) -> None:
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    monkeypatch.setattr(probes, "query_answers", lambda _url, **_tls: True)
    monkeypatch.setattr(probes, "service_serves", lambda _address, **_tls: True)
    monkeypatch.setattr(probes, "storage_error", lambda _url, **_tls: error)
    assert status(as_json=False) == exit_code
    assert [line for line in capsys.readouterr().out.splitlines() if not line.startswith("healthy")] == lines


def test_what_the_environment_names_and_nobody_answers_is_not_said_to_run(tmp_path: Path) -> None:
    endpoints = find_endpoints(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://far:9", "LAB_QUERY_URL": "http://far:8"}, tmp_path
    )
    assert found_as(endpoints.otlp, is_answering=False) == "named by OTEL_EXPORTER_OTLP_ENDPOINT, does not answer"
    assert found_as(endpoints.query, is_answering=False) == "named by LAB_QUERY_URL, does not answer"
    assert found_as(endpoints.otlp, is_answering=True) == "already running, used"


def test_a_query_api_at_its_schemes_own_port_is_shown_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "query_answers", lambda _url, **_tls: True)
    monkeypatch.setattr(probes, "service_serves", lambda _address, **_tls: True)
    monkeypatch.setattr(probes, "storage_error", lambda _url, **_tls: "")
    endpoints = find_endpoints({"LAB_QUERY_URL": "https://jaeger.example/base"}, tmp_path)
    assert processes_json(endpoints)["processes"][0]["addresses"]["query"] == "jaeger.example:443"


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://127.0.0.1:xx",
        "http://127.0.0.1:99999",
        "http://a..b:1",
        "http://xn--:1",
        "http://127.0.0.1:1/\N{LATIN SMALL LETTER A WITH DIAERESIS}",
    ],
)
def test_what_is_no_url_answers_nothing_and_is_shown_as_it_was_typed(url: str) -> None:
    assert not probes.query_answers(url)
    assert probes.storage_error(url) == ""
    assert not probes.accepts_connections(probes.address_of(url))
    with TraceQuery(url) as query, pytest.raises(BackendUnreachableError, match=re.escape(url)):
        query.services()


def test_a_host_with_a_control_character_answers_nothing() -> None:
    assert not probes.query_answers("http://a\x01b")
    assert probes.storage_error("http://a\x01b") == ""


def test_what_modules_are_loaded_in_is_the_same_for_a_process_of_a_process() -> None:
    once = loading_environment({"PYTHONPATH": os.pathsep.join(["/mine", str(ROOT)]), "LAB_HOME": "/h"})
    assert once["PYTHONPATH"].split(os.pathsep) == [str(ROOT), "/mine"]
    assert loading_environment(once) == once
