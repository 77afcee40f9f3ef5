"""The services on engines that scale, several of each: the demo's proof, what is kept, and what each hop costs.

Opt-in (`./lab test --scale`); each test can be run alone.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from clients.discovery.defaults import SERVICES
from tests.scale.cluster import ROOT, RULE, Cluster
from tests.scale.cost import cost_counts, cpu_seconds
from tests.scale.counting import stored_when_settled
from tests.scale.hops import hops, settled_accepted, settled_sent
from tests.scale.load import Load, call_reports
from tests.scale.promises import TRACE_COUNT, Bench, calls_counted, wait_until_agents_are_read
from tests.scale.told import Told
from tracelab.chaos.experiment import Count, equal
from tracelab.stack import Stack, StackOptions

pytestmark = pytest.mark.timeout(1_800)

DEMO_BOUND_S: Final = 180


def test_the_demo_ends_with_its_full_proof(cluster: Cluster, folder: Path, told: Told) -> None:
    """Through agent, Kafka, gateway, Jaeger and Cassandra; its logs through agent, Kafka, gateway and the log store."""
    home = folder / "demo"
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "LAB_HOME": str(home),
        "LAB_QUERY_URL": cluster.query_url(2),
        "LAB_LOGS_URL": cluster.log_url(2),
        "LAB_LOGS_AS_SPAN_EVENTS": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": cluster.otlp_endpoint(1),
    }
    options = StackOptions(home=home, ports="auto", only=SERVICES, otlp_endpoint=cluster.otlp_endpoint(1))
    cluster.restart_gateways(DECISION_WAIT="3s")  # the demo waits 10 s for its trace
    wait_until_agents_are_read(cluster)
    with Stack.start(options, environ):
        ran = subprocess.run(
            [sys.executable, "-m", "clients.cli", "demo"],
            cwd=ROOT, env=environ, capture_output=True, text=True, timeout=DEMO_BOUND_S,
        )  # fmt: skip
    cluster.restart_gateways(DECISION_WAIT=RULE["DECISION_WAIT"])
    print(ran.stdout, ran.stderr)
    assert ran.returncode == 0, ran.stderr
    told.counted("demo", equal("exit code", ran.returncode, 0))


def test_each_span_is_stored_or_sampled_out_by_the_rule(bench: Bench, told: Told) -> None:
    cluster, spans_of_a_call = bench.cluster, bench.spans_of_a_call
    before, accepted_before = hops(cluster), settled_accepted(cluster)
    cpu_before = cpu_seconds(cluster)
    load, begun_s = Load(), time.monotonic()
    asyncio.run(call_reports(bench.replicas.addresses("report"), bench.user_id, TRACE_COUNT, load))
    called_s = time.monotonic()
    accepted = settled_accepted(cluster) - accepted_before
    last_sent_s = settled_sent(cluster)
    spent = cpu_seconds(cluster)  # before anybody asks
    spent.subtract(cpu_before)
    stored = stored_when_settled(bench.query, load.calls, spans_of_a_call)
    told.seen("load, at each hop", *hops(cluster).counts_since(before))
    sampled_out = sum(spans_of_a_call[call.is_error] for call in load.calls if call.trace_id not in stored.span_counts)
    told.counted(
        "load",
        *calls_counted(load),
        *bench.traces_counted(load, stored),
        bench.logs_counted(load),
        Count("spans accepted by the agents", accepted),
        Count("spans stored", stored.span_count),
        Count("spans of the traces that the rule let go", sampled_out),
        equal("accepted, less stored and sampled out", accepted - stored.span_count - sampled_out, 0),
        Count("spans for each second, while calls were made", round(accepted / (called_s - begun_s))),
        Count("seconds from the last call until Jaeger had all that is kept", round(last_sent_s - called_s)),
    )
    log_records = sum(bench.logs_of_a_call[call.is_error] for call in load.calls)
    handled = dict.fromkeys(("agent", "kafka", "gateway"), accepted)
    handled |= dict.fromkeys(("jaeger", "cassandra"), stored.span_count) | {"opensearch": log_records}
    told.counted(
        "cost of the load, in spans (of OpenSearch: log records) for each second of CPU",
        *cost_counts(cluster, spent, handled),
    )
