"""The same engines and services: what a dead one costs, counted, with where it was lost.

Opt-in (`./lab test --scale`). Each test can be run alone, and starts again what it killed where another needs it.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.scale.counting import is_kept_by_rule
from tests.scale.hops import hops
from tests.scale.promises import Bench, calls_counted
from tests.scale.told import Told
from tracelab.chaos.experiment import Count, equal

pytestmark = pytest.mark.timeout(1_800)

LOSS_BOUND_S: Final = 60.0  # where something is lost for good, all that is to come has come by then


def test_a_killed_service_replica_costs_no_call_and_only_the_spans_it_had_not_sent(bench: Bench, told: Told) -> None:
    load, stored = bench.under_load(bench.replicas["report-1"].kill, bound_s=LOSS_BOUND_S)
    bench.replicas["report-1"].start()
    bench.replicas["report-1"].wait_until_ready()
    told.counted(
        "a service replica killed",
        *calls_counted(load),
        Count("traces that the rule keeps", sum(map(is_kept_by_rule, load.calls))),
        Count("kept traces of which nothing is stored", len(stored.missing(load.calls))),
        Count("stored traces with a hole", len(stored.holed)),
    )


def test_a_killed_jaeger_costs_no_span(bench: Bench, told: Told) -> None:
    jaeger = bench.cluster["jaeger-1"]
    load, stored = bench.under_load(jaeger.kill, after=jaeger.start)
    told.counted("a Jaeger killed", *calls_counted(load), *bench.traces_counted(load, stored))


def test_a_killed_gateway_costs_what_it_had_in_decision_and_a_replay_brings_it_back(bench: Bench, told: Told) -> None:
    gateway = bench.cluster["gateway-1"]
    load, stored = bench.under_load(gateway.kill, bound_s=LOSS_BOUND_S)
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
    again = bench.after_a_replay(load, "replay-of-gateway")
    gateway.start()
    gateway.wait_until_ready()
    bench.cluster.wait_until_gateways_share()
    told.counted("a gateway killed, after a replay from Kafka", *bench.traces_counted(load, again))


def test_a_killed_broker_costs_no_span(bench: Bench, told: Told) -> None:
    """While its partitions have no leader their spans wait; they come before their traces are decided about.

    It is the one that keeps the gateways' group: away for long it makes them let go of all, and they get the same back.
    """
    cluster = bench.cluster
    broker, before, partitions = cluster.gateways_broker(), hops(cluster), cluster.partitions()
    load, stored = bench.under_load(broker.kill, after=broker.start)
    told.seen("a Kafka broker killed, at each hop", *hops(cluster).counts_since(before))
    moved = partitions.items() ^ cluster.partitions().items()
    told.counted(
        "a Kafka broker killed",
        *calls_counted(load),
        *bench.traces_counted(load, stored),
        bench.logs_counted(load),
        equal("gateways that have other partitions than before", len({name for name, _ in moved}), 0),
    )


def test_a_killed_cassandra_node_costs_no_span(bench: Bench, told: Told) -> None:
    load, stored = bench.under_load(bench.cluster["cassandra-2"].kill)
    told.counted("a Cassandra node killed", *calls_counted(load), *bench.traces_counted(load, stored))


def test_a_killed_node_of_the_log_store_costs_no_record(bench: Bench, told: Told) -> None:
    """Its gateway keeps the records on disk until it is back; the others answer for it meanwhile."""
    node = bench.cluster["opensearch-1"]
    load, _ = bench.under_load(node.kill, after=node.start)
    told.counted("an OpenSearch node killed", *calls_counted(load), bench.logs_counted(load))
