"""What engines cost: CPU by kind, memory by process."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from tests.scale.cluster import Cluster
from tracelab.chaos.experiment import Count


def cpu_seconds(cluster: Cluster) -> Counter[str]:
    """CPU that each kind of engine has used so far."""
    spent: Counter[str] = Counter()
    for process in cluster.processes.values():
        if process.is_running:
            spent[re.sub(r"-\d+$", "", process.name)] += process.cpu_s()  # type: ignore[assignment]
    return spent


def cost_counts(cluster: Cluster, spent: Mapping[str, float], handled: Mapping[str, int]) -> list[Count]:
    """What each kind handled for each second of CPU, `handled` by kind, and what each process takes of memory."""
    rates = [
        Count(f"{kind} ({n:,} of them)", round(n / spent[kind]) if spent[kind] else 0) for kind, n in handled.items()
    ]
    memory = [Count(f"{it.name}: resident MiB", round(it.memory_mib())) for it in cluster.processes.values()]
    return rates + memory
