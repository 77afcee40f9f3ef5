"""What each hop says that it took, handed on and let go: so that what is missing at the end was lost somewhere.

Collectors count by themselves, from their start on: of one that was killed meanwhile the numbers say nothing.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from tests.scale.cluster import METRICS_PORT, RULE, Cluster
from tests.scale.processes import EngineProcess
from tracelab.chaos.experiment import Count

# A unit in the name and the ending _total come and go with versions of the exporter.
COUNTER: Final = re.compile(r"^otelcol_(\w+?)(?:__[a-z]+_)?(?:_total)?(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)
LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
READ_EVERY_S: Final = 0.5
SETTLE_BOUND_S: Final = 300.0
DECISION_WAIT_S: Final = int(RULE["DECISION_WAIT"].removesuffix("s"))


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
    return _settled(lambda: counters(cluster.all_of("agent"))["receiver_accepted_spans"], still_for_s=2)[0]


def settled_sent(cluster: Cluster) -> float:
    """Wait until what the gateways hand to Jaeger no longer grows: all is decided. Gives when it last grew."""
    gateways = cluster.all_of("gateway")
    return _settled(lambda: counters(gateways)["exporter_sent_spans"], still_for_s=DECISION_WAIT_S + 5)[1]


def _settled(read: Callable[[], int], still_for_s: float) -> tuple[int, float]:
    """Read until nothing has changed for so long; gives what it is since when. Readings cost those who are read."""
    until_s = time.monotonic() + SETTLE_BOUND_S
    seen, since_s = read(), time.monotonic()
    while time.monotonic() - since_s < still_for_s:
        assert time.monotonic() < until_s, f"still grows after {SETTLE_BOUND_S} s: {seen}"
        time.sleep(READ_EVERY_S)
        if (now := read()) != seen:
            seen, since_s = now, time.monotonic()
    return seen, since_s
