"""The same calls by ghz and by `lab compare`: two generators that share no code have to agree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tracelab.compare.measurement.block_design import ProtocolSettings
from tracelab.compare.measurement.lab_servers import LabServers
from tracelab.compare.measurement.stack_set import StackSet
from tracelab.compare.question.variant_options import VariantOptions
from tracelab.compare.session import Plan, Session
from tracelab.compare.statistics.analysis import AnalysisSettings
from tracelab.compare.statistics.quantiles import MEDIAN, Pool, ratio_intervals
from tracelab.compare.statistics.sample import of_entry, ranked_latencies

ROOT = Path(__file__).resolve().parents[2]
RPC = "UserService/ListUsers"
FAULT = f"{RPC}:delay=50ms"
BLOCKS, CALLS = 20, 5
GHZ = shutil.which("ghz")


@pytest.mark.skipif(GHZ is None, reason="ghz is not on this machine")
def test_ghz_measures_the_same_latency_of_the_same_calls(tmp_path: Path) -> None:
    # 50 ms in the server: next to it, what a client in Go and one in Python add is within the margin.
    options = VariantOptions(rpc=RPC, fault=FAULT, users=3, orders_per_user=0)
    plan = Plan({"one": options, "other": options}, ProtocolSettings(AnalysisSettings(1), max_seconds=30), "", "")
    with StackSet(tmp_path, os.environ) as stack_set:
        run = Session(LabServers(stack_set)).run(plan)
        by_ghz = _ghz_latencies_ns(stack_set.addresses("corrected", "corrected")["user"])
    measurement = run.measurement
    ours = ranked_latencies(of_entry(measurement.samples, "one"), measurement.block_count)
    theirs = [by_ghz[first : first + CALLS] for first in range(0, len(by_ghz), CALLS)]
    blocks = min(len(ours), len(theirs))
    below, above = Pool.of(ours[:blocks]), Pool.of(theirs[:blocks])
    (interval,) = ratio_intervals(below, above, [MEDIAN], error_rate=0.05, seed="1")
    assert interval.low < 1.10
    assert interval.high > 1 / 1.10


def _ghz_latencies_ns(address: str) -> list[int]:
    assert GHZ is not None
    words = [
        "--insecure",
        "--proto",
        str(ROOT / "proto" / "user.proto"),
        "--call",
        "tracelab.user.v1.UserService/ListUsers",
    ]
    words += ["--metadata", json.dumps({"baggage": f"fault={FAULT}"}), "-d", "{}", "-c", "1", "-O", "json"]
    done = subprocess.run(
        [GHZ, *words, "-n", str(BLOCKS * CALLS), address], capture_output=True, text=True, timeout=60, check=True
    )
    return [round(detail["latency"]) for detail in json.loads(done.stdout)["details"] if detail["status"] == "OK"]
