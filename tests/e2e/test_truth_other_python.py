"""The matrix on a second version of Python: what docs/truth.md says is what a run says there, too.

Runs where `LAB_OTHER_PYTHON` names an interpreter of another version than the tests' own; CI names one where the
machine has it. The interpreter gets an environment of its own from the locked requirements.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_truth import comparable
from tracelab.truth.document import DOCUMENT, document
from tracelab.truth.judge import Cell

ROOT = Path(__file__).resolve().parents[2]
OTHER_PYTHON = os.environ.get("LAB_OTHER_PYTHON", "")
INSTALL_BOUND_S = 300.0
MATRIX_BOUND_S = 240.0

pytestmark = [
    pytest.mark.skipif(not OTHER_PYTHON, reason="LAB_OTHER_PYTHON names no other Python"),
    pytest.mark.timeout(INSTALL_BOUND_S + MATRIX_BOUND_S),
]


def done(*words: str, within_s: float) -> str:
    """Run a command to its end and give its standard output."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LAB_"))}
    ran = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=within_s, check=False)
    assert ran.returncode == 0, ran.stdout[-2_000:] + ran.stderr[-2_000:]
    return ran.stdout


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment of the other Python, with the locked packages that a run needs."""
    version = done(OTHER_PYTHON, "-c", "import sys; print(*sys.version_info[:2], sep='.')", within_s=60.0).strip()
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        pytest.skip(f"LAB_OTHER_PYTHON is {version}, as these tests are")
    folder = tmp_path_factory.mktemp("other-python") / "venv"
    done(OTHER_PYTHON, "-m", "venv", str(folder), within_s=INSTALL_BOUND_S)
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    install = ("-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes")
    done(python, *install, "-r", "requirements.txt", within_s=INSTALL_BOUND_S)
    return python


def test_the_page_in_the_docs_is_what_a_run_on_another_python_says(other_python: str) -> None:
    found = json.loads(done(other_python, "-m", "clients.cli", "truth", "--json", within_s=MATRIX_BOUND_S))
    said = comparable(DOCUMENT.read_text(encoding="utf-8"))
    assert said == comparable(document([Cell(**cell) for cell in found["cells"]]))
