"""gRPC's own metrics in a process of their own: every attempt is counted, and the process ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CALLS = 200
BOUND_S = 60.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="grpcio-observability is made for Linux alone")


def test_what_core_counts_is_exact_and_of_the_process_s_own_calls_alone() -> None:
    program = [sys.executable, "-m", "tests.e2e.grpc_metrics_program", str(CALLS)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=BOUND_S)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {name: values[0] for name, values in found.items()} == {
        "grpc.client.attempt.started t.T/Work": CALLS,
        "grpc.client.attempt.duration t.T/Work OK": CALLS,
        "grpc.client.attempt.sent_total_compressed_message_size t.T/Work OK": CALLS,
        "grpc.client.attempt.rcvd_total_compressed_message_size t.T/Work OK": CALLS,
        "grpc.server.call.started t.T/Work": CALLS,
        "grpc.server.call.duration t.T/Work OK": CALLS,
        "grpc.server.call.sent_total_compressed_message_size t.T/Work OK": CALLS,
        "grpc.server.call.rcvd_total_compressed_message_size t.T/Work OK": CALLS,
    }
    assert found["grpc.client.attempt.sent_total_compressed_message_size t.T/Work OK"][1] == CALLS * 100
