"""Every `curl` of docs/api.md works as it stands, in order, but for the ports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_backend_process import FREE_PORTS, Run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
EXAMPLES = re.findall(r"^```sh\n(curl .*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture
def addresses(tmp_path: Path) -> Iterator[dict[str, str]]:
    run = Run(tmp_path, "--store", str(tmp_path / "store.sqlite"), *FREE_PORTS)
    yield run.addresses
    run.process.terminate()
    run.ended()


def test_every_example_answers_with_json_that_is_not_empty(addresses: dict[str, str]) -> None:
    answers = []
    for example in EXAMPLES:
        command = example.replace("127.0.0.1:4318", addresses["otlp_http"]).replace(
            "127.0.0.1:16686", addresses["query"]
        )
        ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30)
        assert ran.returncode == 0, (example, ran.stderr)
        answers.append(json.loads(ran.stdout))
    assert len(answers) == 14
    stored, logged, measured, services, trace, summaries, legacy, metrics, status, logs, analysis = answers[:11]
    listed, quantiles, prometheus = answers[11:]
    assert (stored, logged, measured) == ({}, {}, {})
    assert services == {"services": ["shop"]}
    assert trace["result"]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] == "GET /cart"
    assert [each["rootOperationName"] for each in summaries["summaries"]] == ["GET /cart"]
    assert legacy["data"][0]["spans"][0]["operationName"] == "GET /cart"
    assert metrics["name"] == "service_operation_latencies"
    assert status == {"storage": {"failing": False, "error": "", "setAsideFile": ""}}
    records = logs["result"]["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert [record["body"]["stringValue"] for record in records] == ["cart shown"]
    assert (analysis["spanCount"], analysis["logCount"]) == (1, 1)
    assert [(metric["name"], metric["kind"]) for metric in listed["metrics"]] == [
        ("rpc.server.call.duration", "histogram")
    ]
    assert quantiles["series"][0]["values"] == [pytest.approx(0.24)] * 3
    assert quantiles["series"][0]["exemplars"][0]["traceId"] == "5a1f0c3e9b7d42468ce013579bdf2468"
    assert [value for _, value in prometheus["data"]["result"][0]["values"]] == ["0.15000000000000002"]
