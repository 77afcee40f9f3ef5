"""Metrics of real processes: calls are counted, failures told, and a duration leads to its trace."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.lab_process import Lab, environment
from tests.polling import eventually
from tracelab.stack import Stack, StackOptions

GET_USER = "UserService/GetUser"
LIST_USERS = "UserService/ListUsers"
CALL_ENDED = "grpc.server.call.duration"
COUNTED = (
    ("rpc.client.call.duration", "rpc.method"),
    ("grpc.client.attempt.started", "grpc.method"),
    (CALL_ENDED, "grpc.status"),
)
# Short enough to wait for.
INTERVAL = {"OTEL_METRIC_EXPORT_INTERVAL": "200"}


def test_calls_are_counted_with_their_failures_and_lead_to_their_traces(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")
    with Stack.start(StackOptions(home=lab.home, ports="auto"), {**environment(lab.home), **INTERVAL}):
        user_id = lab.json("user", "create", "--name", "Mara", "--email", "m@example.com")["user"]["user_id"]
        lab.json("user", "get", user_id)
        lab.run("user", "get", "nobody")

        def groups() -> dict[str, Any]:
            found = lab.run("metrics", "rpc.server.call.duration", "--json")
            if found.returncode:
                return {}
            return {group["name"]: group for group in json.loads(found.stdout)["groups"]}

        shown = eventually(groups, until=lambda found: round(found.get(GET_USER, {}).get("count", 0)) == 2, within_s=30)
        assert round(shown[GET_USER]["error_count"]) == 1
        trace = lab.json("trace", shown[GET_USER]["trace_id"])
        assert any(span["name"].endswith(GET_USER) for span in trace["spans"])
        assert "rpc.server.call.duration" in lab.run("metrics").stdout


@pytest.mark.skipif(sys.platform != "linux", reason="grpcio-observability is made for Linux alone")
def test_a_call_that_was_retried_twice_shows_three_attempts(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "home")
    grpc_metrics = {"LAB_GRPC_METRICS": "true", "LAB_RUNTIME_METRICS": "true"}
    options = StackOptions(home=lab.home, ports="auto", only=("backend", "user"), allow_faults=True)
    with Stack.start(options, {**environment(lab.home), **INTERVAL, **grpc_metrics}):
        fault = f"{LIST_USERS}:status=UNAVAILABLE:times=2"
        assert lab.run("user", "list", "--fault", fault, **grpc_metrics).returncode == 0

        def counts() -> dict[str, int]:
            found: dict[str, int] = {}
            for name, by in COUNTED:
                answer = lab.run("metrics", name, "--by", by, "--json")
                groups = json.loads(answer.stdout)["groups"] if answer.returncode == 0 else []
                found |= {f"{name} {group['name']}": round(group["count"]) for group in groups}
            return found

        seen = eventually(counts, until=lambda found: f"{CALL_ENDED} OK" in found, within_s=30)
        assert seen == {
            f"rpc.client.call.duration {LIST_USERS}": 1,
            f"grpc.client.attempt.started {LIST_USERS}": 3,
            f"{CALL_ENDED} UNAVAILABLE": 2,
            f"{CALL_ENDED} OK": 1,
        }
        (calls,) = lab.json("metrics", "rpc.client.call.duration")["groups"]
        assert (round(calls["count"]), round(calls["attempt_count"])) == (1, 3)
        stored = {metric["name"] for metric in lab.json("metrics", "--service", "user")["metrics"]}
        assert {"cpython.gc.collections", "process.memory.usage", "tracelab.event_loop.lag"} <= stored
        assert "gRPC counted 3 attempts for 1 call of UserService/ListUsers by cli" in lab.run("trace", "last").stdout
