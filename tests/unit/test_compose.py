"""The container configuration fits together: ports, names, pipelines, exporters, and what the services use.

No engine runs here: these tests read the files as the engines would, and `docker-compose config` does where it exists.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients.discovery.defaults import DEFAULT_PORTS
from services.options import ServingOptions, in_production

ROOT = Path(__file__).resolve().parents[2]
OTEL = ROOT / "otel"
PROFILES = ("default", "full", "production")
SERVICE_PORTS = {"user": 50051, "order": 50052, "report": 50053}
ENV_DEFAULT = re.compile(r"\$\{env:(\w+):-([^}]*)\}")


def load(path: Path) -> Any:
    """Read a YAML or JSON file, with `${env:NAME:-default}` replaced by its default, as the Collector does."""
    return yaml.safe_load(ENV_DEFAULT.sub(lambda match: match[2], path.read_text(encoding="utf-8")))


def merged(base: Any, over: Any) -> Any:
    """Merge two configurations as the Collector and Jaeger do: maps by key, everything else replaced."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return deepcopy(over)
    return {key: merged(base.get(key), over[key]) if key in over else base[key] for key in {**base, **over}}


def engine(name: str, profile: str) -> Any:
    base = load(OTEL / f"{name}.yaml")
    return base if profile in {"default", "production"} else merged(base, load(OTEL / f"{name}.full.yaml"))


@pytest.fixture(name="compose")
def _compose() -> Any:
    return load(ROOT / "docker-compose.yml")


def services_of(compose: Any, profile: str) -> set[str]:
    return {name for name, it in compose["services"].items() if profile in it.get("profiles", [profile])}


def published(compose: Any, name: str) -> dict[int, int]:
    """Map the ports of a container to those of this machine; each must be published on the loopback address only."""
    ports = {}
    for entry in compose["services"][name].get("ports", []):
        host, host_port, container_port = entry.split(":")
        assert host == "127.0.0.1", f"{name} publishes {entry} beyond this machine"
        ports[int(container_port)] = int(host_port)
    return ports


def port_of(endpoint: str) -> int:
    return int(endpoint.rsplit(":", 1)[1])


def test_the_default_stack_is_three_services_a_collector_and_jaeger(compose: Any) -> None:
    assert services_of(compose, "default") == {"user", "order", "report", "otel-collector", "jaeger"}


def test_the_profile_full_adds_prometheus_and_the_embedded_backend(compose: Any) -> None:
    assert services_of(compose, "full") - services_of(compose, "default") == {"prometheus", "backend"}


def test_every_port_is_published_once_and_on_this_machine_only(compose: Any) -> None:
    ports = [port for name in compose["services"] for port in published(compose, name).values()]
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize(("name", "port"), SERVICE_PORTS.items())
def test_a_service_listens_where_it_is_published_probed_and_called(compose: Any, name: str, port: int) -> None:
    service = compose["services"][name]
    assert service["command"] == [f"services.{name}_service", "--host", "0.0.0.0", "--port", str(port)]
    assert published(compose, name) == {port: port}
    assert service["healthcheck"]["test"] == ["CMD", "python", "-m", "services.healthcheck", f"127.0.0.1:{port}"]
    for caller in SERVICE_PORTS:
        environment = compose["services"][caller]["environment"]
        assert environment[f"{name.upper()}_ADDRESS"] == f"{name}:{port}"


def test_a_host_command_finds_the_stack_at_its_default_addresses(compose: Any) -> None:
    services = {name: {"grpc": port} for name, port in SERVICE_PORTS.items()}
    assert {name: dict(ports) for name, ports in DEFAULT_PORTS.items() if name != "backend"} == services
    engine_ports = {**published(compose, "otel-collector"), **published(compose, "jaeger")}
    assert set(DEFAULT_PORTS["backend"].values()) == set(engine_ports.values())


