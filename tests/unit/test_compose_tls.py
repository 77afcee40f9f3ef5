"""The compose file with mutual TLS over it: every file is one that `lab certs` makes, and nothing stays in the clear by
mistake. No engine runs here.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from otel.tls.files import VARIABLES
from otel.tls.try_out import issue
from tests.unit.test_compose import OTEL, ROOT, SERVICE_PORTS, load, merged

OVERLAY = OTEL / "docker-compose.tls.yml"
MADE_IN = PurePosixPath("/certs")
ENGINES = {"otel-collector": "collector", "jaeger": "jaeger"}
MOUNTED = "${LAB_CERTS:-./.lab/certs}:/certs:ro"


@pytest.fixture(name="overlay")
def _overlay() -> Any:
    return yaml.safe_load(OVERLAY.read_text(encoding="utf-8"))


@pytest.fixture(name="made", scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of what `lab certs` makes."""
    folder = tmp_path_factory.mktemp("made") / "certs"
    issue(folder, (), 1.0, dt.datetime.now(dt.UTC))
    return {path.name for path in folder.iterdir()}


def paths_in(value: Any) -> Iterator[PurePosixPath]:
    """Every path below /certs in a configuration."""
    if isinstance(value, dict):
        for each in value.values():
            yield from paths_in(each)
    elif isinstance(value, str) and value.startswith(f"{MADE_IN}/"):
        yield PurePosixPath(value)


@pytest.mark.parametrize("name", SERVICE_PORTS)
def test_a_service_speaks_mutual_tls_and_exports_by_it(overlay: Any, made: set[str], name: str) -> None:
    service = overlay["services"][name]
    assert service["environment"].keys() == {"OTEL_EXPORTER_OTLP_ENDPOINT", *VARIABLES.values()}
    assert service["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "https://otel-collector:4317"
    assert {path.name for path in paths_in(service["environment"])} <= made
    assert len(list(paths_in(service["environment"]))) == len(VARIABLES)
    assert service["volumes"] == [MOUNTED]


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_asks_for_a_certificate_and_reads_its_file_last(overlay: Any, made: set[str], name: str) -> None:
    base, over = load(OTEL / f"{ENGINES[name]}.yaml"), load(OTEL / f"{ENGINES[name]}.tls.yaml")
    protocols = merged(base, over)["receivers"]["otlp"]["protocols"]
    assert all(set(each["tls"]) == {"cert_file", "key_file", "client_ca_file"} for each in protocols.values())
    assert {path.name for path in paths_in(over)} <= made
    service = overlay["services"][name]
    mounts = dict(reversed(volume.rsplit(":", 2)[:2]) for volume in service["volumes"])
    last = service["command"][-1].removeprefix("--config=")
    assert (ROOT / mounts[last]).name == f"{ENGINES[name]}.tls.yaml"
    assert MOUNTED in service["volumes"]


def test_an_engine_reads_all_that_it_reads_without_tls(overlay: Any) -> None:
    plain = load(ROOT / "docker-compose.yml")
    for name in ENGINES:
        assert overlay["services"][name]["command"][:-1] == plain["services"][name]["command"]


def test_jaeger_is_sent_traces_by_tls_as_well() -> None:
    tls = merged(load(OTEL / "collector.yaml"), load(OTEL / "collector.tls.yaml"))["exporters"]["otlp_grpc/jaeger"][
        "tls"
    ]
    assert tls.pop("insecure") is False
    assert set(tls) == {"ca_file", "cert_file", "key_file"}


def test_whoever_owns_the_keys_runs_what_reads_them(overlay: Any) -> None:
    assert {name: it["user"] for name, it in overlay["services"].items()} == dict.fromkeys(
        [*SERVICE_PORTS, *ENGINES], "${LAB_UID:-1000}"
    )


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="no docker-compose on this machine")
@pytest.mark.parametrize("profile", ["default", "production"])
def test_docker_compose_accepts_both_files_together(profile: str) -> None:
    environment = {"PATH": os.environ["PATH"], "LAB_UID": "1234"}
    environment |= {"COMPOSE_PROFILES": profile} if profile != "default" else {}
    read = subprocess.run(
        ["docker-compose", "-f", "docker-compose.yml", "-f", str(OVERLAY.relative_to(ROOT)), "config"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, env=environment,
    )  # fmt: skip
    assert read.returncode == 0, read.stderr
    services = yaml.safe_load(read.stdout)["services"]
    for name in (*SERVICE_PORTS, *ENGINES):
        sources = {volume.split(":")[1]: volume.split(":")[0] for volume in services[name]["volumes"]}
        assert Path(sources["/certs"]) == ROOT / ".lab" / "certs"
        assert services[name]["user"] == "1234"
    assert services["user"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == "https://otel-collector:4317"
    assert services["user"]["environment"]["ORDER_ADDRESS"] == "order:50052"
