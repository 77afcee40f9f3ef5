"""What kustomize makes of otel/scale against the published schemas, by a checker that brings these with it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.scale.cluster import FILES
from tests.scale.conftest import CACHE, ENVIRON
from tests.scale.engines import FETCH_BOUND_S, kustomize

pytestmark = pytest.mark.timeout(1_800)

CHECKER: Final = "kubernetes-validate==1.37.0"
TOOL_BOUND_S: Final = 120.0


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that `kubectl apply -k otel/scale` would send, in one file."""
    command = [str(kustomize(CACHE, ENVIRON)), "build", str(FILES)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=TOOL_BOUND_S)
    assert made.returncode == 0, made.stderr
    file = tmp_path_factory.mktemp("manifests") / "all.yaml"
    file.write_text(made.stdout, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checker, in an environment of its own: nothing else here needs it."""
    folder = tmp_path_factory.mktemp("checker")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=FETCH_BOUND_S)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", CHECKER]
    subprocess.run(pip, check=True, timeout=FETCH_BOUND_S)
    return folder / "bin" / "kubernetes-validate"


def test_each_manifest_is_what_kubernetes_takes_and_nothing_more(checker: Path, manifests: Path) -> None:
    checked = subprocess.run(
        [str(checker), "--strict", str(manifests)], capture_output=True, text=True, timeout=TOOL_BOUND_S
    )
    said = checked.stdout + checked.stderr
    assert checked.returncode == 0, said
    assert said.count("passed") == len(documents(manifests)), said


def test_a_pod_is_given_its_engines_file_by_a_name_that_changes_with_it(manifests: Path) -> None:
    config_maps = {each["metadata"]["name"] for each in documents(manifests) if each["kind"] == "ConfigMap"}
    mounted = Counter(
        volume["configMap"]["name"]
        for each in documents(manifests)
        if "template" in each.get("spec", {})
        for volume in each["spec"]["template"]["spec"].get("volumes", [])
        if "configMap" in volume
    )
    assert config_maps == set(mounted)
    assert {name.rpartition("-")[0] for name in config_maps} >= {"agent", "gateway", "jaeger", "kafka", "cassandra"}


def documents(manifests: Path) -> list[dict[str, Any]]:
    """The objects of a file."""
    return list(yaml.safe_load_all(manifests.read_text(encoding="utf-8")))
