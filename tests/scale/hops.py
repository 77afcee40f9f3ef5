"""What each hop says that it took, handed on and let go: so that what is missing at the end was lost somewhere.

Collectors count by themselves, from their start on: of one that was killed meanwhile the numbers say nothing.
"""

from __future__ import annotations

import re
import urllib.request
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tests.polling import eventually
from tests.scale.cluster import METRICS_PORT, Cluster
from tests.scale.processes import EngineProcess
from tracelab.chaos.experiment import Count

# A unit in the name and the ending _total come and go with versions of the exporter.
COUNTER: Final = re.compile(r"^otelcol_(\w+?)(?:__[a-z]+_)?(?:_total)?(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)
LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
STILL_FOR: Final = 50  # so many readings, one each 20 ms, are alike once nothing is under way


@dataclass(frozen=True, slots=True)
class Hops:
    """Counters of all Collectors that live, summed by name, and by name and one label: `name{sampled=false}`."""

    agents: Counter[str]
    gateways: Counter[str]
    kafka_records: int

    def counts_since(self, before: Hops) -> tuple[Count, ...]:
        """What happened in between, on a span's way. A record of Kafka is what one batch had of one trace."""
        agents, gateways = self.agents - before.agents, self.gateways - before.gateways
        return (
            Count("agents: spans accepted", agents["receiver_accepted_spans"]),
            Count("agents: spans refused", agents["receiver_refused_spans"]),
            Count("agents: spans that no room was for in the queue", agents["exporter_enqueue_failed_spans"]),
            Count("agents: spans handed to Kafka", agents["exporter_sent_spans"]),
            Count("agents: spans given up", agents["exporter_send_failed_spans"]),
            Count("Kafka: records on otlp_spans", self.kafka_records - before.kafka_records),
            Count("gateways: spans read", gateways["receiver_accepted_spans"]),
            Count("gateways: partitions taken away from one", gateways["kafka_receiver_partition_close"]),
            Count("gateways: spans that came after their trace was kept", gateways[f"{_EARLY}{{sampled=true}}"]),
            Count("gateways: spans that came after their trace was let go", gateways[f"{_EARLY}{{sampled=false}}"]),
            Count("gateways: traces dropped before their time", gateways[_TOO_EARLY]),
            Count("gateways: spans handed to Jaeger", gateways["exporter_sent_spans"]),
            Count("gateways: spans given up", gateways["exporter_send_failed_spans"]),
        )


_EARLY: Final = "processor_tail_sampling_early_releases_from_cache_decision"
_TOO_EARLY: Final = "processor_tail_sampling_sampling_trace_dropped_too_early"


def hops(cluster: Cluster) -> Hops:
    """Read what every hop has counted so far."""
    return Hops(
        counters(cluster.all_of("agent")), counters(cluster.all_of("gateway")), cluster.record_count("otlp_spans")
    )


def counters(processes: Iterable[EngineProcess]) -> Counter[str]:
    """Sum what Collectors say of themselves; a process that is dead says nothing."""
    summed: Counter[str] = Counter()
    for process in processes:
        if process.is_running:
            with urllib.request.urlopen(f"http://{process.address}:{METRICS_PORT}/metrics", timeout=10) as answer:
                for name, labels, value in COUNTER.findall(answer.read().decode()):
                    summed[name] += int(float(value))
                    for label, word in LABEL.findall(labels):
                        summed[f"{name}{{{label}={word}}}"] += int(float(value))
    return summed


def settled_accepted(cluster: Cluster) -> int:
    """What the agents have accepted, once it no longer grows: the services send what they have within a moment."""
    seen: list[int] = []

    def read() -> bool:
        seen.append(counters(cluster.all_of("agent"))["receiver_accepted_spans"])
        return len(seen) > STILL_FOR and len(set(seen[-STILL_FOR:])) == 1

    eventually(read, within_s=60)
    return seen[-1]
