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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import grpc
import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from benchmarks._backend_payloads import SPANS_PER_TRACE, Payload, PayloadMaker, Sample
from benchmarks._engines import JAEGER_STORAGES, Engine, Running, embedded, jaeger
from benchmarks.tax import ratio_of_sums
from tracelab.compare.statistics.quantiles import MIN_BLOCKS, Interval

EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SENDER_COUNT = 4
EXPORT_TIMEOUT_S = 60.0
HOUR_NS = 3600 * 1_000_000_000
# At rest: less than a fiftieth of a core, for a second.
REST_STEP_S = 0.5
REST_STEPS = 2
REST_SHARE = 0.02
REST_TIMEOUT_S = 60.0
QUESTIONS: Final = (
    "trace by id",
    "search by service",
    "search by one attribute, one trace",
    "search by one attribute, some",
)


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
    binary = os.environ.get("JAEGER", "")
    if binary:
        if not os.access(binary, os.X_OK):
            print(f"error: JAEGER={binary} is no program that can be run", file=sys.stderr)
            return 2
        engines += [jaeger(storage, Path(binary).resolve()) for storage in JAEGER_STORAGES]
    rounds = measure(engines, arguments.rounds, arguments.spans, arguments.queries)
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
        _send(running, payloads)
        _come_to_rest(running)
        cpu_ns = running.cpu_ns() - before_ns
        p95_us = {question: _p95_us(running, question, samples) for question in QUESTIONS}
        stored_bytes = running.stored_bytes()
    return Round(engine.name, number, sum(each.count for each in payloads), cpu_ns, stored_bytes, p95_us)


def _send(running: Running, payloads: Sequence[Payload]) -> None:
    with grpc.insecure_channel(running.otlp) as channel, ThreadPoolExecutor(SENDER_COUNT) as senders:
        export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
        for answer in senders.map(partial(export, timeout=EXPORT_TIMEOUT_S), [each.body for each in payloads]):
            if ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans:
                raise SystemExit("error: an engine refused spans")


def _come_to_rest(running: Running) -> None:
    deadline_s = time.monotonic() + REST_TIMEOUT_S
    calm, before_ns = 0, running.cpu_ns()
    while calm < REST_STEPS and time.monotonic() < deadline_s:
        time.sleep(REST_STEP_S)
        now_ns = running.cpu_ns()
        calm = calm + 1 if now_ns - before_ns < REST_SHARE * REST_STEP_S * 1e9 else 0
        before_ns = now_ns


def _p95_us(running: Running, question: str, samples: Sequence[Sample]) -> int:
    with httpx.Client(base_url=f"http://{running.query}", timeout=30) as client:
        times_us = sorted(_asked_us(client, *_request(question, sample)) for sample in samples)
    return times_us[min(len(times_us) - 1, round(0.95 * (len(times_us) - 1)))]


def _asked_us(client: httpx.Client, path: str, parameters: Mapping[str, str]) -> int:
    began_ns = time.perf_counter_ns()
    answer = client.get(path, params=parameters)
    took_ns = time.perf_counter_ns() - began_ns
    if not answer.is_success or not answer.json()["data"]:
        raise SystemExit(f"error: {answer.url} found nothing: {answer.status_code} {answer.text[:200]}")
    return took_ns // 1000


def _request(question: str, sample: Sample) -> tuple[str, dict[str, str]]:
    if question == QUESTIONS[0]:
        return f"/api/traces/{sample.trace_id}", {}
    end = time.time_ns()
    parameters = {"service": "order", "limit": "20", "start": str((end - HOUR_NS) // 1000), "end": str(end // 1000)}
    if question == QUESTIONS[2]:
        parameters["tags"] = json.dumps({"session.id": sample.session_id})
    elif question == QUESTIONS[3]:
        parameters["tags"] = json.dumps({"user.id": sample.user_id})
    return "/api/traces", parameters


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
