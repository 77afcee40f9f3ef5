"""`lab bench NAME`: runs a benchmark of `benchmarks/`. Words after the name go to it.

lab bench start
lab bench start --help
"""

from __future__ import annotations

import subprocess
import sys
from difflib import get_close_matches

from clients.errors import WrongUsageError
from tracelab.stack.command_lines import ROOT


def run(words: list[str]) -> int:
    """Run one benchmark; gives its exit code."""
    names = sorted(path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py"))
    if not words or words[0] in {"--help", "-h"}:
        print(f"Usage: lab bench NAME [OPTIONS]\n\n{__doc__}\nBenchmarks: {', '.join(names) or 'none'}")
        return 0 if words else 2
    if words[0] not in names:
        near = get_close_matches(words[0], names, n=1)
        raise WrongUsageError(
            f"{words[0]!r} is not a benchmark", f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
        )
    return subprocess.run([sys.executable, "-m", f"benchmarks.{words[0]}", *words[1:]], cwd=ROOT).returncode
