"""`lab compare` as a person runs it: real processes, on a lab of its own. Times are never asserted, only ratios."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.lab_process import environment
from tests.e2e.warm_process import run_module
from tests.polling import eventually
from tracelab.compare.explanation.decomposition import typical_calls
from tracelab.compare.results.saved_runs import read_run

ROOT = Path(__file__).resolve().parents[2]
LIST_ORDERS = "OrderService/ListOrders"
DELAY_MS = 100
pytestmark = pytest.mark.timeout(240)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "clients.cli", "compare", *words]


def environ(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LAB_"))}
    return {**kept, "LAB_HOME": str(home), "PYTHONUTF8": "1"}


def lab_compare(home: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    if {"--from", "--saved", "--list"} & set(words):  # measures nothing: how the process starts is no part of it
        done = run_module(["clients.cli", "compare", *words], ROOT, environment(home), 200)
    else:
        done = subprocess.run(
            command(*words), cwd=ROOT, env=environ(home), capture_output=True, text=True, timeout=200, check=False
        )
    assert done.returncode == code, f"{done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run in which one operation is 100 ms slower in one variant: far more than the tests beside it add to any."""
    home = tmp_path_factory.mktemp("lab")
    done = lab_compare(
        home,
        *("plain", f"slow:fault={LIST_ORDERS}:delay={DELAY_MS}ms", "--strategy", "batch", "--users", "3"),
        *("--precision", "50", "--max-seconds", "15", "--seed", "7", "--save", "faulty"),
        *("--json", "--html", str(home / "page.html")),
    )
    return home, json.loads(done.stdout)


def test_a_fault_in_one_operation_is_found_and_the_breakdown_puts_the_difference_there(
    faulty: tuple[Path, dict[str, Any]],
) -> None:
    _, document = faulty
    (headline,) = [one for one in document["comparisons"] if one["quantile"] == "median"]
    assert headline["verdict"] == "slower"
    (breakdown,) = document["decomposition"]
    by_operation: Counter[str] = Counter()
    for row in breakdown["rows"]:
        by_operation[row["operation"]] += row["difference_ns"]
    assert by_operation.most_common(1)[0][0] == LIST_ORDERS
    # Of the fault, not of the whole: what else the machine does adds to the other operations, too.
    assert by_operation[LIST_ORDERS] / (DELAY_MS * 1e6) >= 0.9
    assert by_operation.total() == pytest.approx(breakdown["difference_ns"])
    assert breakdown["sentence"].startswith("slow costs ")
    assert "in ListOrders" in breakdown["sentence"]


def test_the_linked_trace_shows_the_fault(faulty: tuple[Path, dict[str, Any]]) -> None:
    _, document = faulty
    (slow,) = [variant for variant in document["variants"] if variant["name"] == "slow"]
    trace_id = next(one["trace_id"] for one in slow["quantiles"] if one["quantile"] == "median")
    (trace,) = [one for one in document["traces"] if one["trace_id"] == trace_id]
    served = [part for part in trace["parts"] if part["operation"] == LIST_ORDERS and part["kind"] == "server"]
    assert sum(part["critical_ns"] for part in served) >= 19_000_000


def test_every_typical_call_of_the_run_has_its_whole_trace(faulty: tuple[Path, dict[str, Any]]) -> None:
    home, _ = faulty
    run = read_run(home / "comparisons" / "faulty.json")
    for name in ("plain", "slow"):
        for sample in typical_calls([one for one in run.measurement.samples if one.entry == name]).samples:
            assert run.traces[sample.trace_id].complete


