"""Metrics of real processes: calls are counted, failures told, and a duration leads to its trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.e2e.lab_process import Lab, environment
from tests.polling import eventually
from tracelab.stack import Stack, StackOptions

GET_USER = "UserService/GetUser"
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
