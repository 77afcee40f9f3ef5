"""What the benchmarks of engines do to each: send spans, wait until it rests, ask."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import grpc
import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from benchmarks._backend_payloads import Payload, Sample
from benchmarks._engines import Running

EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SENDER_COUNT: Final = 4
EXPORT_TIMEOUT_S: Final = 60.0
MADE_AHEAD: Final = 64  # requests that are held in memory at once
HOUR_NS: Final = 3600 * 1_000_000_000
# At rest: no more than a fiftieth of a core, over a second. Processor time is told in steps of 10 ms, and an engine
# that does nothing still gets one now and then.
REST_STEP_S: Final = 1.0
REST_SHARE: Final = 0.02
REST_TIMEOUT_S: Final = 60.0
QUESTIONS: Final = (
    "trace by id",
    "search by service",
    "search by one attribute, one trace",
    "search by one attribute, some",
)


class NothingFoundError(Exception):
    """An engine answered a question about what it was sent with nothing, or with an error."""


def send(running: Running, payloads: Iterable[Payload]) -> None:
    """Send all of them, four at a time; ends the program where spans are refused."""
    requests = (payload.body for payload in payloads)
    with grpc.insecure_channel(running.otlp) as channel, ThreadPoolExecutor(SENDER_COUNT) as senders:
        export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
        while made := list(itertools.islice(requests, MADE_AHEAD)):
            for answer in senders.map(partial(export, timeout=EXPORT_TIMEOUT_S), made):
                if ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans:
                    raise SystemExit("error: an engine refused spans")


def come_to_rest(running: Running) -> None:
    """Wait until its processes do nothing more with what they were sent, a minute at most."""
    deadline_s = time.monotonic() + REST_TIMEOUT_S
    is_calm, before_ns = False, running.cpu_ns()
    while not is_calm and time.monotonic() < deadline_s:
        time.sleep(REST_STEP_S)
        now_ns = running.cpu_ns()
        is_calm = now_ns - before_ns <= REST_SHARE * REST_STEP_S * 1e9
        before_ns = now_ns


def times_us(running: Running, question: str, samples: Sequence[Sample]) -> list[int]:
    """Ask about each sample, one after the other, and give what each answer took, shortest first; NothingFoundError."""
    with httpx.Client(base_url=f"http://{running.query}", timeout=30) as client:
        return sorted(_asked_us(client, *_request(question, sample)) for sample in samples)


def quantile(share: float, ordered: Sequence[int]) -> int:
    """Return the value of an ordered, non-empty list below which the share of it lies."""
    return ordered[round(share * (len(ordered) - 1))]


def _asked_us(client: httpx.Client, path: str, parameters: Mapping[str, str]) -> int:
    began_ns = time.perf_counter_ns()
    answer = client.get(path, params=parameters)
    took_ns = time.perf_counter_ns() - began_ns
    if not answer.is_success or not answer.json()["data"]:
        raise NothingFoundError(f"{answer.url} found nothing: {answer.status_code} {answer.text[:200]}")
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
