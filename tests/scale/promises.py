"""What is promised of calls and of their traces, as counts; and a load with a harm done in its midst."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import grpc

from otel.query import TraceQuery
from tests.polling import eventually
from tests.scale.cluster import OTLP_PORT, Cluster
from tests.scale.counting import (
    KEEP_PERCENT,
    SETTLE_BOUND_S,
    Stored,
    calls_short_of_logs,
    is_kept_by_rule,
    stored_when_settled,
)
from tests.scale.load import Load, call_reports
from tests.scale.replicas import Replicas
from tests.scale.rule import id_in_share
from tracelab.chaos.experiment import Count, equal
from tracelab.chaos.sending import EXPORT, batch

TRACE_COUNT: Final = int(os.environ.get("SCALE_TRACES", "2000"))
KILL_TRACE_COUNT: Final = int(os.environ.get("SCALE_KILL_TRACES", "400"))


@dataclass(frozen=True, slots=True)
class Bench:
    """What every test of a kill needs: the engines, the services, one who reads, and what is known of a call."""

    cluster: Cluster
    replicas: Replicas
    query: TraceQuery
    user_id: str
    spans_of_a_call: Mapping[bool, int]
    logs_of_a_call: Mapping[bool, int]

    def under_load(
        self, harm: Callable[[], None], after: Callable[[], None] = lambda: None, bound_s: float = SETTLE_BOUND_S
    ) -> tuple[Load, Stored]:
        """Do the harm when a third of the calls has ended, what comes after it at two thirds; give what was stored."""
        load = Load()

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                addresses = self.replicas.addresses("report")
                group.create_task(call_reports(addresses, self.user_id, KILL_TRACE_COUNT, load))
                for share, act in ((1 / 3, harm), (2 / 3, after)):
                    while len(load.calls) < KILL_TRACE_COUNT * share:
                        await asyncio.sleep(0.01)
                    await asyncio.to_thread(act)

        asyncio.run(run())
        return load, stored_when_settled(self.query, load.calls, self.spans_of_a_call, bound_s)

    def after_a_replay(self, load: Load, group: str) -> Stored:
        """Let one more gateway of another group read again all that Kafka has, and ask anew."""
        replay = self.cluster.gateway("gateway-9", 9, GATEWAY_GROUP=group)
        replay.start()
        try:
            replay.wait_until_ready()
            return stored_when_settled(self.query, load.calls, self.spans_of_a_call)
        finally:
            replay.stop()

    def logs_counted(self, load: Load) -> Count:
        """Count what is promised of the logs, which are not sampled."""
        short = calls_short_of_logs(self.query, load.calls, self.logs_of_a_call)
        return equal("calls without exactly their log records", short, 0)

    def traces_counted(self, load: Load, stored: Stored) -> tuple[Count, ...]:
        """Count what is promised of the traces."""
        return traces_counted(load, stored, self.spans_of_a_call)


def calls_counted(load: Load) -> tuple[Count, ...]:
    """Count what the callers saw."""
    return (
        Count("calls made", len(load.calls)),
        Count("of these, meant to fail", len(load.errors)),
        equal("calls that did not end as was meant", load.failed_count, 0),
    )


def traces_counted(load: Load, stored: Stored, spans_of_a_call: Mapping[bool, int]) -> tuple[Count, ...]:
    """Count what is promised of the traces."""
    kept = [call for call in load.calls if is_kept_by_rule(call)]
    short = [call for call in kept if 0 < stored.span_counts.get(call.trace_id, 0) < spans_of_a_call[call.is_error]]
    missing = stored.missing(load.calls)
    return (
        Count("traces that the rule keeps", len(kept)),
        Count("traces that the rule lets go", len(load.calls) - len(kept)),
        equal("failed calls whose trace is not stored", sum(call.is_error for call in missing), 0),
        equal("kept traces of which nothing is stored", len(missing), 0),
        equal("kept traces that lack a span", len(short), 0),
        equal("traces stored against the rule", len(stored.unasked(load.calls)), 0),
    )


def wait_until_agents_are_read(cluster: Cluster) -> None:
    """Wait until a span of each agent is stored: by then gateways have their partitions, and Jaeger its tables."""
    with TraceQuery(cluster.query_url(1), timeout_s=30) as query:
        for agent in cluster.all_of("agent"):
            trace_id = id_in_share(KEEP_PERCENT)
            with grpc.insecure_channel(f"{agent.address}:{OTLP_PORT}") as channel:
                export: Any = channel.unary_unary(EXPORT)  # of bytes, as it has no serializers
                export(batch(trace_id), timeout=30)
            eventually(partial(query.trace, trace_id.hex()), within_s=120)
