"""What tracing, logging and export cost a call: `lab bench tax`.

Every variant has a client and a server process of its own, all export to one sink process, and all stay up. A block
runs each variant once, in random order, so that the machine's moods hit all alike. Ratios to bare, and of ours to
stock's, which is what has to be below 1, come with intervals by the comparison's own bootstrap over blocks. A run
outlasts the delay between exports, so that it exports about as often as a service does. CPU counts client and server
from a run's start until what it recorded is exported; what the others' idle threads do meanwhile is not counted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, get_args

from tracelab.compare.statistics.quantiles import (
    MIN_BLOCKS,
    P99,
    Interval,
    Pool,
    block_draws,
    ratio_intervals,
    widened,
)

Api = Literal["aio", "sync"]
PROCESSES: Final[Mapping[Api, str]] = {"aio": "benchmarks._tax_process", "sync": "benchmarks._tax_sync_process"}
ERROR_RATE: Final = 0.05
DRAWS: Final = 2_000
EXPORT_DELAY_MS: Final = "200"  # what `lab` sets for the processes that it starts
_NO_EXPORT: Final = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
_TRACES: Final = {"OTEL_LOGS_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
_OFF: Final = {"OTEL_TRACES_SAMPLER": "always_off"}
_LINES: Final = {"TAX_LOG_LINES": "1"}


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of instrumenting both sides of a call."""

    name: str
    environ: Mapping[str, str]
    checkout: Path | None = None  # whose code runs; None: this one's


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of a variant does."""

    kind: str
    concurrency: int
    calls: int

    @property
    def name(self) -> str:
        """`unary, 8 at once`."""
        return f"{self.kind}, {self.concurrency} at once"


VARIANTS: Final = (
    Variant("bare", {"LAB_INSTRUMENTATION": "off", **_NO_EXPORT}),
    Variant("stock", {"LAB_INSTRUMENTATION": "stock", **_TRACES}),
    Variant("stock + logs", {"LAB_INSTRUMENTATION": "stock", "OTEL_METRICS_EXPORTER": "none", **_LINES}),
    Variant("stock, sampled out", {"LAB_INSTRUMENTATION": "stock", **_TRACES, **_OFF}),
    Variant("corrected", {"LAB_INSTRUMENTATION": "corrected", **_TRACES}),
    Variant("corrected, everything on", {"LAB_INSTRUMENTATION": "corrected", **_LINES}),
    Variant("corrected, sampled out", {"LAB_INSTRUMENTATION": "corrected", **_TRACES, **_OFF}),
)
EVERYTHING: Final = {"LAB_INSTRUMENTATION": "corrected", **_LINES}
# The price of what gRPC's core counts, and beside it the same thing twice: what differs there is the machine.
GRPC_METRICS_VARIANTS: Final = (
    Variant("bare", {"LAB_INSTRUMENTATION": "off", **_NO_EXPORT}),
    Variant("everything on", EVERYTHING),
    Variant("everything on, again", EVERYTHING),
    Variant("everything and gRPC metrics", {**EVERYTHING, "LAB_GRPC_METRICS": "true"}),
)
LOADS: Final = (
    Load("unary", 1, 300),
    Load("unary", 8, 600),
    Load("streaming", 1, 100),
    Load("streaming", 8, 160),
)
# What is set against what, in the same run: of the first three each has to be cheaper.
AGAINST: Final = {
    "corrected": "stock",
    "corrected, everything on": "stock + logs",
    "corrected, sampled out": "stock, sampled out",
    "everything on, again": "everything on",
    "everything and gRPC metrics": "everything on",
}
BEFORE: Final = ", before"


def with_before(variants: Sequence[Variant], checkout: Path) -> list[Variant]:
    """Add each variant of ours once more, as the code of another checkout does it."""
    ours = [variant for variant in variants if variant.environ.get("LAB_INSTRUMENTATION") == "corrected"]
    return [*variants, *(replace(variant, name=f"{variant.name}{BEFORE}", checkout=checkout) for variant in ours)]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one variant: wall time, CPU time of both sides with the export, and each call's latency."""

    variant: str
    load: str
    block: int
    calls: int
    wall_ns: int
    cpu_ns: int
    latencies_ns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One variant under one load, as ratios to another in the same blocks."""

    load: str
    variant: str
    baseline: str
    wall: Interval
    cpu: Interval
    p99: Interval


class _Process:
    """One child of the benchmark, asked by a line and answering with a line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.ready = self._read()

    def ask(self, command: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"error: a process of the benchmark ended by itself (exit status {self._process.wait()})")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass(frozen=True, slots=True)
