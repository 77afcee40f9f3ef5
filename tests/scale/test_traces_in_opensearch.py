"""Jaeger on OpenSearch, in place of Cassandra: what it takes, and what a dead node costs."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

import grpc
import pytest

from otel.query import TraceQuery
from tests.polling import eventually
from tests.scale.cluster import OTLP_PORT, QUERY_PORT, Cluster
from tests.scale.cost import cpu_seconds
from tests.scale.told import Told
from tracelab.chaos.experiment import Count, equal
from tracelab.chaos.sending import EXPORT, SPANS_IN_A_BATCH, batch

pytestmark = pytest.mark.timeout(600)

TRACE_COUNT: Final = 300


def test_a_killed_node_of_opensearch_costs_no_span_that_jaeger_puts_there(cluster: Cluster, told: Told) -> None:
    """A third of the traces is sent while all nodes live, a third while one is dead, and a third when it is back."""
    trace_ids, third = [secrets.token_bytes(16) for _ in range(TRACE_COUNT)], TRACE_COUNT // 3
    node, jaeger = cluster["opensearch-3"], cluster.jaeger_on_opensearch()
    jaeger.start()
    try:
        jaeger.wait_until_ready()
        with (
            grpc.insecure_channel(f"{jaeger.address}:{OTLP_PORT}") as channel,
            TraceQuery(f"http://{jaeger.address}:{QUERY_PORT}", timeout_s=30) as query,
        ):
            export: Any = channel.unary_unary(EXPORT)  # of bytes, as it has no serializers
            cpu_before_s = cpu_seconds(cluster)["opensearch"]
            _send(export, trace_ids[:third])
            _wait_until_whole(query, trace_ids[:third])
            spent_s = cpu_seconds(cluster)["opensearch"] - cpu_before_s
            node.kill()
            _send(export, trace_ids[third : 2 * third])
            node.start()
            node.wait_until_ready()
            _send(export, trace_ids[2 * third :])
            missing = _wait_until_whole(query, trace_ids)
    finally:
        jaeger.stop()
    told.counted(
        "an OpenSearch node killed under Jaeger",
        Count("traces sent", TRACE_COUNT),
        equal("of these, not stored whole", missing, 0),
        Count("spans for each second of OpenSearch's CPU, reading included", round(third * SPANS_IN_A_BATCH / spent_s)),
    )


def _send(export: Any, trace_ids: Sequence[bytes]) -> None:
    for trace_id in trace_ids:
        export(batch(trace_id), timeout=60)


def _wait_until_whole(query: TraceQuery, trace_ids: Sequence[bytes]) -> int:
    """Wait until each trace has all its spans, which takes Jaeger's flush and the index's refresh; gives 0."""

    def short() -> int:
        found = (query.trace(trace_id.hex()) for trace_id in trace_ids)
        return sum(trace is None or len(trace.spans) != SPANS_IN_A_BATCH for trace in found)

    return eventually(short, until=lambda count: count == 0, within_s=90)
