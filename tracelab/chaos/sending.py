"""Senders of telemetry who never pause, what their batches came to, and what the backend has of them afterwards."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import grpc
import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from clients.discovery import probes
from otel.query import TraceQuery
from tracelab.chaos.bench import BenchError, Process
from tracelab.chaos.tally import Tally

EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
SENDER_COUNT: Final = 4
SPANS_IN_A_BATCH: Final = 20
EXPORT_TIMEOUT_S: Final = 10.0
PAUSE_AFTER_REFUSAL_S: Final = 0.01
BOUND_S: Final = 60.0
TRACES_AT_A_TIME: Final = 50
POLL_S: Final = 0.01


@dataclass
class Exports(Tally):
    """How the batches so far ended, and which were acknowledged, oldest first."""

    acknowledged: list[bytes] = field(default_factory=list)

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds; BenchError with what has been counted if it does not."""
        until_s = time.monotonic() + BOUND_S
        while not condition():
            if time.monotonic() > until_s:
                raise BenchError(f"waited {BOUND_S:g} s; so far: {dict(self.codes)}")
            await asyncio.sleep(POLL_S)


@asynccontextmanager
async def exports(address: str, padding_bytes: int = 0) -> AsyncIterator[Exports]:
    """Keep senders at a backend until the block ends, each batch a trace of at least `padding_bytes`."""
    sent = Exports()
    async with grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        export: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
        async with asyncio.TaskGroup() as group:
            for _ in range(SENDER_COUNT):
                group.create_task(_keep_sending(export, sent, padding_bytes))
            try:
                yield sent
            finally:
                sent.is_over = True


async def _keep_sending(
    export: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes], sent: Exports, padding_bytes: int
) -> None:
    while not sent.is_over:
        trace_id = secrets.token_bytes(16)
        try:
            await export(batch(trace_id, padding_bytes), timeout=EXPORT_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            sent.codes[error.code().name] += 1
            await asyncio.sleep(PAUSE_AFTER_REFUSAL_S)
        else:
            sent.codes["OK"] += 1
            sent.acknowledged.append(trace_id)


def batch(trace_id: bytes, padding_bytes: int = 0) -> bytes:
    """Write an export request of one trace; padding is random, so that it takes its room in any store."""
    now = time.time_ns()
    padding = KeyValue(key="padding", value=AnyValue(string_value=secrets.token_hex(padding_bytes // 2)))
    spans = [
        Span(
            trace_id=trace_id,
            span_id=number.to_bytes(8, "big"),
            name="sent",
            start_time_unix_nano=now,
            end_time_unix_nano=now + number,
            attributes=[padding] if padding_bytes and number == 1 else [],
        )
        for number in range(1, SPANS_IN_A_BATCH + 1)
    ]
    part = ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])
    return ExportTraceServiceRequest(resource_spans=[part]).SerializeToString()


def looked_up(backend: Process, trace_ids: list[bytes]) -> tuple[int, int]:
    """Count the traces that are not whole, and the spans that are there more than once. Blocking."""
    found = {trace_id: Counter(span_ids) for trace_id, span_ids in _span_ids(backend, trace_ids)}
    missing = sum(len(found.get(trace_id.hex(), ())) < SPANS_IN_A_BATCH for trace_id in trace_ids)
    return missing, sum(spans.total() - len(spans) for spans in found.values())


def _span_ids(backend: Process, trace_ids: list[bytes]) -> Iterator[tuple[str, list[str]]]:
    """Each trace that is there, and the ids of its spans: by Jaeger's older API, which tells many at a time."""
    with httpx.Client(base_url=f"http://{backend.addresses['query']}", timeout=BOUND_S, trust_env=False) as client:
        for first in range(0, len(trace_ids), TRACES_AT_A_TIME):
            asked = [trace_id.hex() for trace_id in trace_ids[first : first + TRACES_AT_A_TIME]]
            for trace in client.get("/api/traces", params={"traceID": asked, "raw": "true"}).json()["data"]:
                yield trace["traceID"], [span["spanID"] for span in trace["spans"]]


def found_whole(backend: Process, trace_ids: list[bytes]) -> list[int]:
    """How many spans the backend has of each trace. Blocking."""
    with TraceQuery(f"http://{backend.addresses['query']}") as query:
        traces = (query.trace(trace_id.hex()) for trace_id in trace_ids)
        return [len({span.span_id for span in trace.spans}) if trace else 0 for trace in traces]


def queries_answer(backend: Process) -> bool:
    """Whether the query API answers. Blocking."""
    return probes.query_answers(f"http://{backend.addresses['query']}")