@pytest.mark.parametrize("name", SERVICE_PORTS)
def test_a_service_exports_to_the_collector_over_plain_grpc_with_logs_as_span_events(compose: Any, name: str) -> None:
    environment = compose["services"][name]["environment"]
    receiver = engine("collector", "default")["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://otel-collector:{port_of(receiver)}"
    assert environment["OTEL_EXPORTER_OTLP_PROTOCOL"] == "grpc"
    assert environment["LAB_LOGS_AS_SPAN_EVENTS"] == "true"


def test_variables_of_the_compose_file_are_strings_not_yaml_booleans(compose: Any) -> None:
    values = [value for it in compose["services"].values() for value in it.get("environment", {}).values()]
    assert values
    assert all(isinstance(value, str) for value in values)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", ["collector", "jaeger"])
def test_every_part_of_a_pipeline_is_defined_and_every_defined_part_is_used(name: str, profile: str) -> None:
    config = engine(name, profile)
    pipelines = config["service"]["pipelines"].values()
    connectors = set(config.get("connectors", {}))
    for kind in ("receivers", "processors", "exporters"):
        used = {part for pipeline in pipelines for part in pipeline.get(kind, [])}
        defined = set(config.get(kind, {}))
        allowed = defined | (connectors if kind != "processors" else set())
        assert used <= allowed, f"{kind} that nothing defines"
        unused = defined - used - ({"debug"} if profile == "full" else set())
        assert unused == set(), f"{kind} that no pipeline uses"
    for connector in connectors:
        assert any(connector in pipeline["exporters"] for pipeline in pipelines)
        assert any(connector in pipeline["receivers"] for pipeline in pipelines)
    assert set(config["service"]["extensions"]) == set(config["extensions"])


@pytest.mark.parametrize("profile", PROFILES)
def test_the_collector_takes_traces_logs_and_metrics_since_the_services_send_all_three(profile: str) -> None:
    pipelines = engine("collector", profile)["service"]["pipelines"]
    assert {"traces", "logs", "metrics"} == set(pipelines)
    assert all("otlp" in pipeline["receivers"] for pipeline in pipelines.values())


@pytest.mark.parametrize("profile", PROFILES)
def test_memory_is_limited_before_anything_else(profile: str) -> None:
    for pipeline in engine("collector", profile)["service"]["pipelines"].values():
        assert pipeline["processors"][0] == "memory_limiter"


def test_the_collector_is_published_on_both_otlp_ports(compose: Any) -> None:
    protocols = engine("collector", "default")["receivers"]["otlp"]["protocols"]
    assert {port_of(protocol["endpoint"]) for protocol in protocols.values()} == {4317, 4318}
    assert published(compose, "otel-collector") == {4317: 4317, 4318: 4318}


@pytest.mark.parametrize("profile", PROFILES)
def test_the_collector_sends_traces_to_where_jaeger_listens(compose: Any, profile: str) -> None:
    exporter = engine("collector", profile)["exporters"]["otlp_grpc/jaeger"]
    listening = engine("jaeger", profile)["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    assert (exporter["endpoint"], exporter["tls"]) == (f"jaeger:{port_of(listening)}", {"insecure": True})
    assert "jaeger" in services_of(compose, profile)


@pytest.mark.parametrize("profile", PROFILES)
def test_jaeger_writes_and_reads_one_storage_that_exists(profile: str) -> None:
    config = engine("jaeger", profile)
    backends = config["extensions"]["jaeger_storage"]["backends"]
    assert config["exporters"]["jaeger_storage_exporter"]["trace_storage"] in backends
    assert config["extensions"]["jaeger_query"]["storage"]["traces"] in backends
    assert all(backend["memory"]["max_traces"] > 0 for backend in backends.values())


def test_jaegers_query_port_is_the_one_that_readers_ask(compose: Any) -> None:
    endpoint = engine("jaeger", "default")["extensions"]["jaeger_query"]["http"]["endpoint"]
    assert published(compose, "jaeger") == {port_of(endpoint): 16686}


def test_without_the_profile_jaeger_promises_no_monitor_tab_and_the_collector_needs_no_log_store() -> None:
    jaeger, collector = engine("jaeger", "default"), engine("collector", "default")
    assert "metric_backends" not in jaeger["extensions"]["jaeger_storage"]
    assert "ui" not in jaeger["extensions"]["jaeger_query"]
    assert {part.partition("/")[0] for part in collector["exporters"]} == {"otlp_grpc", "debug"}
    assert collector["service"]["pipelines"]["logs"]["exporters"] == ["debug"]


def test_with_the_profile_logs_and_traces_reach_the_embedded_backend(compose: Any) -> None:
    config = engine("collector", "full")
    store = config["exporters"]["otlp_grpc/log_store"]["endpoint"]
    assert store == "backend:4317"
    assert f"--otlp-grpc-port {port_of(store)}" in compose["services"]["backend"]["command"][0]
    for signal in ("traces", "logs"):
        assert "otlp_grpc/log_store" in config["service"]["pipelines"][signal]["exporters"]


def test_with_the_profile_span_metrics_reach_the_monitor_tab_by_prometheus(compose: Any) -> None:
    collector, jaeger = engine("collector", "full"), engine("jaeger", "full")
    pipelines = collector["service"]["pipelines"]
    assert "spanmetrics" in pipelines["traces"]["exporters"]
    assert "spanmetrics" in pipelines["metrics"]["receivers"]
    target = f"otel-collector:{port_of(collector['exporters']['prometheus']['endpoint'])}"
    scraped = [
        one["targets"] for job in load(OTEL / "prometheus.yml")["scrape_configs"] for one in job["static_configs"]
    ]
    assert scraped == [[target]]
    metrics = jaeger["extensions"]["jaeger_query"]["storage"]["metrics"]
    endpoint = jaeger["extensions"]["jaeger_storage"]["metric_backends"][metrics]["prometheus"]["endpoint"]
    assert endpoint == "http://prometheus:9090"
    assert 9090 in published(compose, "prometheus")


def test_a_trace_in_jaeger_ui_links_to_its_logs_in_the_embedded_backend(compose: Any) -> None:
    ui = json.loads((OTEL / "jaeger-ui.json").read_text(encoding="utf-8"))
    query_port = int(re.findall(r"--query-port (\d+)", compose["services"]["backend"]["command"][0])[0])
    host_port = published(compose, "backend")[query_port]
    (link,) = ui["linkPatterns"]
    assert (link["type"], link["url"]) == ("traces", f"http://127.0.0.1:{host_port}/trace/#{{traceID}}")
    assert f"http://127.0.0.1:{query_port}/status" in compose["services"]["backend"]["healthcheck"]["test"][3]


@pytest.mark.parametrize("name", ["otel-collector", "jaeger", "prometheus"])
def test_an_engine_reads_only_files_that_are_mounted_and_exist(compose: Any, name: str) -> None:
    service = compose["services"][name]
    mounts = {target: source for source, target, mode in (volume.split(":") for volume in service["volumes"])}
    assert all((ROOT / source).is_file() for source in mounts.values())
    for profile in PROFILES:
        for argument in service["command"]:
            path = argument.partition("=")[2].replace("${COMPOSE_PROFILES:-default}", profile)
            assert not path.startswith("/") or path in mounts
    config_file = engine("jaeger", "full")["extensions"]["jaeger_query"]["ui"]["config_file"]
    assert name != "jaeger" or config_file in mounts


@pytest.mark.parametrize("name", SERVICE_PORTS)
def test_a_service_is_told_of_the_profile_and_allows_no_faults_in_any(compose: Any, name: str) -> None:
    service = compose["services"][name]
    assert service["environment"]["LAB_PROFILE"] == "${COMPOSE_PROFILES:-default}"
    assert "--allow-faults" not in service["command"]


def test_in_production_the_contract_is_not_told_and_faults_keep_a_service_from_starting() -> None:
    assert in_production(ServingOptions(), "production").reflection is False
    assert in_production(ServingOptions(), "production,full").reflection is False
    for profile in ("", "default", "full"):
        assert in_production(ServingOptions(allow_faults=True), profile) == ServingOptions(allow_faults=True)
    with pytest.raises(ValueError, match="--allow-faults: no call may ask for a fault in production"):
        in_production(ServingOptions(allow_faults=True), "production")


def test_the_log_store_says_so_when_only_its_flag_was_given(compose: Any) -> None:
    backend = compose["services"]["backend"]
    assert backend["environment"] == {"LAB_PROFILE": "${COMPOSE_PROFILES:-default}"}
    script = backend["command"][0].replace("$$", "$")
    refused = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, timeout=10, env={"LAB_PROFILE": "default"}
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "COMPOSE_PROFILES=full docker compose up" in refused.stderr


def test_the_image_does_not_run_as_root_and_copies_what_its_services_import() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users[-1:] == ["lab"]
    copied = {line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line}
    assert copied == {"requirements.txt", "generated", "otel", "services"}
    sent = {
        line.lstrip("!") for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"
    }
    assert copied == sent


def test_what_the_image_copies_is_enough_to_start_each_of_its_programs(compose: Any, tmp_path: Path) -> None:
    for folder in ("generated", "otel", "services"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    modules = [*(f"services.{name}_service" for name in SERVICE_PORTS), "services.healthcheck", "otel.backend"]
    for module in modules:
        started = subprocess.run(
            [sys.executable, "-m", module, "--help"],
            cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert started.returncode == 0, started.stderr
    used = {
        argument
        for it in compose["services"].values()
        for argument in it["command"] + it.get("healthcheck", {}).get("test", [])
    }
    assert {argument for argument in used if argument.startswith("services.")} == set(modules) - {"otel.backend"}


@pytest.mark.parametrize("option", ["--host", "--otlp-grpc-port", "--query-port", "--store"])
def test_the_log_store_is_started_with_options_that_the_backend_has(compose: Any, option: str) -> None:
    assert f" {option} " in compose["services"]["backend"]["command"][0]
    shown = subprocess.run(
        [sys.executable, "-m", "otel.backend", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert option in shown.stdout


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="no docker-compose on this machine")
@pytest.mark.parametrize("profile", PROFILES)
def test_docker_compose_accepts_the_file_as_it_stands(profile: str) -> None:
    environment = {"PATH": os.environ["PATH"]} | ({"COMPOSE_PROFILES": profile} if profile != "default" else {})
    read = subprocess.run(
        ["docker-compose", "config"], cwd=ROOT, capture_output=True, text=True, timeout=60, env=environment
    )
    assert read.returncode == 0, read.stderr
    resolved = yaml.safe_load(read.stdout)
    for name in ("otel-collector", "jaeger"):
        assert resolved["services"][name]["command"][-1].endswith(f"/{profile}.yaml")
    assert {resolved["services"][name]["environment"]["LAB_PROFILE"] for name in SERVICE_PORTS} == {profile}
