"""Two of each service on addresses of their own, with PostgreSQL behind them, each pair sending to its own agent."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from clients.discovery import probes
from clients.discovery.defaults import DEFAULT_PORTS, SERVICES
from tests.scale.cluster import ROOT, Cluster
from tests.scale.processes import EngineProcess

COUNT: Final = 2
KINDS: Final = {name: 10 + number for number, name in enumerate(SERVICES)}


class Replicas:
    """The services' processes, by name: user-1, user-2, order-1 and so on."""

    def __init__(self, cluster: Cluster, store_url: str, folder: Path, environ: Mapping[str, str]) -> None:
        self._cluster, self._store_url, self._folder, self._environ = cluster, store_url, folder, dict(environ)
        made = [self._replica(name, index) for name in SERVICES for index in range(1, COUNT + 1)]
        self.processes = {process.name: process for process in made}

    def __getitem__(self, name: str) -> EngineProcess:
        return self.processes[name]

    def addresses(self, name: str) -> list[str]:
        """Where all replicas of a service are."""
        port = DEFAULT_PORTS[name]["grpc"]
        return [f"{self._cluster.network.host(KINDS[name], index)}:{port}" for index in range(1, COUNT + 1)]

    @contextmanager
    def started(self) -> Iterator[None]:
        """All of them serving; ended with the block."""
        with ExitStack() as closing:
            for process in self.processes.values():
                closing.callback(process.stop)
                process.start()
                process.wait_until_ready()
            yield

    def _replica(self, name: str, index: int) -> EngineProcess:
        host, port = self._cluster.network.host(KINDS[name], index), DEFAULT_PORTS[name]["grpc"]
        agent = (index - 1) % len(self._cluster.all_of("agent")) + 1
        told = {
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
            "GRPC_VERBOSITY": "NONE",
            "LAB_STORE_URL": self._store_url,
            "LAB_LOGS_AS_SPAN_EVENTS": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": self._cluster.otlp_endpoint(agent),
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_BLRP_SCHEDULE_DELAY": "200",
            **{f"{it.upper()}_ADDRESS": f"ipv4:{','.join(self.addresses(it))}" for it in SERVICES},
        }
        words = [sys.executable, "-P", "-m", f"services.{name}_service", "--host", host, "--port", str(port)]
        words += ["--channel-option", "grpc.lb_policy_name=round_robin"]
        return EngineProcess(
            f"{name}-{index}", host, words, self._environ | told, self._folder / f"{name}-{index}",
            lambda: probes.service_serves(f"{host}:{port}"),
        )  # fmt: skip
