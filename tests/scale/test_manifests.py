"""The Kubernetes manifests against the published schemas, by a checker that brings these with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.scale.cluster import FILES

CHECKER = "kubernetes-validate==1.37.0"
MANIFESTS = sorted((FILES / "kubernetes").glob("*.yaml"))


@pytest.fixture(scope="module")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checker, in an environment of its own: nothing else here needs it."""
    folder = tmp_path_factory.mktemp("checker")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", CHECKER]
    subprocess.run(pip, check=True, timeout=120)
    return folder / "bin" / "kubernetes-validate"


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_is_what_kubernetes_takes_and_nothing_more(checker: Path, manifest: Path) -> None:
    checked = subprocess.run([str(checker), "--strict", str(manifest)], capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "passed" in checked.stdout + checked.stderr
