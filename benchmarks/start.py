"""Measures how long a person waits from `lab demo` to the trace on the screen, and what memory the processes take.

`python -m benchmarks.start [--warm N] [--cold N] [--json] [--output FILE]`, or `./lab bench start`. Warm: everything is
installed, the processes start. Cold: a fresh clone of the last commit without `.venv`, package caches off, with pip
and with uv. The clock runs from the start of `lab` until the sentence below the waterfall is on the terminal.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TRACE_IS_SHOWN = b"Report took"
RUN_BOUND_S = 900.0  # a cold run installs packages over the network


class BenchmarkError(Exception):
    """A run did not do what was to be measured; the text is for the person."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds of several runs: the extremes, the median, and each in the order of the runs."""

    min_s: float
    median_s: float
    max_s: float
    runs_s: tuple[float, ...]

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Spread:
        """Sum up at least one run."""
        rounded = tuple(round(value, 3) for value in seconds)
        return cls(min(rounded), round(median(rounded), 3), max(rounded), rounded)


def seconds_to_trace(lab: Path, environ: Mapping[str, str]) -> float:
    """Run `lab demo` on a terminal of its own; return the seconds until its trace is shown. POSIX only.

    Raises BenchmarkError when it ends without showing one, or after 15 minutes.
    """
    import pty  # of one system only

    ours, theirs = pty.openpty()
    started_s = time.perf_counter()
    process = subprocess.Popen(
        [lab, "demo", "--ports", "auto", "--no-wait"], stdin=theirs, stdout=theirs, stderr=theirs, env=dict(environ)
    )
    os.close(theirs)
    try:
        shown_s = _await_trace(ours, started_s)
        process.wait(timeout=60)
    finally:
        os.close(ours)
        process.kill()
        process.wait()
    return shown_s


def _await_trace(terminal: int, started_s: float) -> float:
    """Read the terminal to its end, noting when the trace was shown."""
    seen, shown_s = b"", 0.0
    while time.perf_counter() - started_s < RUN_BOUND_S:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other side is closed
            piece = b""
        if not piece:
            break
        seen += piece
        if not shown_s and TRACE_IS_SHOWN in seen:
            shown_s = time.perf_counter() - started_s
    if not shown_s:
        raise BenchmarkError(f"lab demo showed no trace; its last words: {seen[-400:].decode(errors='replace')}")
    return shown_s


def memory_mb(lab: Path, environ: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return the memory of each process in one demo, in MB, as the demo itself reports it.

    `peak_rss_mb` counts what processes share for each of them, `pss_mb` divides it, so that those alone add up.
    """
    ended = subprocess.run(
        [lab, "demo", "--ports", "auto", "--json"], capture_output=True, text=True, env=dict(environ), timeout=120
    )
    if ended.returncode != 0:
        raise BenchmarkError(f"lab demo --json failed: {ended.stderr.strip()[-400:]}")
    said = json.loads(ended.stdout)
    return {
        figure: {name: float(value) for name, value in said[figure].items() if value is not None}
        for figure in ("peak_rss_mb", "pss_mb")
    }


@contextmanager
def fresh_clone() -> Iterator[Path]:
    """Clone the last commit into a folder of its own, without an environment; removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="lab-cold-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True, timeout=120)
        yield clone


def cold_seconds(tool: str, environ: Mapping[str, str]) -> float:
    """Measure one first use with `tool`, pip or uv, every package downloaded."""
    with fresh_clone() as clone:
        cold = {
            **environ,
            "PATH": path_with(tool, environ["PATH"]),
            "LAB_HOME": str(clone / ".lab"),
            "PIP_NO_CACHE_DIR": "1",
            "UV_NO_CACHE": "1",
        }
        return seconds_to_trace(clone / "lab", cold)


def path_with(tool: str, path: str) -> str:
    """Return PATH without the folders that hold uv, when pip shall do it."""
    if tool == "uv":
        return path
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if not (Path(folder) / "uv").exists())


def measure(warm_count: int, cold_count: int, say: Any) -> dict[str, Any]:
    """Run it all; `say` hears what is being measured. Returns what `--json` prints."""
    lab = ROOT / "lab"
    with tempfile.TemporaryDirectory(prefix="lab-warm-") as home:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "LAB_"))}
        environ |= {"LAB_HOME": home, "TERM": "xterm-256color"}
        environ.pop("VIRTUAL_ENV", None)
        say("memory: one run that also warms up")
        result: dict[str, Any] = {"machine": machine(), **memory_mb(lab, environ), "to_trace": {}, "skipped": {}}
        result["pss_total_mb"] = round(sum(result["pss_mb"].values()), 1)
        say(f"warm: {warm_count} runs")
        result["to_trace"]["warm"] = asdict(Spread.of([seconds_to_trace(lab, environ) for _ in range(warm_count)]))
        for tool in ("pip", "uv") if cold_count else ():
            if tool == "uv" and not shutil.which("uv", path=environ["PATH"]):
                result["skipped"]["cold, uv"] = "uv is not on PATH"
                continue
            say(f"cold with {tool}: {cold_count} runs")
            seconds = [cold_seconds(tool, environ) for _ in range(cold_count)]
            result["to_trace"][f"cold, {tool}"] = asdict(Spread.of(seconds))
    return result


def machine() -> dict[str, Any]:
    """Say what the figures were measured on."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=10
    )
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cpu_count": os.cpu_count(),
        "commit": commit.stdout.strip(),
    }


def as_text(result: Mapping[str, Any]) -> str:
    """Lay out the figures for a person: seconds to the trace, then memory."""
    lines = [f"{'seconds to the trace':<22}{'min':>8}{'median':>8}{'max':>8}{'runs':>6}"]
    for name, spread in result["to_trace"].items():
        figures = f"{spread['min_s']:>8.2f}{spread['median_s']:>8.2f}{spread['max_s']:>8.2f}"
        lines.append(f"{name:<22}{figures}{len(spread['runs_s']):>6}")
    lines += [f"{name:<22}skipped: {why}" for name, why in result["skipped"].items()]
    lines += ["", f"{'memory, MB':<22}{'peak RSS':>10}{'PSS':>8}"]
    for name in dict.fromkeys((*result["peak_rss_mb"], *result["pss_mb"])):
        peak = f"{result['peak_rss_mb'][name]:.1f}" if name in result["peak_rss_mb"] else ""
        share = f"{result['pss_mb'][name]:.1f}" if name in result["pss_mb"] else ""
        lines.append(f"{name:<22}{peak:>10}{share:>8}")
    lines.append(f"{'together':<32}{result['pss_total_mb']:>8.1f}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when a run failed."""
    parser = argparse.ArgumentParser(prog="lab bench start", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--warm", type=int, default=10, metavar="N", help="runs with everything installed (default: 10)"
    )
    parser.add_argument(
        "--cold", type=int, default=3, metavar="N", help="first uses per installer; 0: none (default: 3)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else, on standard output")
    parser.add_argument("--output", metavar="FILE", default="-", help="write the result there")
    options = parser.parse_args(arguments)
    if options.warm < 1 or options.cold < 0:
        parser.error("--warm must be at least 1, --cold at least 0")
    try:
        result = measure(options.warm, options.cold, lambda line: print(line, file=sys.stderr, flush=True))
    except (BenchmarkError, OSError, subprocess.SubprocessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    text = json.dumps(result, indent=2) if options.json else as_text(result)
    if options.output == "-":
        print(text)
    else:
        Path(options.output).write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