class _Pair:
    client: _Process
    server: _Process

    def run(self, variant: str, load: Load, block: int) -> Run:
        before_ns = self._flushed_cpu_ns()
        answer = self.client.ask(asdict(load))
        cpu_ns = self._flushed_cpu_ns() - before_ns
        return Run(variant, load.name, block, load.calls, answer["wall_ns"], cpu_ns, tuple(answer["latencies_ns"]))

    def _flushed_cpu_ns(self) -> int:
        return sum(int(side.ask({"flush": True})["cpu_ns"]) for side in (self.client, self.server))


def measure(variants: Sequence[Variant], loads: Sequence[Load], blocks: int, seed: int, api: Api = "aio") -> list[Run]:
    """Run `blocks` blocks by this API after one that is thrown away; ends every process that it started."""
    generator = random.Random(seed)
    with ExitStack() as cleanup:
        home = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="tax-")))
        sink = cleanup.enter_context(_process("aio", "sink"))
        pairs = {variant.name: _pair(cleanup, home, api, variant, sink.ready["address"]) for variant in variants}
        runs: list[Run] = []
        for block in range(-1, blocks):
            for load in loads:
                order = generator.sample(sorted(pairs), len(pairs))
                runs += [pairs[name].run(name, load, block) for name in order]
            print(f"block {block + 1} of {blocks}", file=sys.stderr, flush=True)
    return [run for name in pairs for run in runs if run.variant == name and run.block >= 0]


def _pair(cleanup: ExitStack, home: Path, api: Api, variant: Variant, sink: str) -> _Pair:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sink}", **variant.environ}
    log_file = home / variant.name.replace(" ", "_")
    checkout = variant.checkout
    server = cleanup.enter_context(_process(api, "server", f"{log_file}.server", environ=environ, checkout=checkout))
    target, log = server.ready["address"], f"{log_file}.client"
    client = cleanup.enter_context(_process(api, "client", log, target, environ=environ, checkout=checkout))
    return _Pair(client, server)


