"""The embedded backend beside Jaeger, in one table: `JAEGER=path/to/jaeger lab bench engines`.

In each round every engine starts with an empty store, bound to one core; the same four senders give it the same spans,
and once it has stored them the same questions are asked of it. The engines take turns in a new order each round, so
that what else the machine does meets all of them. Jaeger answers a sender before it stores; its processor time is read
when it rests again. Without `JAEGER` the embedded backend is measured alone; `--build DIR` adds another checkout's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks._backend_payloads import SPANS_PER_TRACE, Payload, PayloadMaker, Sample
from benchmarks._engine_load import QUESTIONS, NothingFoundError, come_to_rest, quantile, send, times_us
from benchmarks._engines import Engine, embedded, engines_of_jaeger
from benchmarks.tax import ratio_of_sums
from tracelab.compare.statistics.quantiles import MIN_BLOCKS, Interval


@dataclass(frozen=True, slots=True)
class Round:
    """One engine in one round: processor time of storing, and what each question took at the 95th percentile."""

    engine: str
    number: int
    span_count: int
    cpu_ns: int
    stored_bytes: int
    p95_us: Mapping[str, int]


def main() -> int:
    """Measure and print."""
    arguments = _parser().parse_args()
    engines = [embedded("embedded")]
    engines += [embedded(str(folder), folder.resolve()) for folder in arguments.build]
    engines += engines_of_jaeger(os.environ)
    try:
        rounds = measure(engines, arguments.rounds, arguments.spans, arguments.queries)
    except NothingFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps([asdict(each) for each in rounds], indent=2))
    else:
        print(report(rounds))
    return 0


def measure(engines: Sequence[Engine], round_count: int, span_count: int, query_count: int) -> list[Round]:
    """Run every engine in every round, in turns."""
    maker = PayloadMaker(max(1, span_count // SPANS_PER_TRACE), time.time_ns())
    payloads = [payload for payload in maker.payloads() if payload.signal == "trace"]
    order = random.Random(7)
    found = []
    for number in range(round_count):
        for engine in order.sample(engines, len(engines)):
            with tempfile.TemporaryDirectory(prefix="engines-bench-") as folder:
                found.append(_round(engine, number, Path(folder), payloads, maker.samples[:query_count]))
            print(f"round {number + 1}: {engine.name}", file=sys.stderr)
    return found


def report(rounds: Sequence[Round]) -> str:
    """Write the rounds as a Markdown table: medians over the rounds, and each engine over the embedded one."""
    names = sorted({each.engine for each in rounds}, key=lambda name: (name != "embedded", name))
    by_engine = {
        name: sorted((each for each in rounds if each.engine == name), key=lambda each: each.number) for name in names
    }
    lines = [f"| figure | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]

    def add(figure: str, values: Callable[[Round], float], form: str = "{:,.0f}") -> None:
        cells = [form.format(median(map(values, by_engine[name]))) for name in names]
        lines.append(f"| {figure} | {' | '.join(cells)} |")

    def add_ratio(figure: str, values: Callable[[Round], int]) -> None:
        cells = ["1"] + [_ratio(by_engine["embedded"], by_engine[name], values, figure) for name in names[1:]]
        lines.append(f"| {figure} | {' | '.join(cells)} |")

    add("spans per second of processor time", lambda each: each.span_count / (each.cpu_ns / 1e9))
    add_ratio("processor time a span, over embedded", lambda each: each.cpu_ns)
    add("bytes on disk a span", lambda each: each.stored_bytes / each.span_count)
    for question in QUESTIONS:
        add(f"{question}, p95 ms", lambda each, of=question: each.p95_us[of] / 1000, "{:.2f}")  # type: ignore[misc]
        add_ratio(f"{question}, p95 over embedded", lambda each, of=question: each.p95_us[of])  # type: ignore[misc]
    return "\n".join(lines)


def _ratio(first: Sequence[Round], other: Sequence[Round], values: Callable[[Round], int], seed: str) -> str:
    if len(first) < MIN_BLOCKS:
        return f"{sum(map(values, other)) / sum(map(values, first)):.2f}"
    interval: Interval = ratio_of_sums([values(each) for each in first], [values(each) for each in other], seed)
    return f"{interval.estimate:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _round(engine: Engine, number: int, folder: Path, payloads: Sequence[Payload], samples: Sequence[Sample]) -> Round:
    core = (os.cpu_count() or 1) - 1
    with engine.running(folder, core) as running:
        before_ns = running.cpu_ns()
        send(running, payloads)
        come_to_rest(running)
        cpu_ns = running.cpu_ns() - before_ns
        p95_us = {question: quantile(0.95, times_us(running, question, samples)) for question in QUESTIONS}
        stored_bytes = running.stored_bytes()
    return Round(engine.name, number, sum(each.count for each in payloads), cpu_ns, stored_bytes, p95_us)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab bench engines", description="Measure the embedded backend beside the Jaeger that JAEGER names."
    )
    parser.add_argument("--rounds", type=int, default=8, metavar="N", help="how often each engine runs (%(default)s)")
    parser.add_argument("--spans", type=int, default=100_000, metavar="N", help="how many each stores (%(default)s)")
    parser.add_argument("--queries", type=int, default=100, metavar="N", help="how often each is asked (%(default)s)")
    parser.add_argument(
        "--build", type=Path, action="append", default=[], metavar="DIR", help="another checkout's backend"
    )
    parser.add_argument("--json", action="store_true", help="print the rounds as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
