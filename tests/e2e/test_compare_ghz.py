"""The same calls by ghz and by `lab compare`: two generators that share no code have to agree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.lab_process import Lab
from tests.e2e.outsiders import hello_folder, started, with_slow_server
from tracelab.compare.measurement.block_design import ProtocolSettings
from tracelab.compare.measurement.lab_servers import LabServers
from tracelab.compare.measurement.stack_set import StackSet
from tracelab.compare.question.variant_options import VariantOptions
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.results.saved_runs import read_run
from tracelab.compare.session import Plan, Session
from tracelab.compare.statistics.analysis import AnalysisSettings
from tracelab.compare.statistics.quantiles import MEDIAN, Pool, ratio_intervals
from tracelab.compare.statistics.sample import of_entry, ranked_latencies

ROOT = Path(__file__).resolve().parents[2]
RPC = "UserService/ListUsers"
FAULT = f"{RPC}:delay=50ms"
BLOCKS, CALLS = 20, 5
GHZ = shutil.which("ghz")
pytestmark = pytest.mark.skipif(GHZ is None, reason="ghz is not on this machine")


def test_ghz_measures_the_same_latency_of_the_same_calls(tmp_path: Path) -> None:
    # 50 ms in the server: next to it, what a client in Go and one in Python add is within the margin.
    options = VariantOptions(rpc=RPC, fault=FAULT, users=3, orders_per_user=0)
    plan = Plan({"one": options, "other": options}, ProtocolSettings(AnalysisSettings(1), max_seconds=30), "", "")
    words = ["--proto", str(ROOT / "proto" / "user.proto"), "--call", "tracelab.user.v1.UserService/ListUsers"]
    words += ["--metadata", json.dumps({"baggage": f"fault={FAULT}"}), "-d", "{}"]
    with StackSet(tmp_path, os.environ) as stack_set:
        run = Session(LabServers(stack_set)).run(plan)
        by_ghz = _ghz_latencies_ns(words, stack_set.addresses("corrected", "corrected")["user"])
    _assert_same(run, "one", by_ghz)


def test_ghz_measures_the_same_latency_of_a_server_that_is_not_ours(tmp_path: Path) -> None:
    folder = with_slow_server(hello_folder(tmp_path / "hello"), delay_s=0.05)
    words, environ = [sys.executable, "slow_server.py", "--port", "0"], {"PATH": os.environ["PATH"]}
    ana = '{"name": "Ana"}'
    saved = tmp_path / "run.json"
    with started(words, folder, environ, "a") as first, started(words, folder, environ, "b") as second:
        targets = ("--target", f"a={first.address}", "--target", f"b={second.address}")
        call = ("--call", "hello.Greeter/SayHello", "--data", ana, "--max-seconds", "30", "--seed", "1")
        done = Lab(tmp_path / "home").run("compare", *targets, *call, "--json", "--output", str(saved))
        assert done.returncode == 0, done.stderr
        asked = ["--proto", str(folder / "hello.proto"), "--call", "hello.Greeter/SayHello", "-d", ana]
        by_ghz = _ghz_latencies_ns(asked, first.address)
    _assert_same(read_run(saved), "a", by_ghz)


def _assert_same(run: ComparisonRun, name: str, by_ghz: Sequence[int]) -> None:
    ours = ranked_latencies(of_entry(run.measurement.samples, name), run.measurement.block_count)
    theirs = [by_ghz[first : first + CALLS] for first in range(0, len(by_ghz), CALLS)]
    blocks = min(len(ours), len(theirs))
    below, above = Pool.of(ours[:blocks]), Pool.of(theirs[:blocks])
    (interval,) = ratio_intervals(below, above, [MEDIAN], error_rate=0.05, seed="1")
    assert interval.low < 1.10
    assert interval.high > 1 / 1.10


def _ghz_latencies_ns(words: Sequence[str], address: str) -> list[int]:
    assert GHZ is not None
    words = ["--insecure", *words, "-c", "1", "-O", "json", "-n", str(BLOCKS * CALLS), address]
    done = subprocess.run([GHZ, *words], capture_output=True, text=True, timeout=60, check=True)
    return [round(detail["latency"]) for detail in json.loads(done.stdout)["details"] if detail["status"] == "OK"]
