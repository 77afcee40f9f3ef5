"""Query times as a store grows: `JAEGER=path/to/jaeger lab bench growth`, half an hour with five million spans.

Each engine is started with an empty store, bound to one core, and filled step by step; at each size, once it rests, the
same questions are asked of it, about traces of all its ages: whole traces, 20 at most, over the paths that the embedded
backend and every Jaeger up to 2.20 have. `--at` adds an engine that runs already, such as a Jaeger on Cassandra, with
the pids of all its processes: `--at NAME=OTLP,QUERY,PID[,PID…]`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks._backend_payloads import SPANS_PER_TRACE, PayloadMaker, Sample
from benchmarks._engine_load import QUESTIONS, NothingFoundError, come_to_rest, quantile, send, times_us
from benchmarks._engines import Running, embedded, engines_of_jaeger

SIZES: Final = (100_000, 1_000_000, 5_000_000)


@dataclass(frozen=True, slots=True)
class Step:
    """One engine at one size: processor time of storing what came since the size before, and its queries' times.

    `times_us` has the median and the 95th percentile of each question, nothing for one that found nothing.
    """

    engine: str
    span_count: int
    added_count: int
    cpu_ns: int
    stored_bytes: int
    resident_bytes: int
    times_us: Mapping[str, tuple[int, int] | None]


def main() -> int:
    """Measure and print."""
    arguments = _parser().parse_args()
    sizes = sorted(set(arguments.sizes))
    steps: list[Step] = []
    for engine in [embedded("embedded"), *engines_of_jaeger(os.environ)]:
        with (
            tempfile.TemporaryDirectory(prefix="growth-bench-") as folder,
            engine.running(Path(folder), (os.cpu_count() or 1) - 1) as running,
        ):
            steps += grown(engine.name, running, sizes, arguments.queries)
    for name, running in arguments.at:
        steps += grown(name, running, [size for size in sizes if size <= arguments.at_most], arguments.queries)
    print(json.dumps([asdict(step) for step in steps], indent=2) if arguments.json else report(steps))
    return 0


def grown(name: str, running: Running, sizes: Sequence[int], query_count: int) -> Iterator[Step]:
    """Fill one engine to each size, and ask it there."""
    samples: list[Sample] = []
    draw = random.Random(7)
    span_count = 0
    for seed, size in enumerate(sizes):
        maker = PayloadMaker((size - span_count) // SPANS_PER_TRACE, time.time_ns(), seed)
        added_count = maker.trace_count * SPANS_PER_TRACE
        before_ns = running.cpu_ns()
        send(running, (payload for payload in maker.payloads() if payload.signal == "trace"))
        come_to_rest(running)
        cpu_ns = running.cpu_ns() - before_ns
        span_count += added_count
        samples += maker.samples
        asked = draw.sample(samples, min(query_count, len(samples)))
        found = {question: _found_us(running, question, asked) for question in QUESTIONS}
        step = Step(name, span_count, added_count, cpu_ns, running.stored_bytes(), running.resident_bytes(), found)
        print(row(step), file=sys.stderr)  # at once: a run takes long, and may be ended
        yield step


def report(steps: Sequence[Step]) -> str:
    """Write the steps as a Markdown table, a row for each engine and size."""
    heads = ["engine", "spans", *(f"{question}, p50 / p95 ms" for question in QUESTIONS)]
    heads += ["spans stored per second of processor time", "bytes on disk a span", "resident MB"]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    return "\n".join([*lines, *map(row, steps)])


def row(step: Step) -> str:
    """Write one engine at one size as a row of the table."""
    cells = [step.engine, f"{step.span_count:,}"]
    for question in QUESTIONS:
        times = step.times_us[question]
        cells.append(f"{times[0] / 1000:.1f} / {times[1] / 1000:.1f}" if times else "finds nothing")
    cells += [
        f"{step.added_count / (step.cpu_ns / 1e9):,.0f}",
        f"{step.stored_bytes / step.span_count:,.0f}" if step.stored_bytes else "-",
        f"{step.resident_bytes / 1e6:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _found_us(running: Running, question: str, samples: Sequence[Sample]) -> tuple[int, int] | None:
    try:
        ordered = times_us(running, question, samples)
    except NothingFoundError:
        return None
    return quantile(0.5, ordered), quantile(0.95, ordered)


def _running(text: str) -> tuple[str, Running]:
    name, _, rest = text.partition("=")
    try:
        otlp, query, first_pid, *pids = rest.split(",")
        processes = tuple(psutil.Process(int(pid)) for pid in (first_pid, *pids))
    except (ValueError, psutil.Error):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=OTLP,QUERY,PID[,PID…] of processes that run") from None
    return name, Running(processes, otlp, query, folder=None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab bench growth",
        description="Measure queries of stores as they grow.",
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="at how many spans to ask")
    parser.add_argument("--queries", type=int, default=100, metavar="N", help="how often each is asked (%(default)s)")
    parser.add_argument(
        "--at", type=_running, action="append", default=[], metavar="NAME=OTLP,QUERY,PID", help="an engine that runs"
    )
    parser.add_argument(
        "--at-most", type=int, default=sys.maxsize, metavar="N", help="leave out larger sizes for engines that run"
    )
    parser.add_argument("--json", action="store_true", help="print the steps as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
