"""The files of otel/scale fit together: topics, rule, queues, names, and what the compose overlay starts.

No engine runs here; `./lab test --scale` runs them on these files.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import SplitResult, urlsplit

import pytest
import yaml

from otel.query.opensearch import FIELDS
from tests.scale.cluster import RULE
from tests.scale.rule import HASH_SALT, fnv1a_64, is_in_share

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "otel" / "scale"
JAEGERS = ("jaeger", "jaeger-opensearch")
STORES = ("cassandra.yaml", "opensearch.yml")
ENGINE_FILES = ("agent.yaml", "gateway.yaml", "jaeger.yaml", "jaeger-opensearch.yaml", "kafka.properties", *STORES)
COLLECTORS = ("agent", "gateway")
SERVICES = {"user": "users:50051", "order": "orders:50052", "report": "reports:50053"}
ENV_DEFAULT = re.compile(r"\$\{env:(\w+):-([^}]*)\}")


def load(name: str) -> Any:
    """Read a file with every `${env:NAME:-default}` replaced by its default."""
    return yaml.safe_load(ENV_DEFAULT.sub(lambda match: match[2], (FILES / name).read_text(encoding="utf-8")))


def properties(name: str) -> dict[str, str]:
    lines = (line for line in (FILES / name).read_text(encoding="utf-8").splitlines() if line and line[0] != "#")
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


@pytest.fixture(name="compose")
def _compose() -> Any:
    return load("compose.yaml")["services"]


@pytest.mark.parametrize("name", ENGINE_FILES)
def test_a_file_says_why_it_is_there_and_what_to_change_for_more_machines(name: str) -> None:
    head = (FILES / name).read_text(encoding="utf-8").partition("\n\n")[0]
    assert "# Why " in head
    assert "# For N machines: " in head


@pytest.mark.parametrize("name", [*COLLECTORS, *JAEGERS])
def test_every_part_of_a_pipeline_is_defined_and_every_defined_part_is_used(name: str) -> None:
    config = load(f"{name}.yaml")
    pipelines = config["service"]["pipelines"].values()
    connectors = set(config.get("connectors", {}))
    for kind in ("receivers", "processors", "exporters"):
        used = {part for pipeline in pipelines for part in pipeline.get(kind, [])}
        assert used - connectors == set(config[kind])
    assert set(config["service"]["extensions"]) == set(config["extensions"])


@pytest.mark.parametrize("name", [*COLLECTORS, *JAEGERS])
def test_memory_is_limited_before_anything_else(name: str) -> None:
    pipelines = load(f"{name}.yaml")["service"]["pipelines"]
    # What spanmetrics hands on has passed the limiter as spans.
    taking = [it for it in pipelines.values() if "spanmetrics" not in it["receivers"]]
    assert taking
    assert all(pipeline["processors"][0] == "memory_limiter" for pipeline in taking)


@pytest.mark.parametrize("name", COLLECTORS)
def test_what_waits_for_the_next_hop_lies_on_disk_and_is_tried_until_it_is_taken(name: str) -> None:
    exporters = load(f"{name}.yaml")["exporters"]
    handing_on = {key: value for key, value in exporters.items() if key.startswith(("kafka", "otlp_"))}
    assert handing_on
    for exporter in handing_on.values():
        assert exporter["sending_queue"]["storage"] == "file_storage"
        assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s"


def test_gateways_read_the_topics_that_agents_write_and_the_compose_file_makes(compose: Any) -> None:
    kafka, receivers = load("agent.yaml")["exporters"]["kafka"], load("gateway.yaml")["receivers"]
    made = re.findall(r"for topic in ([\w ]+);", compose["kafka-topics"]["command"][0])
    for signal, name in (("traces", "kafka/spans"), ("logs", "kafka/logs")):
        assert [kafka[signal]["topic"]] == receivers[name][signal]["topics"]
        assert kafka[signal]["encoding"] == receivers[name][signal]["encoding"]
    assert made[0].split() == [kafka[signal]["topic"] for signal in ("traces", "logs")]
    assert kafka["producer"]["allow_auto_topic_creation"] is False
    assert properties("kafka.properties")["auto.create.topics.enable"] == "false"


def test_the_spans_of_a_trace_lie_in_one_partition_and_there_are_more_of_these_than_gateways(compose: Any) -> None:
    assert load("agent.yaml")["exporters"]["kafka"]["partition_traces_by_id"] is True
    (count,) = re.findall(r"--partitions (\d+)", compose["kafka-topics"]["command"][0])
    assert int(count) > sum(name.startswith("gateway-") for name in compose)


def test_each_gateway_has_a_name_by_which_its_partitions_come_back_to_it(compose: Any) -> None:
    text = (FILES / "gateway.yaml").read_text(encoding="utf-8")
    receivers = load("gateway.yaml")["receivers"].values()
    assert "group_instance_id: &name ${env:GATEWAY_NAME:-}" in text
    assert text.count("group_instance_id: ") == len(receivers) == len({each["group_id"] for each in receivers})
    names = [each["environment"]["GATEWAY_NAME"] for name, each in compose.items() if name.startswith("gateway-")]
    assert len(names) == len(set(names)) > 1
    (pod,) = (pod for pod in pods() if pod["containers"][0]["name"] == "gateway")
    (variable,) = (each for each in pod["containers"][0]["env"] if each["name"] == "GATEWAY_NAME")
    assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_a_broker_may_die_without_having_a_span_alone() -> None:
    broker = properties("kafka.properties")
    assert load("agent.yaml")["exporters"]["kafka"]["producer"]["required_acks"] == "all"
    assert 1 < int(broker["min.insync.replicas"]) < int(broker["default.replication.factor"])
    assert broker["offsets.topic.replication.factor"] == broker["default.replication.factor"]


def test_a_dead_brokers_partitions_have_a_leader_again_long_before_a_gateway_decides() -> None:
    missed_s = int(properties("kafka.properties")["broker.session.timeout.ms"]) / 1_000
    asked_anew_s = 5  # how often the Collector's Kafka client asks for leaders, at most
    decision_wait = load("gateway.yaml")["processors"]["tail_sampling"]["decision_wait"]
    assert 2 * (missed_s + asked_anew_s) <= int(decision_wait.removesuffix("s"))
    assert decision_wait == RULE["DECISION_WAIT"]  # of the tests that kill one


def test_logs_are_written_to_the_index_that_the_compose_file_and_the_job_make(compose: Any) -> None:
    url, template = log_store_url(), json.loads((FILES / "opensearch-index.json").read_text(encoding="utf-8"))
    _, alias, action = url.path.split("/")
    assert (load("gateway.yaml")["exporters"]["otlp_http/log_store"]["encoding"], action) == ("json", "_doc")
    job = next(pod for pod in pods() if pod["containers"][0]["name"] == "opensearch-index")
    for made in (compose["opensearch-index"]["command"][0].replace("$$", "$"), job["containers"][0]["args"][0]):
        assert f'put {alias}-000001 \'{{"aliases":{{"{alias}":{{"is_write_index":true}}}}}}\'' in made
        assert "@/etc/lab/opensearch-index.json" in made
    assert template["index_patterns"] == [f"{alias}-*"]
    assert f"/{alias} ./lab demo" in (FILES / "compose.yaml").read_text(encoding="utf-8")


def test_an_opensearch_node_may_die_without_having_a_record_alone() -> None:
    template = json.loads((FILES / "opensearch-index.json").read_text(encoding="utf-8"))["template"]
    assert template["settings"]["number_of_replicas"] >= 1
    # Logs go into an index with the template's fields alone; Jaeger brings its own templates.
    assert load("opensearch.yml")["action.auto_create_index"] == "+traces-jaeger-*,-*"


def test_jaeger_on_opensearch_is_jaeger_on_cassandra_but_for_the_store() -> None:
    on_cassandra, on_opensearch = (load(f"{name}.yaml") for name in JAEGERS)
    stores = [it["extensions"]["jaeger_storage"]["backends"].pop("lab") for it in (on_cassandra, on_opensearch)]
    assert on_cassandra == on_opensearch
    indices = stores[1]["opensearch"]["indices"]
    assert indices["index_prefix"] == "traces"  # which OpenSearch lets be made
    assert all(indices[kind]["replicas"] >= 1 for kind in ("spans", "services"))


def test_what_the_log_reader_asks_for_is_indexed() -> None:
    """And nothing else: a document may have any attribute there is."""
    mappings = json.loads((FILES / "opensearch-index.json").read_text(encoding="utf-8"))["template"]["mappings"]
    assert mappings["dynamic"] is False
    assert set(indexed(mappings)) == set(FIELDS)


def indexed(mapping: Any, path: str = "") -> Iterator[str]:
    """The dotted names of all fields that have a type."""
    for name, below in mapping["properties"].items():
        if "type" in below:
            yield f"{path}{name}"
        else:
            yield from indexed(below, f"{path}{name}.")


def log_store_url() -> SplitResult:
    return urlsplit(str(load("gateway.yaml")["exporters"]["otlp_http/log_store"]["logs_endpoint"]))


def test_the_gateway_keeps_errors_slow_traces_those_made_by_hand_and_a_share_by_trace_id() -> None:
    policies = {it["name"]: it for it in load("gateway.yaml")["processors"]["tail_sampling"]["policies"]}
    assert policies["errors"]["status_code"] == {"status_codes": ["ERROR"]}
    assert policies["by_hand"]["string_attribute"] == {"key": "service.name", "values": ["demo", "cli"]}
    assert policies["slow"]["latency"]["threshold_ms"] == 250
    assert policies["share"]["probabilistic"] == {"hash_salt": HASH_SALT, "sampling_percentage": 10}


def test_span_metrics_are_made_before_the_decision() -> None:
    pipelines = load("gateway.yaml")["service"]["pipelines"]
    (counted,) = [it for it in pipelines.values() if "spanmetrics" in it["exporters"]]
    assert "tail_sampling" not in counted["processors"]


def test_the_demo_can_search_for_its_session_in_jaeger() -> None:
    cassandra = load("jaeger.yaml")["extensions"]["jaeger_storage"]["backends"]["lab"]["cassandra"]
    assert "session.id" in cassandra["index"]["tag_whitelist"].split(",")


def test_jaeger_says_that_it_has_a_span_only_when_cassandra_does() -> None:
    config = load("jaeger.yaml")
    assert "batch" not in config["service"]["pipelines"]["traces"]["processors"]
    assert "queue" not in config["exporters"]["jaeger_storage_exporter"]
    cassandra = config["extensions"]["jaeger_storage"]["backends"]["lab"]["cassandra"]
    assert cassandra["query"]["consistency"] == "LOCAL_QUORUM"
    assert cassandra["schema"]["replication_factor"] == 3
    assert cassandra["schema"]["datacenter"] == cassandra["connection"]["local_dc"] == "datacenter1"


def test_the_share_is_worked_out_by_the_known_hash() -> None:
    # Published test vectors of 64-bit FNV-1a.
    assert fnv1a_64(b"") == 0xCBF29CE484222325
    assert fnv1a_64(b"a") == 0xAF63DC4C8601EC8C
    assert fnv1a_64(b"foobar") == 0x85944171F73967E8
    draw = Random(0)
    ids = [draw.randbytes(16) for _ in range(10_000)]
    assert 900 < sum(is_in_share(trace_id, 10) for trace_id in ids) < 1_100


def test_the_try_out_has_three_of_each_service_broker_and_node_and_two_of_each_collector(compose: Any) -> None:
    for name, address in SERVICES.items():
        replicas = [key for key in compose if re.fullmatch(rf"{name}(-\d)?", key)]
        assert len(replicas) == 3
        for replica in replicas:
            alias = address.partition(":")[0]
            assert compose[replica]["networks"]["default"]["aliases"] == [alias]
            assert "grpc.lb_policy_name=round_robin" in compose[replica]["command"]
            assert compose[replica]["environment"][f"{name.upper()}_ADDRESS"] == f"dns:///{address}"
    kinds = {"kafka-": 3, "cassandra-": 3, "opensearch-": 3, "gateway-": 2}
    for kind, count in kinds.items():
        assert sum(re.fullmatch(rf"{kind}\d", name) is not None for name in compose) == count
    assert {"otel-collector", "agent-2", "jaeger", "jaeger-2"} <= set(compose)


def test_the_names_that_the_files_take_for_granted_are_containers(compose: Any) -> None:
    brokers = {broker.partition(":")[0] for broker in load("agent.yaml")["exporters"]["kafka"]["brokers"]}
    for receiver in load("gateway.yaml")["receivers"].values():
        assert brokers == {broker.partition(":")[0] for broker in receiver["brokers"]}
    cassandra = load("jaeger.yaml")["extensions"]["jaeger_storage"]["backends"]["lab"]["cassandra"]
    servers = [server.partition(":")[0] for server in cassandra["connection"]["servers"]]
    seeds = load("cassandra.yaml")["seed_provider"][0]["parameters"][0]["seeds"].split(", ")
    assert {*brokers, *servers, *seeds} <= set(compose)
    for index in ("1", "2", "3"):
        assert compose[f"kafka-{index}"]["environment"]["KAFKA_HOST"] == f"kafka-{index}"
        assert f"-Dcassandra.settings.listen_address=cassandra-{index}" in compose[f"cassandra-{index}"]["command"]
        assert compose[f"opensearch-{index}"]["environment"]["OPENSEARCH_HOST"] == f"opensearch-{index}"
        assert compose[f"opensearch-{index}"]["networks"]["default"]["aliases"] == [log_store_url().hostname]


def test_cassandras_addresses_are_such_that_jaeger_takes_them() -> None:
    """A bare name without a dot it refuses, as no URL."""
    cassandra = load("jaeger.yaml")["extensions"]["jaeger_storage"]["backends"]["lab"]["cassandra"]
    named = yaml.safe_load(environment_of("jaeger")["CASSANDRA_SERVERS"])
    for server in (*cassandra["connection"]["servers"], *named):
        assert ":" in server or "." in server


def test_opensearch_starts_where_the_kernel_maps_few_areas() -> None:
    """Many machines have a vm.max_map_count of 65,530, with which it starts only if it does not map its files."""
    assert load("opensearch.yml")["node.store.allow_mmap"] is False


def test_a_cassandra_node_starts_once_the_one_before_it_is_in_the_ring_and_jaeger_after_all(compose: Any) -> None:
    for name, before in (("cassandra-2", "cassandra-1"), ("cassandra-3", "cassandra-2"), ("jaeger", "cassandra-3")):
        assert compose[name]["depends_on"][before] == {"condition": "service_healthy"}


def test_every_container_comes_back_and_all_with_a_shell_say_whether_they_are_healthy(compose: Any) -> None:
    collectors = {name for name, it in compose.items() if "collector" in it.get("image", "")}
    assert collectors == {"otel-collector", "agent-2", "gateway-1", "gateway-2"}
    for name, container in compose.items():
        is_first = name in SERVICES  # docker-compose.yml says it of these
        once = name in ("kafka-topics", "opensearch-index")
        assert is_first or container["restart"] == ("on-failure" if once else "unless-stopped"), name
        assert "healthcheck" in container or once or name in collectors, name


@pytest.mark.skipif(not (shutil.which("docker-compose") or os.environ.get("CI")), reason="there is no docker-compose")
def test_docker_compose_accepts_the_overlay_and_each_container_reads_files_that_exist() -> None:
    read = subprocess.run(
        ["docker-compose", "-f", "docker-compose.yml", "-f", "otel/scale/compose.yaml", "config"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert read.returncode == 0, read.stderr
    services = yaml.safe_load(read.stdout)["services"]
    for name in (
        "otel-collector",
        "agent-2",
        "gateway-1",
        "jaeger",
        "jaeger-2",
        "kafka-1",
        "cassandra-1",
        "opensearch-1",
    ):
        mounts = [it.split(":")[0] for it in services[name]["volumes"] if it.startswith("/")]
        assert any("/otel/scale/" in path for path in mounts)
        assert all(Path(path).is_file() for path in mounts)
    ports = [port.partition("/")[0] for it in services.values() if "profiles" not in it for port in it.get("ports", [])]
    assert len(ports) == len(set(ports))
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_manifests_are_all_listed_and_each_configuration_is_mounted_where_it_is_read() -> None:
    listed = yaml.safe_load((FILES / "kustomization.yaml").read_text(encoding="utf-8"))
    assert sorted(listed["resources"]) == sorted(f"kubernetes/{path.name}" for path in (FILES / "kubernetes").iterdir())
    generated = {it["name"]: it["files"] for it in listed["configMapGenerator"]}
    assert all((FILES / name).is_file() for names in generated.values() for name in names)
    mounted = set()
    for pod in pods():
        for volume in pod.get("volumes", []):
            if "configMap" in volume:
                (file,) = generated[volume["configMap"]["name"]]
                mounted.add(volume["configMap"]["name"])
                assert f"/{file}" in str(pod["containers"])
    assert mounted == set(generated)


def test_every_pod_that_stays_says_when_it_is_ready_and_how_much_memory_it_may_take() -> None:
    staying = [pod for pod in pods() if pod.get("restartPolicy") is None]
    assert len(staying) == 9
    for container in (it for pod in staying for it in pod["containers"]):
        assert "readinessProbe" in container
        assert "memory" in container["resources"]["limits"]


def environment_of(pod: str) -> dict[str, str]:
    """What a pod's first container is told, by name."""
    (container,) = [it["containers"][0] for it in pods() if it["containers"][0]["name"] == pod]
    return {it["name"]: it.get("value", "") for it in container["env"]}


def pods() -> list[Any]:
    documents = [
        document
        for path in sorted((FILES / "kubernetes").iterdir())
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    return [it["spec"]["template"]["spec"] for it in documents if "template" in it.get("spec", {})]
