"""`lab demo` and `python -m clients.demo`, run as a person runs them."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel.analysis.model import SpanKind, Trace
from otel.query import TraceQuery
from tests.e2e.lab_process import FOUR_LINES, Lab, environment, living
from tracelab.stack import Stack, StackOptions

KEYS = {
    "trace_id", "traces", "services", "span_count", "orphan_span_count", "log_count", "logs_joined", "file_log_count",
    "proof", "report_duration_ms", "elapsed_s", "peak_rss_mb", "pss_mb",
}  # fmt: skip
EVERYBODY = ["demo", "order", "report", "user"]


@pytest.fixture(name="lab", scope="module")
def _lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A home in which a stack runs on free ports, so that every command finds it."""
    lab = Lab(tmp_path_factory.mktemp("demo") / "home")
    with Stack.start(StackOptions(home=lab.home, ports="auto"), environment(lab.home)):
        yield lab


def shown_trace(lab: Lab, trace_id: str) -> Trace:
    record = lab.record()
    assert record is not None
    backend = record.process("backend")
    assert backend is not None
    with TraceQuery(f"http://{backend.addresses['query']}") as query:
        trace = query.trace(trace_id)
    assert trace is not None
    return trace


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address at which nobody listens: bound, so that nobody else gets it meanwhile."""
    with contextlib.closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def test_the_demo_on_a_stack_of_its_own_shows_all_sections_in_their_order(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")
    done = lab.run("demo", "--ports", "auto")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert sorted(line.split()[0] for line in lines[:4]) == ["backend", "order", "report", "user"]
    assert lines[4:8] == FOUR_LINES
    order = [
        "ReportService/GetUserReport",
        "OrderService/ListOrders",
        "Report took",
        "Proof: full",
        "Go on with:",
        "learn",
    ]
    places = [done.stdout.index(part) for part in order]
    assert places == sorted(places)
    assert "\x1b" not in done.stdout
    assert max(map(len, lines[8:30])) <= 100


def test_what_the_demo_started_is_gone_when_it_ends(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")
    running = lab.start("demo", "--ports", "auto")
    said, complaint = running.communicate(timeout=60)
    assert running.returncode == 0, complaint
    assert lab.record() is None
    ports = [int(port) for line in said.splitlines()[:4] for port in re.findall(r":(\d+)", line)]
    assert len(ports) == 6
    for port in ports:
        with contextlib.closing(socket.socket()) as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_the_json_has_exactly_its_keys_and_proves_one_trace(lab: Lab) -> None:
    proof = lab.json("demo")
    assert set(proof) == KEYS
    assert set(proof["peak_rss_mb"]) == {"backend", "user", "order", "report"}
    assert all(megabytes > 10 for megabytes in proof["peak_rss_mb"].values())
    assert all(0 < share < proof["peak_rss_mb"][name] for name, share in proof["pss_mb"].items() if share is not None)
    assert (proof["proof"], proof["traces"], proof["services"], proof["orphan_span_count"]) == ("full", 1, EVERYBODY, 0)
    assert proof["log_count"] == proof["logs_joined"] == proof["file_log_count"] > 0
    assert proof["span_count"] == len(shown_trace(lab, proof["trace_id"]).spans)


def test_one_trace_id_crosses_the_processes_and_each_server_span_hangs_below_its_client(lab: Lab) -> None:
    trace = shown_trace(lab, lab.json("demo")["trace_id"])
    spans = {span.span_id: span for span in trace.spans}
    pids = {span.resource.attributes.get("process.pid", span.service_name) for span in trace.spans}
    assert len(pids) == 4
    servers = [span for span in trace.spans if span.kind is SpanKind.SERVER]
    calls = {(spans[span.parent_span_id].service_name, span.service_name, span.name) for span in servers}
    assert {(caller, server) for caller, server, _ in calls} == {
        ("demo", "report"),
        ("report", "user"),
        ("report", "order"),
    }
    assert all(spans[span.parent_span_id].kind is SpanKind.CLIENT for span in servers)


def test_only_the_reports_call_carries_the_session(lab: Lab) -> None:
    trace_id = lab.json("demo")["trace_id"]
    spans = shown_trace(lab, trace_id).spans
    sessions = {str(span.attributes.get("session.id")) for span in spans}
    assert len(sessions) == 1
    found = lab.json("traces", "--attribute", f"session.id={sessions.pop()}")
    assert [trace["trace_id"] for trace in found["traces"]] == [trace_id]


def test_a_second_run_prints_the_same_lines_after_others_made_users_and_orders(lab: Lab) -> None:
    user_id = lab.json("user", "create", "--name", "Alice", "--email", "other@example.com")["user"]["user_id"]
    for _ in range(3):
        lab.json("order", "create", "--user-id", user_id, "--amount", "1000.0")
    runs = [lab.run("demo").stdout.splitlines() for _ in range(2)]
    assert [[line for line in lines if line in FOUR_LINES] for lines in runs] == [FOUR_LINES, FOUR_LINES]


def test_what_already_runs_is_used_and_named_and_left_running(lab: Lab) -> None:
    record = lab.record()
    assert record is not None
    done = lab.run("demo")
    named = [line for line in done.stdout.splitlines() if line.endswith("(already running, used)")]
    assert [line.split()[0] for line in named] == ["OTLP", "query", "user", "order", "report"]
    assert lab.record() == record
    assert len(living([process.pid for process in record.processes])) == 4


def test_log_files_that_cannot_be_reached_make_the_proof_partial(lab: Lab, tmp_path: Path) -> None:
    record = lab.record()
    assert record is not None
    places = {process.name: process.addresses for process in record.processes}
    stranger = Lab(tmp_path / "home")  # knows the addresses, and nothing of the files
    proof = stranger.json(
        "demo",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{places['backend']['otlp_grpc']}",
        LAB_QUERY_URL=f"http://{places['backend']['query']}",
        **{f"{name.upper()}_ADDRESS": places[name]["grpc"] for name in ("user", "order", "report")},
    )
    assert (proof["proof"], proof["file_log_count"], proof["log_count"]) == ("partial", None, proof["logs_joined"])
    assert set(proof["peak_rss_mb"].values()) == {None}


def test_the_proof_holds_with_the_untouched_library_too(tmp_path: Path) -> None:
    proof = Lab(tmp_path / "home").json("demo", "--ports", "auto", LAB_INSTRUMENTATION="stock")
    assert (proof["proof"], proof["traces"], proof["services"], proof["orphan_span_count"]) == ("full", 1, EVERYBODY, 0)


def test_the_proof_is_as_full_on_the_synchronous_api(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")
    report = lab.json("demo", "--ports", "auto", "--api", "sync")
    assert (report["proof"], report["services"], report["logs_joined"]) == ("full", EVERYBODY, report["log_count"])
    lines = [line for log in lab.home.glob("runs/*/logs/*.log") for line in log.read_text().splitlines()]
    started = [json.loads(line) for line in lines if '"server.started"' in line]
    assert [line["api"] for line in started] == ["sync"] * 3


def test_an_api_that_was_asked_for_is_not_taken_on_trust(lab: Lab) -> None:
    done = lab.run("demo", "--api", "sync")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        1,
        "error: user already runs, and --api is for what is started",
    )


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        pytest.param({"LAB_INSTRUMENTATION": "off"}, "instrumentation is off", id="instrumentation off"),
        pytest.param({"OTEL_TRACES_SAMPLER": "always_off"}, "the call was sampled out", id="sampled out"),
    ],
)
def test_without_a_trace_there_is_nothing_to_prove(lab: Lab, extra: dict[str, str], why: str) -> None:
    done = lab.run("demo", **extra)
    assert done.returncode == 0, done.stderr
    assert "Proof: none" in done.stdout
    assert why in done.stdout
    found = lab.json("demo", **extra)
    assert (found["proof"], found["trace_id"], found["traces"]) == ("none", None, 0)


def test_a_silent_exporter_endpoint_is_named_and_fails_the_demo(lab: Lab, nowhere: str) -> None:
    done = lab.run("demo", "--json", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{nowhere}")
    assert done.returncode == 1
    assert json.loads(done.stdout)["proof"] == "failed"
    assert f"nothing listens at the exporter's endpoint http://{nowhere}" in done.stderr
    assert done.stderr.count("\n") == 2


def test_the_demo_alone_prints_four_lines_and_the_link(lab: Lab) -> None:
    done = lab.run_module("clients.demo")
    assert (done.returncode, done.stdout.splitlines()) == (0, FOUR_LINES)
    assert done.stderr.startswith("trace: http://127.0.0.1:")
    assert len(done.stderr.splitlines()) == 1


def test_the_demo_alone_says_once_that_no_backend_listens(tmp_path: Path, nowhere: str) -> None:
    home = tmp_path / "home"
    endpoint = f"http://{nowhere}"
    options = StackOptions(home=home, ports="auto", only=("user", "order", "report"), otlp_endpoint=endpoint)
    with Stack.start(options, environment(home)):
        done = Lab(home).run_module("clients.demo", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    assert (done.returncode, done.stdout.splitlines()) == (0, FOUR_LINES)
    assert done.stderr == "no trace backend; start one with ./lab up --only backend\n"


def test_the_demo_alone_waits_for_services_and_says_then_that_there_are_none(tmp_path: Path, nowhere: str) -> None:
    done = Lab(tmp_path / "home").run_module("clients.demo", USER_ADDRESS=nowhere)
    assert (done.returncode, done.stdout) == (1, "")
    waiting, error, _ = done.stderr.splitlines()
    assert waiting.startswith(f"waiting up to 5 s for services at {nowhere}")
    assert error.startswith(f"error: UNAVAILABLE: nothing answers at {nowhere}")


def test_the_picture_shows_what_the_text_says(lab: Lab, tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    done = lab.run("demo", "--svg", str(picture))
    assert done.returncode == 0, done.stderr
    assert "Proof: full" in done.stdout
    assert "\x1b" not in done.stdout
    assert picture.read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
def test_a_proxy_that_the_shell_names_is_not_asked_for_this_machine(tmp_path: Path, variable: str) -> None:
    proxied = {variable: "http://127.0.0.1:9", variable.upper(): "http://127.0.0.1:9"}  # nobody listens there
    done = Lab(tmp_path / "home").run("demo", "--ports", "auto", "--no-wait", "--json", **proxied)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["proof"] == "full"