def test_a_saved_run_gives_the_same_figures_again(faulty: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    home, document = faulty
    (tmp_path / "run.json").write_text(json.dumps(document), encoding="utf-8")
    again = lab_compare(home, "--from", str(tmp_path / "run.json"), "--json")
    assert json.loads(again.stdout) == document
    saved = lab_compare(home, "--saved", "faulty", "--json")
    assert json.loads(saved.stdout) == document
    assert "faulty" in lab_compare(home, "--list").stdout
    assert (home / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_saved_runs_are_compared_through_their_control(faulty: tuple[Path, dict[str, Any]]) -> None:
    home, _ = faulty
    answer = json.loads(lab_compare(home, "--saved", "faulty", "--against", "faulty", "--json").stdout)
    assert [(one["variant"], one["ratio"]) for one in answer["variants"]] == [("plain", 1.0), ("slow", 1.0)]


def test_a_gate_fails_only_on_what_is_certain(faulty: tuple[Path, dict[str, Any]]) -> None:
    home, _ = faulty
    lab_compare(home, "--saved", "faulty", "--fail-if", "slower:10%", code=1)
    lab_compare(home, "--saved", "faulty", "--fail-if", "faster:10%", code=0)


def test_sequential_calls_grow_with_users_and_batch_calls_do_not(tmp_path: Path) -> None:
    words = ["sequential", "batch", "--users", "2,30", "--max-seconds", "2", "--seed", "3"]
    done = lab_compare(tmp_path, *words, "--json")
    slopes = {one["variant"]: one for one in json.loads(done.stdout)["slopes"]}
    assert slopes["sequential"]["calls"] == [2.0, 30.0]
    assert slopes["batch"]["calls"] == [1.0, 1.0]
    assert slopes["sequential"]["per_user_ns"] > slopes["batch"]["per_user_ns"]


def test_a_variant_against_itself_has_no_measurable_difference(tmp_path: Path) -> None:
    # A wide margin and floor: two noisy cores shared with others must not decide whether this passes.
    words = ["UserService/GetUser", "UserService/GetUser", "--margin", "100", "--floor", "40", "--precision", "30"]
    done = lab_compare(tmp_path, *words, "--max-seconds", "15", "--seed", "1", "--json")
    (headline,) = [one for one in json.loads(done.stdout)["comparisons"] if one["quantile"] == "median"]
    assert headline["verdict"] == "no measurable difference"


def test_without_instrumentation_latencies_are_compared_and_the_missing_breakdown_is_told(tmp_path: Path) -> None:
    words = ["off:instrumentation=off", "on", "--rpc", "UserService/GetUser", "--precision", "50", "--max-seconds", "6"]
    text = lab_compare(tmp_path, *words).stdout
    assert "on against off: " in text
    assert "off left no traces (instrumentation off), so there is no breakdown of it" in " ".join(text.split())


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        pytest.param(["batched", "batch"], "'batched' is neither", "did you mean batch?", id="variant"),
        pytest.param(["--preset", "compresion"], "--preset: 'compresion' is not one of", "compression?", id="preset"),
        pytest.param(["--saved", "nothing"], "no run is saved as 'nothing'", "--list", id="saved run"),
        pytest.param(["batch", "batch", "--fail-if", "slow"], "'slow' is not like slower:10%", "", id="gate"),
        pytest.param([], "there is nothing to compare yet", "lab compare sequential batch", id="nothing"),
    ],
)
def test_wrong_words_are_refused_in_one_line_with_a_hint(
    tmp_path: Path, words: list[str], message: str, hint: str
) -> None:
    code = 1 if "--saved" in words else 2
    done = lab_compare(tmp_path, *words, code=code)
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert len(lines) <= 2
    assert hint in lines[-1]
    assert not (tmp_path / "runs").exists()


def test_an_unknown_fault_is_refused_by_the_service_before_anything_is_timed(tmp_path: Path) -> None:
    done = lab_compare(tmp_path, "batch", "batch:fault=OrderService/ListOrder:delay=20ms", code=2)
    assert "refuses the call" in done.stderr
    assert "ListOrder" in done.stderr


def test_services_that_do_not_start_are_told_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        command("batch", "batch", "--quiet"),
        cwd=ROOT,
        env={**environ(tmp_path), "OTEL_TRACES_EXPORTER": "nonsense"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "ended with exit code 2" in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_saved_file_from_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    path.write_text('{"schema": "tracelab.compare/9"}', encoding="utf-8")
    assert "was saved by a newer lab" in lab_compare(tmp_path, "--from", str(path), code=1).stderr


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A comparison that would go on for long, and what it has said so far."""
    words = ["UserService/GetUser", "UserService/GetUser", "--precision", "0.001", "--save", "half", "--seed", "1"]
    process = subprocess.Popen(
        command(*words),
        cwd=ROOT,
        env=environ(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    said: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
    reader.start()
    yield process, said
    if process.poll() is None:
        process.kill()
    process.wait(timeout=30)
    reader.join(timeout=10)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches a whole console there")
def test_ctrl_c_prints_what_there_is_and_saves_nothing_half(
    endless: tuple[subprocess.Popen[str], list[str]], tmp_path: Path
) -> None:
    process, said = endless
    eventually(lambda: any("20 blocks" in line for line in said), within_s=90)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    text = process.stdout.read()
    assert process.wait(timeout=60) == 130
    assert "stopped: cut short" in text
    assert "nothing of it is saved" in text
    assert "GetUser (2) against UserService/GetUser: " in text
    assert not (tmp_path / "comparisons").exists()
