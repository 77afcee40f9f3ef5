"""The services on engines that scale, several of each: what is kept, what a dead one costs, and what each hop costs.

Opt-in (`./lab test --scale`), in this order: what is killed is started again where a later test needs it.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from clients.discovery.defaults import SERVICES
from otel.query import TraceQuery
from tests.polling import eventually
from tests.scale.cluster import ROOT, Cluster
from tests.scale.counting import (
    KEEP_PERCENT,
    SETTLE_BOUND_S,
    Stored,
    ask,
    counters,
    is_kept_by_rule,
    stored_when_settled,
)
from tests.scale.load import Load, call_reports
from tests.scale.replicas import Replicas
from tests.scale.told import Told
from tracelab.chaos.experiment import Count, equal
from tracelab.stack import Stack, StackOptions

pytestmark = pytest.mark.timeout(1_800)

TRACE_COUNT: Final = int(os.environ.get("SCALE_TRACES", "2000"))
KILL_TRACE_COUNT: Final = int(os.environ.get("SCALE_KILL_TRACES", "400"))
DEMO_BOUND_S: Final = 180
LOSS_BOUND_S: Final = 45.0  # where something is lost for good, all that is to come has come by then
_spans_of_a_call: dict[bool, int] = {}


def test_the_demo_ends_with_its_full_proof(cluster: Cluster, folder: Path, told: Told) -> None:
    """Through agent, Kafka, gateway, Jaeger and Cassandra; its logs through agent, Kafka, gateway and the log store."""
    home = folder / "demo"
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "LAB_HOME": str(home),
        "LAB_QUERY_URL": cluster.query_url(2),
        "LAB_LOGS_URL": cluster.log_url,
        "LAB_LOGS_AS_SPAN_EVENTS": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": cluster.otlp_endpoint(1),
    }
    options = StackOptions(home=home, ports="auto", only=SERVICES, otlp_endpoint=cluster.otlp_endpoint(1))
    with Stack.start(options, environ):
        ran = subprocess.run(
            [sys.executable, "-m", "clients.cli", "demo"],
            cwd=ROOT, env=environ, capture_output=True, text=True, timeout=DEMO_BOUND_S,
        )  # fmt: skip
    print(ran.stdout, ran.stderr)
    assert ran.returncode == 0, ran.stderr
    told.counted("demo", equal("exit code", ran.returncode, 0))


def test_each_span_is_stored_or_sampled_out_by_the_rule(
    cluster: Cluster, replicas: Replicas, user_id: str, query: TraceQuery, told: Told
) -> None:
    warming = Load()  # first calls connect, and may be tried twice
    asyncio.run(call_reports(replicas.addresses("report"), user_id, 40, warming))
    calibration = Load()
    asyncio.run(call_reports(replicas.addresses("report"), user_id, 20, calibration, percent_of_share=KEEP_PERCENT))
    known = stored_when_settled(query, calibration.calls, None)
    _learn_spans_of_a_call(calibration, known, cluster, query)

    before, cpu_before = counters(cluster.all_of("agent")), cpu_seconds(cluster)
    load = Load()
    asyncio.run(call_reports(replicas.addresses("report"), user_id, TRACE_COUNT, load))
    stored = stored_when_settled(query, load.calls, _spans_of_a_call)
    accepted = settled_accepted(cluster) - before["otelcol_receiver_accepted_spans"]
    cpu = cpu_seconds(cluster)
    sampled_out = sum(_spans_of_a_call[call.is_error] for call in load.calls if call.trace_id not in stored.span_counts)
    told.counted(
        "load",
        *calls_counted(load),
        *traces_counted(load, stored),
        Count("spans accepted by the agents", accepted),
        Count("spans stored", stored.span_count),
        Count("spans of the traces that the rule let go", sampled_out),
        equal("accepted, less stored and sampled out", accepted - stored.span_count - sampled_out, 0),
    )
    told.counted(
        "cost of the load, in spans for each second of CPU",
        *(
            Count(f"{kind} ({spans:,} spans)", per_core(spent, spans))
            for kind in ("agent", "kafka", "gateway", "jaeger", "cassandra")
            for spans in (stored.span_count if kind in {"jaeger", "cassandra"} else accepted,)
            for spent in (cpu[kind] - cpu_before[kind],)
        ),
        *(
            Count(f"{process.name}: resident MiB", round(process.memory_mib()))
            for process in cluster.processes.values()
        ),
    )


def test_a_killed_service_replica_costs_no_call_and_only_the_spans_it_had_not_sent(
    cluster: Cluster, replicas: Replicas, user_id: str, query: TraceQuery, told: Told
) -> None:
    load, stored = under_load(replicas, user_id, query, replicas["report-1"].kill, bound_s=LOSS_BOUND_S)
    replicas["report-1"].start()
    replicas["report-1"].wait_until_ready()
    told.counted(
        "a service replica killed",
        *calls_counted(load),
        Count("traces that the rule keeps", sum(map(is_kept_by_rule, load.calls))),
        Count("kept traces of which nothing is stored", len(stored.missing(load.calls))),
        Count("stored traces with a hole", len(stored.holed)),
    )


def test_a_killed_jaeger_costs_no_span(
    cluster: Cluster, replicas: Replicas, user_id: str, query: TraceQuery, told: Told
) -> None:
    load, stored = under_load(replicas, user_id, query, cluster["jaeger-1"].kill, after=cluster["jaeger-1"].start)
    told.counted("a Jaeger killed", *calls_counted(load), *traces_counted(load, stored))


def test_a_killed_gateway_costs_what_it_had_in_decision_and_a_replay_brings_it_back(
    cluster: Cluster, replicas: Replicas, user_id: str, query: TraceQuery, told: Told
) -> None:
    load, stored = under_load(replicas, user_id, query, cluster["gateway-1"].kill, bound_s=LOSS_BOUND_S)
    lost = stored.missing(load.calls)
    told.counted(
        "a gateway killed",
        *calls_counted(load),
        Count("traces that the rule keeps", sum(map(is_kept_by_rule, load.calls))),
        Count("kept traces of which nothing is stored", len(lost)),
        Count("of these, traces of a failed call", sum(call.is_error for call in lost)),
        Count("stored traces with a hole", len(stored.holed)),
        equal("traces stored against the rule", len(stored.unasked(load.calls)), 0),
    )
    replay = cluster.gateway("gateway-9", 9, GATEWAY_GROUP="replay")
    replay.start()
    try:
        replay.wait_until_ready()
        again = stored_when_settled(query, load.calls, _spans_of_a_call)
    finally:
        replay.stop()
    cluster["gateway-1"].start()
    cluster["gateway-1"].wait_until_ready()
    told.counted("a gateway killed, after a replay from Kafka", *traces_counted(load, again))


def test_a_killed_broker_costs_no_span(
    cluster: Cluster, replicas: Replicas, user_id: str, query: TraceQuery, told: Told
) -> None:
    load, stored = under_load(replicas, user_id, query, cluster["kafka-1"].kill, after=cluster["kafka-1"].start)
    told.counted("a Kafka broker killed", *calls_counted(load), *traces_counted(load, stored))


def test_a_killed_cassandra_node_costs_no_span(
    cluster: Cluster, replicas: Replicas, user_id: str, query: TraceQuery, told: Told
) -> None:
    load, stored = under_load(replicas, user_id, query, cluster["cassandra-2"].kill)
    told.counted("a Cassandra node killed", *calls_counted(load), *traces_counted(load, stored))


def under_load(
    replicas: Replicas,
    user_id: str,
    query: TraceQuery,
    harm: Callable[[], None],
    after: Callable[[], None] = lambda: None,
    bound_s: float = SETTLE_BOUND_S,
) -> tuple[Load, Stored]:
    """Do the harm when a third of the calls has ended, what comes after it at two thirds; give what was stored."""
    load = Load()

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(call_reports(replicas.addresses("report"), user_id, KILL_TRACE_COUNT, load))
            for share, act in ((1 / 3, harm), (2 / 3, after)):
                while len(load.calls) < KILL_TRACE_COUNT * share:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(act)

    asyncio.run(run())
    return load, stored_when_settled(query, load.calls, _spans_of_a_call or None, bound_s)


def calls_counted(load: Load) -> tuple[Count, ...]:
    """What the callers saw."""
    return (
        Count("calls made", len(load.calls)),
        Count("of these, meant to fail", len(load.errors)),
        equal("calls that did not end as was meant", load.failed_count, 0),
    )


def traces_counted(load: Load, stored: Stored) -> tuple[Count, ...]:
    """What is promised of the traces."""
    kept = [call for call in load.calls if is_kept_by_rule(call)]
    short = [
        call
        for call in kept
        if _spans_of_a_call and 0 < stored.span_counts.get(call.trace_id, 0) < _spans_of_a_call[call.is_error]
    ]
    missing = stored.missing(load.calls)
    return (
        Count("traces that the rule keeps", len(kept)),
        Count("traces that the rule lets go", len(load.calls) - len(kept)),
        equal("failed calls whose trace is not stored", sum(call.is_error for call in missing), 0),
        equal("kept traces of which nothing is stored", len(missing), 0),
        equal("kept traces that lack a span", len(short), 0),
        equal("traces stored against the rule", len(stored.unasked(load.calls)), 0),
    )


def _learn_spans_of_a_call(load: Load, stored: Stored, cluster: Cluster, query: TraceQuery) -> None:
    """Find out how many spans a call has, by whether it fails: every one of a kind has the same number."""
    settled = eventually(
        lambda: ask(query, load.calls),
        until=lambda it: not it.holed and len(it.span_counts) == len(load.calls),
        within_s=60,
    )
    for is_error in (False, True):
        numbers = Counter(settled.span_counts[call.trace_id] for call in load.calls if call.is_error is is_error)
        assert len(numbers) == 1, f"calls of one kind have different numbers of spans: {numbers}"
        _spans_of_a_call[is_error] = next(iter(numbers))


def settled_accepted(cluster: Cluster) -> int:
    """What the agents have accepted, once it no longer grows: the services send what they have within a moment."""
    seen: list[int] = []

    def read() -> bool:
        seen.append(counters(cluster.all_of("agent"))["otelcol_receiver_accepted_spans"])
        return len(seen) > 50 and len(set(seen[-50:])) == 1

    eventually(read, within_s=60)
    return seen[-1]


def cpu_seconds(cluster: Cluster) -> Counter[str]:
    """CPU that each kind of engine has used so far."""
    spent: Counter[str] = Counter()
    for process in cluster.processes.values():
        if process.is_running:
            spent[re.sub(r"-\d+$", "", process.name)] += process.cpu_s()  # type: ignore[assignment]
    return spent


def per_core(cpu_s: float, span_count: int) -> int:
    """Spans for each second of CPU."""
    return round(span_count / cpu_s) if cpu_s else 0