@contextmanager
def _process(
    api: Api, *arguments: str, environ: Mapping[str, str] | None = None, checkout: Path | None = None
) -> Iterator[_Process]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LAB_"))}
    delays = {"OTEL_BSP_SCHEDULE_DELAY": EXPORT_DELAY_MS, "OTEL_BLRP_SCHEDULE_DELAY": EXPORT_DELAY_MS}
    process = subprocess.Popen(
        [sys.executable, "-m", PROCESSES[api], *arguments],
        cwd=checkout,  # `-m` looks there first
        env={**clean, **delays, "GRPC_VERBOSITY": "NONE", **(environ or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield _Process(process)
    finally:
        process.kill()
        process.communicate()


def rows(runs: Sequence[Run], seed: int) -> list[Row]:
    """Every variant but bare under every load as ratios to bare, then those of `AGAINST` as ratios to another."""
    loads = dict.fromkeys(run.load for run in runs)
    names = dict.fromkeys(run.variant for run in runs)
    pairs = [(name, "bare") for name in names if name != "bare"]
    pairs += [(name, other) for name, other in AGAINST.items() if {name, other} <= names.keys()]
    pairs += [(name, f"{name}{BEFORE}") for name in names if f"{name}{BEFORE}" in names]
    return [_row(runs, load, name, baseline, seed) for load in loads for name, baseline in pairs]


def _row(runs: Sequence[Run], load: str, name: str, baseline: str, seed: int) -> Row:
    below, above = (
        sorted((run for run in runs if run.load == load and run.variant == variant), key=lambda run: run.block)
        for variant in (baseline, name)
    )
    drawn_by = f"{seed}/{{}}/{load}/{name}" if baseline == "bare" else f"{seed}/{{}}/{load}/{name}/{baseline}"
    (p99,) = ratio_intervals(
        Pool.of([run.latencies_ns for run in below]),
        Pool.of([run.latencies_ns for run in above]),
        [P99],
        error_rate=ERROR_RATE,
        seed=drawn_by.format("p99"),
    )
    return Row(
        load,
        name,
        baseline,
        ratio_of_sums([run.wall_ns for run in below], [run.wall_ns for run in above], drawn_by.format("wall")),
        ratio_of_sums([run.cpu_ns for run in below], [run.cpu_ns for run in above], drawn_by.format("cpu")),
        p99,
    )


def ratio_of_sums(bare: Sequence[int], other: Sequence[int], seed: str) -> Interval:
    """The ratio of two totals over the same blocks, with limits by the bootstrap over blocks."""
    estimate = math.log(sum(other) / sum(bare))
    drawn = [
        math.log(
            sum(count * value for count, value in zip(counts, other, strict=True))
            / sum(count * value for count, value in zip(counts, bare, strict=True))
        )
        for counts in block_draws(len(bare), DRAWS, random.Random(seed))
    ]
    low, high = widened(estimate, drawn, error_rate=ERROR_RATE, block_count=len(bare))
    return Interval(math.exp(estimate), math.exp(low), math.exp(high), ERROR_RATE)


def report_json(runs: Sequence[Run], table: Sequence[Row], seed: int, blocks: int, api: Api) -> str:
    """The whole result, from which every figure can be computed again."""
    return json.dumps(
        {
            "schema": "tracelab.tax/2",
            "api": api,
            "seed": seed,
            "blocks": blocks,
            "environment": {
                "python": platform.python_version(),
                "system": platform.platform(),
                "cores": os.cpu_count(),
                "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
                **{name: version(name) for name in ("grpcio", "opentelemetry-sdk", "protobuf")},
            },
            "rows": [asdict(row) for row in table],
            "runs": [asdict(run) for run in runs],
        }
    )


def print_rows(table: Sequence[Row]) -> None:
    """Print the ratios, a block of lines for each load and baseline; and whether CPU is below another's."""
    for load in dict.fromkeys(row.load for row in table):
        over_bare = [row for row in table if row.load == load and row.baseline == "bare"]
        over_another = [row for row in table if row.load == load and row.baseline != "bare"]
        _print_block(f"{load}, over bare", [(row.variant, row, "") for row in over_bare])
        verdicts = [(f"{row.variant} / {row.baseline}", row, _verdict(row.cpu)) for row in over_another]
        if verdicts:
            _print_block(f"{load}, over another in the same blocks", verdicts)


def _print_block(heading: str, lines: Sequence[tuple[str, Row, str]]) -> None:
    print(f"\n{heading:<44}{'wall':>20}{'CPU':>20}{'p99':>20}")
    for name, row, verdict in lines:
        figures = "".join(f"{_figure(interval):>20}" for interval in (row.wall, row.cpu, row.p99))
        print(f"  {name:<42}{figures}  {verdict}".rstrip())


def _verdict(cpu: Interval) -> str:
    if cpu.high < 1:
        return "cheaper"
    return "dearer" if cpu.low > 1 else "undecided"


def _figure(interval: Interval) -> str:
    return f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def main() -> NoReturn:
    """Measure, print, and write the JSON if asked."""
    parser = argparse.ArgumentParser(prog="lab bench tax", description=__doc__)
    parser.add_argument("--blocks", type=int, default=30, help="blocks to measure (default 30, at least 8)")
    parser.add_argument("--seed", type=int, default=1, help="orders the runs and draws the bootstrap")
    parser.add_argument("--api", choices=get_args(Api), default="aio", help="which of gRPC's two APIs (default aio)")
    parser.add_argument("--grpc-metrics", action="store_true", help="the price of what gRPC's core counts alone")
    parser.add_argument(
        "--before", type=Path, metavar="DIR", help="set ours against the same of another checkout, in the same run"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write runs, environment and rows")
    arguments = parser.parse_args()
    if arguments.blocks < MIN_BLOCKS:
        parser.error(f"--blocks: {arguments.blocks} is fewer than {MIN_BLOCKS}, too few for an interval")
    variants: Sequence[Variant] = GRPC_METRICS_VARIANTS if arguments.grpc_metrics else VARIANTS
    if arguments.before:
        if not (arguments.before / "benchmarks" / "tax.py").is_file():
            parser.error(f"--before: {arguments.before} is no checkout of this project")
        variants = with_before(variants, arguments.before.resolve())
    runs = measure(variants, LOADS, arguments.blocks, arguments.seed, arguments.api)
    table = rows(runs, arguments.seed)
    print(f"ratios with 95 % intervals, {arguments.api}, {arguments.blocks} blocks, seed {arguments.seed}")
    print_rows(table)
    if arguments.json:
        arguments.json.write_text(
            report_json(runs, table, arguments.seed, arguments.blocks, arguments.api), encoding="utf-8"
        )
    raise SystemExit(0)


if __name__ == "__main__":
    main()
