"""Start several of each engine on loopback, say where they are, and keep them until Ctrl-C: `python -m tests.scale`.

For a try-out without containers, and for `lab bench growth --at`.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from tests.scale.cluster import OTLP_PORT, QUERY_PORT, Cluster
from tests.scale.conftest import CACHE, ENVIRON
from tests.scale.engines import fetched
from tests.scale.promises import wait_until_agents_are_read


def main() -> int:
    """Run until SIGINT or SIGTERM."""
    ends = {signal.SIGINT, signal.SIGTERM}
    with tempfile.TemporaryDirectory(prefix="lab-scale-") as folder:
        cluster = Cluster(fetched(CACHE, ENVIRON), Path(folder), ENVIRON)
        with cluster.started():
            wait_until_agents_are_read(cluster)
            signal.pthread_sigmask(signal.SIG_BLOCK, ends)
            print(told(cluster), flush=True)
            signal.sigwait(ends)
    return 0


def told(cluster: Cluster) -> str:
    """Where services send and readers ask, and what a benchmark is told."""
    processes = [cluster["jaeger-1"], *cluster.all_of("cassandra")]
    jaeger, pids = processes[0].address, ",".join(str(process.pid) for process in processes)
    return "\n".join(
        [
            f"services  OTEL_EXPORTER_OTLP_ENDPOINT={cluster.otlp_endpoint(1)}",
            f"readers   LAB_QUERY_URL={cluster.query_url(1)} LAB_LOGS_URL={cluster.log_url(1)}",
            f"growth    --at 'Jaeger, Cassandra={jaeger}:{OTLP_PORT},{jaeger}:{QUERY_PORT},{pids}'",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
