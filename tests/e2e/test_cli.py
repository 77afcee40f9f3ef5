"""The command line against real processes: every RPC, the readers, and what a person is told when it fails."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab_process import Lab, environment, living
from tests.polling import eventually
from tracelab.stack import Stack, StackOptions


@pytest.fixture(name="lab", scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("cli") / "home")
    with Stack.start(StackOptions(home=lab.home, ports="auto", allow_faults=True), environment(lab.home)):
        yield lab


@pytest.fixture(name="user_id", scope="module")
def _user_id(lab: Lab) -> str:
    created: str = lab.json("user", "create", "--name", "Carla", "--email", "c@example.com")["user"]["user_id"]
    return created


def test_every_rpc_of_the_user_service_answers_with_its_proto_names(lab: Lab) -> None:
    created = lab.json("user", "create", "--name", "Dora", "--email", "d@example.com")
    assert set(created) == {"user"}
    assert set(created["user"]) == {"user_id", "name", "email", "create_time", "update_time"}
    user_id = created["user"]["user_id"]
    assert lab.json("user", "get", user_id) == created
    assert lab.json("user", "update", user_id, "--name", "Dorothea")["user"]["name"] == "Dorothea"
    assert user_id in {user["user_id"] for user in lab.json("user", "list")["users"]}
    assert [user["user_id"] for user in lab.json("user", "batch-get", user_id, user_id)["users"]] == [user_id] * 2
    assert lab.json("user", "delete", user_id) == {}


def test_every_unary_rpc_of_the_order_service_answers(lab: Lab, user_id: str) -> None:
    created = lab.json("order", "create", "--user-id", user_id, "--amount", "40.0", "--note", "first")
    order = created["order"]
    assert (order["amount_minor_units"], order["status"]) == ("4000", "ORDER_STATUS_PENDING")
    assert lab.json("order", "get", order["order_id"]) == created
    paid = lab.json("order", "update", order["order_id"], "--status", "paid")
    assert paid["order"]["status"] == "ORDER_STATUS_PAID"
    listed = lab.json("order", "list", "--user-id", user_id)
    assert order["order_id"] in {one["order_id"] for one in listed["orders"]}


def test_the_streams_of_the_order_service_work_from_the_command_line(lab: Lab, user_id: str, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(f"user_id,amount,note\n{user_id},10.5,one\nnobody,3,two\n{user_id},7,three\n", encoding="utf-8")
    imported = lab.run("order", "import", str(file), "--json")
    assert imported.returncode == 1
    answer = json.loads(imported.stdout)
    assert (answer["created_count"], answer["rejected_count"]) == (2, 1)
    streamed = lab.run("order", "stream", "--user-id", user_id, "--json")
    notes = [json.loads(line)["order"]["note"] for line in streamed.stdout.splitlines()]
    assert {"one", "three"} <= set(notes)


def test_watch_shows_a_change_and_ends_after_the_count(lab: Lab, user_id: str) -> None:
    watching = lab.start("order", "watch", "--user-id", user_id, "--count", "1", "--json")
    try:
        assert watching.stdout is not None
        assert "acknowledged" in json.loads(watching.stdout.readline())
        order_id = lab.json("order", "create", "--user-id", user_id, "--amount", "1.0")["order"]["order_id"]
        said, complaint = watching.communicate(timeout=30)
    finally:
        watching.kill()
        watching.wait()
    assert watching.returncode == 0, complaint
    assert json.loads(said)["changed"]["order"]["order_id"] == order_id


def test_a_watch_that_is_told_to_end_keeps_its_span_and_says_nothing_else(lab: Lab, user_id: str) -> None:
    watching = lab.start("order", "watch", "--user-id", user_id, "--json")
    try:
        assert watching.stdout is not None
        assert "acknowledged" in json.loads(watching.stdout.readline())
        watching.send_signal(signal.SIGTERM)
        _, complaint = watching.communicate(timeout=30)
    finally:
        watching.kill()
        watching.wait()
    assert watching.returncode == 128 + signal.SIGTERM
    assert re.fullmatch(r"trace: [0-9a-f]{32}\n", complaint)
    spans = lab.json("trace", complaint.split()[1])["spans"]
    assert ("cli", "client") in {(span["serviceName"], span["kind"]) for span in spans}


def test_a_bad_amount_in_a_file_is_one_rejection_and_a_closed_pipe_no_failure(
    lab: Lab, user_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("user_id,amount\n" + f"{user_id},forty\n" + f"{user_id},2\n" * 30, encoding="utf-8")
    imported = lab.run("order", "import", str(file))
    assert imported.returncode == 1
    assert "amount: 'forty' is not an amount" in imported.stdout
    assert imported.stdout.splitlines()[-1] == "30 created, 1 rejected"


def test_a_call_goes_wrong_as_it_asks_to(lab: Lab, user_id: str) -> None:
    done = lab.run("user", "get", user_id, "--fault", "UserService/GetUser:status=ABORTED")
    assert done.returncode == 1
    assert "error: ABORTED: fault injected into UserService/GetUser (FAULT_INJECTED)" in done.stderr


def test_a_fault_that_no_service_allows_is_refused(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")
    with Stack.start(StackOptions(home=lab.home, ports="auto", only=("user",)), environment(lab.home)):
        done = lab.run("user", "list", "--fault", "UserService/ListUsers:delay=1ms")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: the services that run do not allow faults\nhint: ")


def test_a_note_may_come_from_a_file(lab: Lab, user_id: str, tmp_path: Path) -> None:
    file = tmp_path / "note.txt"
    file.write_text("é" * 200_000, encoding="utf-8")  # longer than an argument of a command may be
    words = ("--user-id", user_id, "--amount", "1", "--note-file", str(file))
    assert lab.json("order", "create", *words)["order"]["note"] == "é" * 200_000


@pytest.mark.parametrize("strategy", ["sequential", "concurrent", "batch", "streaming"])
def test_a_report_is_the_same_by_every_strategy(lab: Lab, user_id: str, strategy: str) -> None:
    report = lab.json("report", "user", user_id)["report"]
    assert lab.json("report", "top", "--user-id", user_id, "--strategy", strategy) == {"users": [report]}


@pytest.mark.parametrize(
    ("words", "exit_code", "message"),
    [
        pytest.param(("user", "get", "nobody"), 1, r"NOT_FOUND: .*\(USER_NOT_FOUND\)", id="domain error"),
        pytest.param(
            ("user", "create", "--name", "", "--email", "x"),
            1,
            r"INVALID_ARGUMENT: .*\(INVALID_FIELDS\); name: .*; email: .*",
            id="field violations",
        ),
        pytest.param(("user", "creat"), 2, "no such command 'creat'", id="unknown sub-command"),
        pytest.param(("user", "create", "--name", "A"), 2, "--email is missing", id="missing option"),
        pytest.param(
            ("report", "top", "--strategy", "batched"), 2, "--strategy: 'batched' is not one of .*", id="word"
        ),
        pytest.param(("trace", "zz"), 2, "trace id 'zz' is not 1 to 32 hex digits", id="malformed id"),
        pytest.param(("trace", "1" * 32), 1, "trace 1{32} is not at http.*", id="unknown trace"),
        pytest.param(("frobnicate",), 2, "'frobnicate' is not a command of lab", id="unknown command"),
    ],
)
def test_a_failure_is_one_line_and_at_most_one_hint(
    lab: Lab, words: tuple[str, ...], exit_code: int, message: str
) -> None:
    done = lab.run(*words, "--quiet")
    assert (done.returncode, done.stdout) == (exit_code, ""), done.stderr
    lines = done.stderr.splitlines()
    assert re.fullmatch(f"error: {message}", lines[0])
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("hint: "))


def test_a_trace_is_found_shown_and_joined_to_its_logs(lab: Lab, user_id: str) -> None:
    lab.json("report", "user", user_id)
    found = eventually(
        lambda: lab.json("traces", "--service", "report")["traces"], until=lambda traces: traces[0]["span_count"] >= 6
    )
    trace_id = found[0]["trace_id"]
    shown = lab.json("trace", trace_id)
    assert (shown["traceId"], shown["orphanSpanIds"]) == (trace_id, [])
    verified = lab.json("logs", trace_id, "--verify")
    assert verified["logs_joined"] == verified["log_count"] == len(verified["logs"]) == shown["logCount"]
    span_id = verified["logs"][0]["spanId"]
    of_span = lab.json("logs", trace_id, "--span", span_id[:8])["logs"]
    assert {record["spanId"] for record in of_span} == {span_id}
    assert "OrderService/ListOrders" in lab.run("trace", trace_id).stdout
    assert lab.json("diff", trace_id, trace_id)["deltaNano"] == "0"


def test_status_tells_who_runs_where(lab: Lab) -> None:
    found = lab.json("status")
    assert [entry["name"] for entry in found["processes"]] == ["backend", "user", "order", "report"]
    assert {entry["health"] for entry in found["processes"]} == {"healthy"}
    assert all(entry["pid"] and entry["addresses"] for entry in found["processes"])


def test_a_detached_stack_is_found_by_the_next_commands_until_down(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")
    try:
        started = lab.json("up", "-d", "--ports", "auto")
        pids = [entry["pid"] for entry in started["processes"]]
        assert len(living(pids)) == 4
        assert lab.json("status") == started
        assert lab.json("user", "list") == {"users": [], "next_page_token": ""}
        other = lab.json("up", "-d", "--ports", "auto", "--only", "backend")
        assert other["store"] != started["store"]
        assert lab.json("status") == started
    finally:
        stopped = lab.json("down")["stopped"]
    assert {process["pid"] for process in stopped} >= set(pids)
    assert len(stopped) == 5
    assert living(pids) == []
    assert lab.run("status").returncode == 1


def test_what_a_stopped_stack_recorded_can_still_be_read(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")
    with Stack.start(StackOptions(home=lab.home, ports="auto"), environment(lab.home)):
        lab.json("user", "create", "--name", "Eva", "--email", "e@example.com")
    shown = lab.run("trace", "last", "--store", str(lab.home / "telemetry.sqlite"))
    assert shown.returncode == 0, shown.stderr
    assert "UserService/CreateUser" in shown.stdout
    assert lab.record() is None


def test_a_service_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    done = Lab(tmp_path / "home").run("user", "list", USER_ADDRESS="127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert lines.pop(0).startswith("no trace is kept: nothing listens at ")
    assert lines[0].startswith("error: UNAVAILABLE: nothing answers at 127.0.0.1:1")
    assert lines[1].startswith("hint: ")


def test_a_trace_can_be_taken_away_and_many_be_summed_up(lab: Lab, user_id: str, tmp_path: Path) -> None:
    lab.json("report", "user", user_id)
    found = eventually(
        lambda: lab.json("traces", "--service", "report")["traces"], until=lambda traces: traces[0]["span_count"] >= 6
    )
    page = tmp_path / "trace.html"
    lab.run("trace", found[0]["trace_id"], "--html", str(page))
    assert found[0]["trace_id"] in page.read_text(encoding="utf-8")
    summed = lab.json("traces", "--service", "report", "--critical")
    assert sum(share["critical_time_ns"] for share in summed["shares"]) == summed["duration_ns"]
    assert "OrderService/ListOrders" in lab.run("traces", "--service", "report", "--critical").stdout


def test_everything_stored_is_searched_and_verified(lab: Lab, user_id: str) -> None:
    lab.json("report", "user", user_id)
    found = eventually(lambda: lab.json("logs", "--text", "report.built", "--service", "report")["logs"])
    assert {record["serviceName"] for record in found} == {"report"}
    verified = eventually(lambda: lab.json("logs", "--verify"), until=lambda answer: not answer["without_span"])
    assert verified["logs"] == []
    assert verified["logs_joined"] > len(found)
    assert lab.run("logs", "last", "--text", "x").returncode == 2
