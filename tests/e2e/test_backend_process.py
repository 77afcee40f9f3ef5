"""The backend as a process: what it acknowledged outlives it, and what stands in its way is said in one line."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.conformance.engine import METRICS_EXPORT, TRACE_EXPORT
from tests.contract.measurements import moment, number_point, resource_metrics, sum_metric
from tests.contract.telemetry import T0, resource_spans, span, trace_id
from tests.polling import eventually

FREE_PORTS = ["--otlp-grpc-port", "0", "--otlp-http-port", "0", "--query-port", "0"]


class Run:
    def __init__(self, folder: Path, *arguments: str) -> None:
        self.ready = folder / "ready.json"
        self.ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "otel.backend", "--ready-file", str(self.ready), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @property
    def addresses(self) -> dict[str, str]:
        eventually(lambda: self.ready.exists() or self.process.poll() is not None, within_s=30)
        document: dict[str, Any] = json.loads(self.ready.read_text())
        assert document["pid"] == self.process.pid
        addresses: dict[str, str] = document["addresses"]
        return addresses

    def ended(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Any]:
    started: list[Run] = []

    def run(*arguments: str) -> Run:
        started.append(Run(tmp_path, *arguments))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate(timeout=30)


def send(address: str, numbers: range) -> None:
    with grpc.insecure_channel(address) as channel:
        export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(TRACE_EXPORT)
        for number in numbers:
            part = resource_spans("order", [span(number, 1, start=T0 + number)])
            export(ExportTraceServiceRequest(resource_spans=[part]).SerializeToString(), timeout=10)


def test_what_was_acknowledged_survives_kill_9(runs: Any, tmp_path: Path) -> None:
    store = ["--store", str(tmp_path / "store.sqlite")]
    first = runs(*store, *FREE_PORTS)
    acknowledged: list[int] = []

    def keep_sending(address: str) -> None:
        try:
            for number in range(1, 100_000):
                send(address, range(number, number + 1))
                acknowledged.append(number)
        except grpc.RpcError:
            return

    sender = threading.Thread(target=keep_sending, args=(first.addresses["otlp_grpc"],))
    sender.start()
    eventually(lambda: len(acknowledged) >= 30, within_s=30)
    first.process.kill()
    sender.join()
    second = runs(*store, *FREE_PORTS)
    with httpx.Client(base_url=f"http://{second.addresses['query']}") as client:
        lost = [
            number
            for number in acknowledged
            if client.get(f"/api/v3/traces/{trace_id(number).hex()}").status_code != 200
        ]
        assert lost == []
        assert client.get("/api/v3/services").json() == {"services": ["order"]}


def test_metrics_that_were_acknowledged_survive_kill_9(runs: Any, tmp_path: Path) -> None:
    store = ["--store", str(tmp_path / "store.sqlite")]
    first = runs(*store, *FREE_PORTS)
    acknowledged: list[int] = []

    def keep_sending(address: str) -> None:
        with grpc.insecure_channel(address) as channel:
            export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METRICS_EXPORT)
            for index in range(1, 100_000):
                metric = sum_metric(f"m{index}", [number_point(index, at_s=1)])
                body = ExportMetricsServiceRequest(resource_metrics=[resource_metrics("order", [metric])])
                try:
                    export(body.SerializeToString(), timeout=10)
                except grpc.RpcError:
                    return
                acknowledged.append(index)

    sender = threading.Thread(target=keep_sending, args=(first.addresses["otlp_grpc"],))
    sender.start()
    eventually(lambda: len(acknowledged) >= 30, within_s=30)
    first.process.kill()
    sender.join()
    second = runs(*store, *FREE_PORTS)
    with httpx.Client(base_url=f"http://{second.addresses['query']}") as client:
        found = {metric["name"] for metric in client.get("/api/lab/metrics").json()["metrics"]}
        assert {f"m{index}" for index in acknowledged} <= found
        value = client.get("/api/v1/query", params={"query": "m7_total", "time": str(moment(2) / 1e9)})
        assert value.json()["data"]["result"][0]["value"][1] == "7"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM from outside")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_stops_it_cleanly_while_a_page_listens(runs: Any, tmp_path: Path, number: int) -> None:
    run = runs("--store", str(tmp_path / "store.sqlite"), *FREE_PORTS)
    with httpx.stream("GET", f"http://{run.addresses['query']}/api/lab/stream", timeout=30) as listening:
        lines = listening.iter_lines()
        assert next(lines)
        run.process.send_signal(number)
        for _ in lines:
            pass
    status, out, err = run.ended()
    assert (status, err) == (0, "")
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["backend.started"]
    assert not (tmp_path / "store.sqlite-wal").exists()


@pytest.mark.parametrize("option", ["--otlp-grpc-port", "--otlp-http-port", "--query-port"])
def test_a_port_in_use_is_said_with_the_option_that_moves_it(runs: Any, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = list(FREE_PORTS)
        arguments[arguments.index(option) + 1] = str(port)
        status, _, err = runs(*arguments).ended()
    assert status == 3
    assert err.splitlines()[:2] == [
        f"error: port {port} is in use",
        f"hint: choose another with {option}, or 0 for a free one",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--query-port", "x"], "'x' is not a port"),
        (["--max-bytes", "0"], "'0' is not a number of at least 1"),
        (["--max-age-days", "nan"], "'nan' is not a number above 0"),
        (["--max-age-days=-1"], "'-1' is not a number above 0"),
        (["--base-path", "x"], "'x' does not start with /"),
        (["--base-path", "/{name}"], "'/{name}' has other characters than letters"),
        (["--jaeger-ui", "/nonexistent"], "no Jaeger UI bundle"),
    ],
)
def test_a_bad_option_ends_with_2_and_says_why(runs: Any, arguments: list[str], told: str) -> None:
    status, _, err = runs(*FREE_PORTS, *arguments).ended()
    assert status == 2
    assert told in err


def test_a_second_backend_on_a_store_is_refused(runs: Any, tmp_path: Path) -> None:
    arguments = ["--store", str(tmp_path / "store.sqlite"), *FREE_PORTS]
    assert runs(*arguments).addresses
    status, _, err = runs(*arguments).ended()
    assert (status, err) == (
        2,
        "error: --store: store.sqlite is in use by another backend; stop it, or name another file\n",
    )


def test_its_log_lines_go_to_a_file_where_one_is_named(runs: Any, tmp_path: Path) -> None:
    log_file = tmp_path / "logs" / "backend.log"
    run = runs(*FREE_PORTS, "--log-file", str(log_file))
    addresses = run.addresses
    (line,) = log_file.read_text().splitlines()
    assert json.loads(line)["event"] == "backend.started"
    assert json.loads(line)["query"] == addresses["query"]
