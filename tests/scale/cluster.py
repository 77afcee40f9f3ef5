"""Several of each engine on loopback, each on an address of its own with the usual ports, from the files of otel/scale.

127.N.0.x stands for the network of machines, N differs from run to run. Names in the files are Java's to find by a
hosts file; the programs of Go are told addresses by the variables that the files name.
"""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.polling import eventually
from tests.scale.engines import HERE, Engines
from tests.scale.processes import EngineProcess, accepts

ROOT: Final = HERE.parents[1]
FILES: Final = ROOT / "otel" / "scale"
KAFKA_PORT, CASSANDRA_PORT, OTLP_PORT, QUERY_PORT, HEALTH_PORT, METRICS_PORT = 9092, 9042, 4317, 16686, 13133, 8888
OPENSEARCH_PORT: Final = 9200
BROKERS, NODES, LOG_NODES, AGENTS, GATEWAYS, JAEGERS = 3, 3, 3, 2, 2, 2
PARTITIONS: Final = 6
CLUSTER_ID: Final = "bGFiLXNjYWxlLXRlc3RzMQ"
HEAP: Final = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:MaxDirectMemorySize=256m")
# The wait is gateway.yaml's own. What counts as slow is slower: no call of a busy machine is to be kept for that.
RULE: Final = {"DECISION_WAIT": "20s", "SLOW_MS": "2000", "KEEP_PERCENT": "10"}
TOOL_BOUND_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Network:
    """The addresses of a run."""

    number: int

    def host(self, kind: int, index: int) -> str:
        """The address of the index-th (from 1) of a kind."""
        return f"127.{self.number}.{kind}.{index}"

    @property
    def brokers(self) -> list[str]:
        """Kafka's addresses."""
        return [self.host(1, index) for index in range(1, BROKERS + 1)]

    @property
    def log_nodes(self) -> list[str]:
        """OpenSearch's addresses."""
        return [self.host(3, index) for index in range(1, LOG_NODES + 1)]

    @property
    def nodes(self) -> list[str]:
        """Cassandra's addresses."""
        return [self.host(2, index) for index in range(1, NODES + 1)]


