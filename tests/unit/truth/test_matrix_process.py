"""A process of the matrix that does not end when it is told to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.polling import eventually
from tracelab.fork_server import ProcessStarter
from tracelab.truth.matrix_process import MatrixProcess
from tracelab.truth.plan import TruthError

ROOT = Path(__file__).resolve().parents[3]
STUBBORN = """
import pathlib, signal, sys

def main():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pathlib.Path(sys.argv[-1]).touch()
    signal.pause()

if __name__ == "__main__":
    main()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
def test_who_does_not_end_in_time_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    ready = tmp_path / "ready"
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    with (
        ProcessStarter(environ, []) as starter,
        MatrixProcess(starter, ["stubborn", str(ready)], tmp_path / "stubborn") as process,
    ):
        eventually(ready.exists)
        with pytest.raises(TruthError, match="did not end within 0 s"):
            process.terminate(0.1)
        assert not process.has_ended
