"""How fast the embedded backend takes spans in and finds them again: `lab bench backend`.

A backend runs as a process of its own, bound to one core where the system allows it; this process sends OTLP/gRPC
requests and asks the query API over HTTP. The parse-only limit is measured in the same run, on the same payloads: how
fast protobuf alone reads them. Every figure is what it is: nothing is warmed up but by the runs before it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks._backend_payloads import SPANS_PER_TRACE, Payload, PayloadMaker, Sample

METHODS = {
    "trace": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
START_TIMEOUT_S = 30.0
EXPORT_TIMEOUT_S = 60.0
# Enough in flight to keep one core busy, as a handful of services would.
SENDER_COUNT = 4
PARSED_PAYLOADS = 100
HOUR_NS = 3600 * 1_000_000_000


@dataclass(slots=True)
class Figures:
    """What was measured."""

    span_count: int = 0
    log_count: int = 0
    accepted_spans_per_s: float = 0.0
    spans_per_cpu_s: float = 0.0
    parse_only_spans_per_s: float = 0.0
    wire_bytes_per_span: float = 0.0
    stored_bytes_per_span: float = 0.0
    file_mb: float = 0.0
    rss_after_ingest_mb: float = 0.0
    rss_after_queries_mb: float = 0.0
    peak_rss_mb: float = 0.0
    pinned: bool = False
    query_while_ingesting_ms: dict[str, float] = field(default_factory=dict)
    queries_ms: dict[str, dict[str, float]] = field(default_factory=dict)


def main() -> int:
    """Measure and print."""
    arguments = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="backend-bench-") as folder:
        figures = measure(arguments.spans, arguments.queries, Path(folder))
    if arguments.json:
        print(json.dumps(_as_dict(figures), indent=2))
    else:
        print(report(figures))
    return 0


def measure(span_count: int, query_count: int, folder: Path) -> Figures:
    """Run the whole benchmark with a store in `folder`."""
    figures = Figures()
    with running_backend(folder, figures) as (process, addresses):
        maker = PayloadMaker(max(1, span_count // SPANS_PER_TRACE), time.time_ns())
        cpu_before_s = _cpu_s(process)
        _ingest(maker, addresses, figures)
        figures.spans_per_cpu_s = figures.span_count / (_cpu_s(process) - cpu_before_s)
        figures.rss_after_ingest_mb = _rss_mb(process)
        figures.peak_rss_mb = figures.rss_after_ingest_mb
        figures.file_mb = sum(file.stat().st_size for file in folder.glob("store.sqlite*")) / 1e6
        figures.stored_bytes_per_span = figures.file_mb * 1e6 / max(1, figures.span_count)
        _query(maker.samples, addresses["query"], query_count, figures)
        figures.rss_after_queries_mb = _rss_mb(process)
        figures.peak_rss_mb = max(figures.peak_rss_mb, figures.rss_after_queries_mb)
    return figures


@contextmanager
def running_backend(folder: Path, figures: Figures) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """Run a backend on free ports with its store in `folder`, on one core where that can be had."""
    ready = folder / "ready.json"
    arguments = [
        sys.executable,
        "-m",
        "otel.backend",
        "--store",
        str(folder / "store.sqlite"),
        "--ready-file",
        str(ready),
    ]
    arguments += ["--otlp-grpc-port", "0", "--otlp-http-port", "0", "--query-port", "0"]
    arguments += ["--max-bytes", str(8 * 1024**3), "--log-file", str(folder / "backend.log")]
    child = subprocess.Popen(arguments)
    try:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not ready.exists():
            if child.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit("error: the backend did not start")
            time.sleep(0.05)
        process = psutil.Process(child.pid)
        figures.pinned = _pin(process)
        yield process, json.loads(ready.read_text("utf-8"))["addresses"]
    finally:
        child.terminate()
        child.wait(timeout=START_TIMEOUT_S)


def report(figures: Figures) -> str:
    """Write the figures as the Markdown that docs/backend-performance.md has."""
    ratio = figures.spans_per_cpu_s / figures.parse_only_spans_per_s if figures.parse_only_spans_per_s else 0
    rows = [
        ("spans stored", f"{figures.span_count:,}"),
        ("log records stored", f"{figures.log_count:,}"),
        (
            "accepted spans/s" + (", one core" if figures.pinned else ", not pinned"),
            f"{figures.accepted_spans_per_s:,.0f}",
        ),
        ("spans per second of the backend's processor time", f"{figures.spans_per_cpu_s:,.0f}"),
        ("parse-only limit, the same measure", f"{figures.parse_only_spans_per_s:,.0f}"),
        ("processor time, accepted / parse-only", f"{ratio:.3f}"),
        ("bytes per span on the wire", f"{figures.wire_bytes_per_span:.0f}"),
        ("bytes per span on disk, logs and index included", f"{figures.stored_bytes_per_span:.0f}"),
        ("resident after ingestion, MB", f"{figures.rss_after_ingest_mb:.0f}"),
        ("resident after the queries, MB", f"{figures.rss_after_queries_mb:.0f}"),
    ]
    lines = ["| figure | value |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows), ""]
    lines += ["| query over HTTP | median ms | p95 ms | max ms |", "|---|---:|---:|---:|"]
    for name, timing in figures.queries_ms.items():
        lines.append(f"| {name} | {timing['median']:.1f} | {timing['p95']:.1f} | {timing['max']:.1f} |")
    during = figures.query_while_ingesting_ms
    if during:
        lines.append(
            f"| summaries while ingesting | {during['median']:.1f} | {during['p95']:.1f} | {during['max']:.1f} |"
        )
    return "\n".join(lines)


def _ingest(maker: PayloadMaker, addresses: dict[str, str], figures: Figures) -> None:
    """Send everything, making payloads ahead so that making them is not what is measured."""
    parsed: list[Payload] = []
    elapsed_s = 0.0
    wire_bytes = 0
    during: list[float] = []
    with (
        grpc.insecure_channel(addresses["otlp_grpc"]) as channel,
        ThreadPoolExecutor(SENDER_COUNT) as senders,
        httpx.Client(base_url=f"http://{addresses['query']}", timeout=30) as client,
    ):
        stubs: dict[str, grpc.UnaryUnaryMultiCallable[bytes, bytes]] = {
            signal: channel.unary_unary(method) for signal, method in METHODS.items()
        }

        def send(payload: Payload) -> None:
            stubs[payload.signal](payload.body, timeout=EXPORT_TIMEOUT_S)

        for chunk in _chunks(maker.payloads(), 200):
            began_s = time.perf_counter()
            sending = [senders.submit(send, payload) for payload in chunk]
            during.append(_timed_ms(lambda: client.get("/api/v3/trace-summaries", params=_search()).raise_for_status()))
            for each in sending:
                each.result()
            elapsed_s += time.perf_counter() - began_s
            spans = [payload for payload in chunk if payload.signal == "trace"]
            figures.span_count += sum(payload.count for payload in spans)
            figures.log_count += sum(payload.count for payload in chunk if payload.signal == "logs")
            wire_bytes += sum(len(payload.body) for payload in spans)
            parsed = parsed or spans[:PARSED_PAYLOADS]
    figures.accepted_spans_per_s = figures.span_count / elapsed_s
    figures.wire_bytes_per_span = wire_bytes / figures.span_count
    figures.query_while_ingesting_ms = _timing(during)
    figures.parse_only_spans_per_s = _parse_only(parsed)


def _parse_only(payloads: list[Payload]) -> float:
    """Return spans per second of processor time that protobuf alone reads."""
    began_s = time.process_time()
    for payload in payloads:
        ExportTraceServiceRequest.FromString(payload.body)
    return sum(payload.count for payload in payloads) / (time.process_time() - began_s)


def _query(samples: list[Sample], query_address: str, query_count: int, figures: Figures) -> None:
    with httpx.Client(base_url=f"http://{query_address}", timeout=30) as client:

        def ask(path: str, parameters: dict[str, str]) -> None:
            client.get(path, params=parameters).raise_for_status()

        asked: dict[str, Callable[[Sample], None]] = {
            "trace by id": lambda sample: ask(f"/api/v3/traces/{sample.trace_id}", {}),
            "trace by id, legacy": lambda sample: ask(f"/api/traces/{sample.trace_id}", {}),
            "services": lambda _: ask("/api/v3/services", {}),
            "operations of a service": lambda _: ask("/api/v3/operations", {"service": "order"}),
            "summaries by service": lambda _: ask("/api/v3/trace-summaries", _search(service="order")),
            "summaries by service, older window": lambda sample: ask(
                "/api/v3/trace-summaries", _search(service="user", until_unix_nano=sample.start_unix_nano + 1)
            ),
            "summaries by attribute, in one trace": lambda sample: ask(
                "/api/v3/trace-summaries", _search(attributes={"session.id": sample.session_id})
            ),
            "summaries by attribute, in about 20 traces": lambda sample: ask(
                "/api/v3/trace-summaries", _search(attributes={"user.id": sample.user_id})
            ),
            "summaries by attribute, in every trace": lambda _: ask(
                "/api/v3/trace-summaries", _search(attributes={"rpc.method": "GetUser"})
            ),
            "summaries by attribute, in no trace": lambda sample: ask(
                "/api/v3/trace-summaries", _search(attributes={"session.id": sample.session_id[::-1] + "0"})
            ),
            "summaries of errors of a service": lambda _: ask(
                "/api/v3/trace-summaries", _search(service="order", attributes={"error": "true"})
            ),
            "logs of a trace": lambda sample: ask("/api/lab/logs", {"traceId": sample.trace_id}),
            "logs by rare text": lambda sample: ask("/api/lab/logs", {"text": sample.session_id}),
            "logs by common text": lambda _: ask("/api/lab/logs", {"text": "orders listed"}),
        }
        for name, question in asked.items():
            chosen = [samples[number * 37 % len(samples)] for number in range(query_count)]
            figures.queries_ms[name] = _timing([_timed_ms(partial(question, sample)) for sample in chosen])


def _search(
    *, service: str = "", attributes: dict[str, str] | None = None, until_unix_nano: int | None = None
) -> dict[str, str]:
    end = until_unix_nano or time.time_ns()
    parameters = {
        "query.startTimeMin": _rfc3339(end - HOUR_NS),
        "query.startTimeMax": _rfc3339(end),
        "query.searchDepth": "20",
    }
    if service:
        parameters["query.serviceName"] = service
    if attributes:
        parameters["query.attributes"] = json.dumps(attributes)
    return parameters


def _rfc3339(unix_nano: int) -> str:
    return datetime.fromtimestamp(unix_nano / 1e9, UTC).isoformat().replace("+00:00", "Z")


def _timed_ms(ask: Callable[[], Any]) -> float:
    began_s = time.perf_counter()
    ask()
    return (time.perf_counter() - began_s) * 1000


def _timing(times_ms: list[float]) -> dict[str, float]:
    ordered = sorted(times_ms)
    return {
        "median": statistics.median(ordered),
        "p95": ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))],
        "max": ordered[-1],
    }


def _chunks(payloads: Iterable[Payload], size: int) -> Iterator[list[Payload]]:
    chunk: list[Payload] = []
    for payload in payloads:
        chunk.append(payload)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _pin(process: psutil.Process) -> bool:
    """Bind the backend to the last core; not every system can."""
    count = os.cpu_count() or 1
    if count < 2 or not hasattr(process, "cpu_affinity"):
        return False
    process.cpu_affinity([count - 1])
    return True


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _rss_mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def _as_dict(figures: Figures) -> dict[str, Any]:
    return {name: getattr(figures, name) for name in Figures.__slots__}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab bench backend", description="Measure the embedded backend.")
    parser.add_argument("--spans", type=int, default=1_000_000, metavar="N", help="how many to store (%(default)s)")
    parser.add_argument("--queries", type=int, default=100, metavar="N", help="how often each is asked (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())