class Cluster:
    """All engines of a run, by name: kafka-1, cassandra-1, agent-1, gateway-1, jaeger-1 and so on."""

    def __init__(self, engines: Engines, folder: Path, environ: Mapping[str, str]) -> None:
        self.network = Network(20 + os.getpid() % 200)
        self.engines, self.folder, self._environ = engines, folder, dict(environ)
        names = [(f"kafka-{i}", host) for i, host in enumerate(self.network.brokers, 1)]
        names += [(f"cassandra-{i}", host) for i, host in enumerate(self.network.nodes, 1)]
        self._hosts = folder / "hosts"
        self._hosts.write_text("".join(f"{host} {name}\n" for name, host in names))
        made = [self._broker(i) for i in range(1, BROKERS + 1)] + [self._node(i) for i in range(1, NODES + 1)]
        made += [self._log_node(i) for i in range(1, LOG_NODES + 1)]
        made += [self._jaeger(i) for i in range(1, JAEGERS + 1)]
        made += [self.gateway(f"gateway-{i}", i) for i in range(1, GATEWAYS + 1)]
        made += [self._agent(i) for i in range(1, AGENTS + 1)]
        self.processes = {process.name: process for process in made}

    def __getitem__(self, name: str) -> EngineProcess:
        return self.processes[name]

    def all_of(self, kind: str) -> list[EngineProcess]:
        """The processes of a kind, such as `gateway`."""
        return [process for name, process in self.processes.items() if name.startswith(f"{kind}-")]

    def otlp_endpoint(self, index: int) -> str:
        """Where the index-th agent takes OTLP."""
        return f"http://{self[f'agent-{index}'].address}:{OTLP_PORT}"

    def query_url(self, index: int) -> str:
        """Where the index-th Jaeger answers."""
        return f"http://{self[f'jaeger-{index}'].address}:{QUERY_PORT}"

    def log_url(self, index: int) -> str:
        """The index of logs, asked of the index-th node."""
        return f"opensearch+http://{self.network.log_nodes[index - 1]}:{OPENSEARCH_PORT}/otlp-logs"

    @contextmanager
    def started(self) -> Iterator[None]:
        """Everything started and serving, stores first; all of it ended with the block."""
        kafka, nodes, jaegers = self.all_of("kafka"), self.all_of("cassandra"), self.all_of("jaeger")
        with ExitStack() as closing:
            for process in self.processes.values():
                closing.callback(process.kill)
            _start([*kafka, nodes[0], *self.all_of("opensearch")])
            self._make_topics()
            self._make_tables()
            self._make_log_index()
            _start(nodes[1:])
            _start([*jaegers, *self.all_of("gateway"), *self.all_of("agent")])
            yield

    def gateway(self, name: str, index: int, **environ: str) -> EngineProcess:
        """A gateway on an address of its own, whose Jaeger and node for logs are those of the same number."""
        jaeger = self.network.host(4, (index - 1) % JAEGERS + 1)
        log_node = self.network.log_nodes[(index - 1) % LOG_NODES]
        return self._collector(
            name, 5, index, "gateway",
            GATEWAY_NAME=name, TRACE_STORE=f"{jaeger}:{OTLP_PORT}",
            LOG_STORE=f"http://{log_node}:{OPENSEARCH_PORT}/otlp-logs/_doc",
            **RULE, **environ,
        )  # fmt: skip

    def restart_gateways(self, **environ: str) -> None:
        """Stop them, which makes them decide what they hold, and start them with other variables."""
        for gateway in self.all_of("gateway"):
            gateway.stop()
            gateway.environ = {**gateway.environ, **environ}
        _start(self.all_of("gateway"))

    def record_count(self, topic: str) -> int:
        """How many records a topic has ever taken, over all partitions."""
        lines = self._tool("org.apache.kafka.tools.GetOffsetShell", "--topic", topic).splitlines()
        return sum(int(line.rsplit(":", 1)[1]) for line in lines if line.startswith(f"{topic}:"))

    def gateways_broker(self) -> EngineProcess:
        """The broker that keeps the gateways' group: whose death they notice."""
        (state,) = self._described("--state")
        return next(broker for broker in self.all_of("kafka") if state["COORDINATOR"].startswith(f"{broker.address}:"))

    def partitions(self) -> dict[str, str]:
        """Which partitions of otlp_spans each gateway reads, such as `otlp_spans:0,2,4`."""
        return {
            row["GROUP-INSTANCE-ID"]: row["CURRENT-ASSIGNMENT"] for row in self._described("--members", "--verbose")
        }

    def wait_until_gateways_share(self) -> None:
        """Wait until each gateway has partitions again: one that joins takes them from the others a moment later."""
        eventually(
            lambda: [read for read in self.partitions().values() if read != "-"], until=self._is_shared, within_s=60
        )

    def _is_shared(self, shares: list[str]) -> bool:
        return len(shares) == len(self.all_of("gateway"))

    def _described(self, *words: str) -> list[dict[str, str]]:
        tool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
        head, *rows = filter(None, self._tool(tool, "--describe", "--group", "gateways", *words).splitlines())
        return [dict(zip(head.split(), row.split(), strict=True)) for row in rows]

    def _agent(self, index: int) -> EngineProcess:
        return self._collector(f"agent-{index}", 6, index, "agent")

    def _collector(self, name: str, kind: int, index: int, file: str, **environ: str) -> EngineProcess:
        host, folder = self.network.host(kind, index), self.folder / name
        told = {
            "COLLECTOR_HOST": host,
            "QUEUE_FOLDER": str(folder / "queue"),
            "KAFKA_BROKERS": f"[{', '.join(f'{broker}:{KAFKA_PORT}' for broker in self.network.brokers)}]",
        }
        words = [str(self.engines.collector), f"--config={FILES / f'{file}.yaml'}"]
        return EngineProcess(name, host, words, self._environ | told | environ, folder, _healthy(host))

    def _jaeger(self, index: int, **environ: str) -> EngineProcess:
        name, host = f"jaeger-{index}", self.network.host(4, index)
        told = {
            "JAEGER_HOST": host,
            "CASSANDRA_TIMEOUT": "60s",
            "CASSANDRA_SERVERS": f"[{', '.join(self.network.nodes)}]",
        }
        words = [str(self.engines.jaeger), f"--config={FILES / 'jaeger.yaml'}"]
        return EngineProcess(
            name, host, words, self._environ | told | environ, self.folder / name, _healthy(host, "/status")
        )

    def jaeger_on_opensearch(self) -> EngineProcess:
        """One more Jaeger, whose store is where the logs are."""
        name, host = "jaeger-on-opensearch", self.network.host(4, 8)
        urls = ", ".join(f"http://{node}:{OPENSEARCH_PORT}" for node in self.network.log_nodes)
        told = {"JAEGER_HOST": host, "OPENSEARCH_URLS": f"[{urls}]"}
        words = [str(self.engines.jaeger), f"--config={FILES / 'jaeger-opensearch.yaml'}"]
        return EngineProcess(name, host, words, self._environ | told, self.folder / name, _healthy(host, "/status"))

    def _broker(self, index: int) -> EngineProcess:
        name, host = f"kafka-{index}", self.network.brokers[index - 1]
        folder = self.folder / name
        told = {
            "KAFKA_NODE_ID": str(index),
            "KAFKA_HOST": host,
            "KAFKA_VOTERS": ",".join(f"{i}@{broker}:9093" for i, broker in enumerate(self.network.brokers, 1)),
            "KAFKA_DATA": str(folder / "data"),
            "KAFKA_RUN": self._java("kafka", "kafka.Kafka"),
            "KAFKA_FORMAT": self._java("kafka", "kafka.tools.StorageTool"),
            "KAFKA_FILE": str(FILES / "kafka.properties"),
        }
        # As the container does it: format once, then serve, in one process.
        format_it = f'[ -d "$KAFKA_DATA" ] || $KAFKA_FORMAT format -t {CLUSTER_ID} -c "$KAFKA_FILE"'
        script = f'set -f; {format_it}; exec $KAFKA_RUN "$KAFKA_FILE"'
        return EngineProcess(
            name, host, ["sh", "-c", script], self._environ | told, folder, lambda: accepts(host, KAFKA_PORT)
        )

    def _node(self, index: int) -> EngineProcess:
        name, host = f"cassandra-{index}", self.network.nodes[index - 1]
        folder = self.folder / name
        words = [
            "java", *HEAP, f"@{HERE / 'cassandra' / 'java17.options'}", "-cp", f"{self.engines.cassandra}/*",
            f"-Djdk.net.hosts.file={self._hosts}", f"-Dlogback.configurationFile={HERE / 'cassandra' / 'logback.xml'}",
            f"-Dcassandra.config=file://{FILES / 'cassandra.yaml'}", f"-Dcassandra.storagedir={folder}",
            "-Dcassandra.config.allow_system_properties=true",
            f"-Dcassandra.settings.listen_address={host}", f"-Dcassandra.settings.rpc_address={host}",
            # Three empty nodes need not wait for one another: nothing is to be moved.
            f"-Dcassandra.settings.initial_token={_token(index)}", "-Dcassandra.settings.num_tokens=1",
            "-Dcassandra.settings.auto_bootstrap=false", "-Dcassandra.ring_delay_ms=5000",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.superuser_setup_delay_ms=0",
            "org.apache.cassandra.service.CassandraDaemon",
        ]  # fmt: skip
        return EngineProcess(name, host, words, self._environ, folder, lambda: accepts(host, CASSANDRA_PORT))

    def _log_node(self, index: int) -> EngineProcess:
        name, host = f"opensearch-{index}", self.network.log_nodes[index - 1]
        folder = self.folder / name
        told = {
            "OPENSEARCH_NODE": name,
            "OPENSEARCH_HOST": host,
            "OPENSEARCH_DATA": str(folder / "data"),
            "OPENSEARCH_SEEDS": ",".join(self.network.log_nodes),
            "OPENSEARCH_FIRST": ",".join(f"opensearch-{i}" for i in range(1, LOG_NODES + 1)),
        }
        here = HERE / "opensearch"
        words = [
            "java", *HEAP, "-Dopensearch.distribution.type=tar", f"-Dlog4j2.configurationFile={here}/log4j2.properties",
            "-cp", f"{self.engines.opensearch}/*", str(here / "LogNode.java"), str(folder), str(FILES),
        ]  # fmt: skip
        return EngineProcess(
            name, host, words, self._environ | told, folder, _answers(f"http://{host}:{OPENSEARCH_PORT}")
        )

    def _make_log_index(self) -> None:
        """As the container does it: the template first, then the first index, which all write to by one name."""
        node = f"http://{self.network.log_nodes[0]}:{OPENSEARCH_PORT}"
        _put(f"{node}/_index_template/otlp-logs", (FILES / "opensearch-index.json").read_bytes())
        _put(f"{node}/otlp-logs-000001", b'{"aliases":{"otlp-logs":{"is_write_index":true}}}')

    def _java(self, archives: str, main: str) -> str:
        folder = self.engines.kafka if archives == "kafka" else self.engines.cassandra
        said = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return f"java {' '.join(HEAP)} {said} -cp {folder}/* {main}"

    def _make_tables(self) -> None:
        """Let a Jaeger make its tables while there is one node: with more its driver waits a minute after each."""
        maker = self._jaeger(9, CASSANDRA_CONSISTENCY="LOCAL_ONE")
        try:
            _start([maker])
        finally:
            maker.stop()

    def _make_topics(self) -> None:
        for topic in ("otlp_spans", "otlp_logs"):
            self._tool("org.apache.kafka.tools.TopicCommand", "--create", "--if-not-exists", "--topic", topic,
                       "--partitions", str(PARTITIONS))  # fmt: skip

    def _tool(self, main: str, *words: str) -> str:
        command = ["java", *HEAP, "-cp", f"{self.engines.kafka}/*", main]
        command += ["--bootstrap-server", ",".join(f"{broker}:{KAFKA_PORT}" for broker in self.network.brokers), *words]
        ran = subprocess.run(command, env=self._environ, capture_output=True, text=True, timeout=TOOL_BOUND_S)
        assert ran.returncode == 0, ran.stderr + ran.stdout
        return ran.stdout


def _start(processes: Sequence[EngineProcess]) -> None:
    """Start them all, then wait for each."""
    for process in processes:
        process.start()
    for process in processes:
        process.wait_until_ready()


def _token(index: int) -> int:
    """Where a node's share of the ring begins: equal shares."""
    return -(2**63) + (index - 1) * 2**64 // NODES + 1


def _put(url: str, body: bytes) -> None:
    asked = urllib.request.Request(url, body, {"content-type": "application/json"}, method="PUT")
    with urllib.request.urlopen(asked, timeout=TOOL_BOUND_S):
        pass


def _healthy(host: str, path: str = "/") -> Callable[[], bool]:
    return _answers(f"http://{host}:{HEALTH_PORT}{path}")


def _answers(url: str) -> Callable[[], bool]:
    def is_ready() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    return is_ready
