"""A whole demo through real engines, where the environment names some: a Collector binary, or Collector and Jaeger.

`OTELCOL=/path/to/otelcol-contrib`: it validates our configuration and carries a demo into the embedded backend.
`LAB_OTLP_ENDPOINT` and `LAB_QUERY_URL`: a demo goes to that Collector and is read back from that Jaeger.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from otel.analysis.model import LogRecord, Trace
from otel.analysis.span_event_logs import logs_of_span_events
from otel.query.client import TraceQuery
from tests.polling import eventually
from tracelab.stack import Stack, StackOptions

ROOT = Path(__file__).resolve().parents[2]
OTELCOL = os.environ.get("OTELCOL", "")
OTLP_ENDPOINT = os.environ.get("LAB_OTLP_ENDPOINT", "")
QUERY_URL = os.environ.get("LAB_QUERY_URL", "")
SERVICES = ("user", "order", "report")
CONFIGURATIONS = {
    "default": ["--config=otel/collector.yaml"],
    "full": ["--config=otel/collector.yaml", "--config=otel/collector.full.yaml"],
}

needs_collector = pytest.mark.skipif(not OTELCOL, reason="OTELCOL names no Collector binary")
needs_engines = pytest.mark.skipif(
    not (OTLP_ENDPOINT and QUERY_URL), reason="LAB_OTLP_ENDPOINT and LAB_QUERY_URL name no Collector and Jaeger"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def base_environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


@contextmanager
def collector(configuration: list[str], store: str, said: Path) -> Iterator[str]:
    """Run the Collector with our files in front of the embedded backend; yield where it takes OTLP/gRPC."""
    ports = {name: str(free_port()) for name in ("GRPC", "HTTP", "HEALTH")}
    environment = base_environment() | {f"COLLECTOR_{name}_PORT": port for name, port in ports.items()}
    environment |= {"COLLECTOR_HOST": "127.0.0.1", "TRACE_STORE": store, "LOG_STORE": store}
    with said.open("w") as stream:
        process = subprocess.Popen([OTELCOL, *configuration], cwd=ROOT, env=environment, stdout=stream, stderr=stream)
        try:
            eventually(lambda: process.poll() is not None or "Everything is ready" in said.read_text(), within_s=30)
            assert process.poll() is None, said.read_text()
            yield f"http://127.0.0.1:{ports['GRPC']}"
        finally:
            process.terminate()
            process.wait(20)


def demo_trace_id(stack: Stack, otlp_endpoint: str, query_url: str) -> str:
    """Run the demo against the stack's services and return the id of its report's trace."""
    environment = base_environment() | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "LAB_QUERY_URL": query_url,
        "LAB_LOGS_AS_SPAN_EVENTS": "true",
        "LAB_HOME": str(stack.options.home),
        **{f"{name.upper()}_ADDRESS": stack.address(name) for name in SERVICES},
    }
    shown = subprocess.run(
        [sys.executable, "-m", "clients.demo"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    found = re.search(r"/trace/([0-9a-f]{32})", shown.stderr)
    assert found, shown.stderr
    return found[1]


def whole_trace(query: TraceQuery, trace_id: str) -> Trace:
    """Wait until all four processes' spans are there and none waits for its parent."""

    def read() -> Trace | None:
        trace = query.trace(trace_id)
        if trace is None or {span.service_name for span in trace.spans} != {"demo", *SERVICES}:
            return None
        ids = {span.span_id for span in trace.spans}
        return trace if all(span.parent_span_id in {"", *ids} for span in trace.spans) else None

    found = eventually(read, within_s=30)
    assert found is not None
    return found


def assert_logs_are_joined(records: Sequence[LogRecord], trace: Trace) -> None:
    assert {record.service_name for record in records} >= set(SERVICES)
    assert {record.span_id for record in records} <= {span.span_id for span in trace.spans}


@needs_collector
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_collector_accepts_our_configuration(name: str) -> None:
    validated = subprocess.run(
        [OTELCOL, "validate", *CONFIGURATIONS[name]],
        cwd=ROOT, env=base_environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert validated.returncode == 0, validated.stderr


@needs_collector
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_whole_demo_reaches_the_embedded_backend_through_the_collector(name: str, tmp_path: Path) -> None:
    backend_options = StackOptions(home=tmp_path / "backend", ports="auto", only=("backend",))
    with Stack.start(backend_options, base_environment()) as backend:
        store = backend.otlp_endpoint.removeprefix("http://")
        with collector(CONFIGURATIONS[name], store, tmp_path / "collector.said") as endpoint:
            options = StackOptions(home=tmp_path, ports="auto", only=SERVICES, otlp_endpoint=endpoint)
            environment = base_environment() | {"LAB_LOGS_AS_SPAN_EVENTS": "true"}
            with Stack.start(options, environment) as stack, TraceQuery(backend.query_url) as query:
                trace = whole_trace(query, demo_trace_id(stack, endpoint, backend.query_url))
                # By itself our Collector keeps no logs, so they are read from the spans, as in Jaeger.
                records = eventually(
                    lambda: (
                        logs_of_span_events(trace.spans)
                        if name == "default"
                        else query.logs_of_trace(trace.trace_id).records
                    ),
                    until=lambda records: {record.service_name for record in records} >= set(SERVICES),
                )
    assert_logs_are_joined(records, trace)


@needs_engines
def test_a_whole_demo_is_read_back_from_the_engines_that_the_environment_names(tmp_path: Path) -> None:
    options = StackOptions(home=tmp_path, ports="auto", only=SERVICES, otlp_endpoint=OTLP_ENDPOINT)
    environment = base_environment() | {"LAB_LOGS_AS_SPAN_EVENTS": "true"}
    with Stack.start(options, environment) as stack, TraceQuery(QUERY_URL) as query:
        trace = whole_trace(query, demo_trace_id(stack, OTLP_ENDPOINT, QUERY_URL))
        records = query.logs_of_trace(trace.trace_id).records
    assert_logs_are_joined(records, trace)
