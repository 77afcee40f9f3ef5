"""A recorded duration leads to its trace: what the SDK's exporter sends of our call durations, asked of the backend."""

from __future__ import annotations

import asyncio
import time

import httpx
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

from otel.backend.runner import Backend
from otel.backend.stores.memory import MemoryStore
from otel.instrument.call_durations import MOST_WAITING, CallDurations
from otel.instrument.semconv import SERVER_CALL_DURATION

# Longer than this test, so that it is collected only when told.
NEVER_MS = 3_600_000


async def test_each_exemplar_leads_to_the_call_that_took_so_long_though_calls_are_recorded_many_at_a_time() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    spans: dict[str, float] = {}
    async with Backend(MemoryStore()) as backend:
        exporter = OTLPMetricExporter(endpoint=backend.otlp_endpoint, insecure=True)
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=NEVER_MS)
        provider = MeterProvider([reader], shutdown_on_exit=False)
        durations = CallDurations(provider.get_meter("m"), SERVER_CALL_DURATION, "Duration.")
        # As many buckets as there are, with a last one that is never full: some wait when it is collected.
        for number in range(3 * MOST_WAITING + 5):
            span = tracer.start_span("call")
            duration_s = 0.004 * 1.2**number
            durations.record(duration_s, time.time_ns(), {"rpc.method": "a/B"}, {}, set_span_in_context(span))
            spans[format(span.get_span_context().span_id, "016x")] = duration_s
        await asyncio.to_thread(provider.shutdown)
        async with httpx.AsyncClient(base_url=backend.query_url) as client:
            answer = await client.get("/api/lab/metrics/query", params={"name": SERVER_CALL_DURATION, "step": "2h"})
    (series,) = answer.json()["series"]
    found = {exemplar["spanId"]: exemplar["value"] for exemplar in series["exemplars"]}
    assert len(found) == 15
    assert found == {span_id: spans[span_id] for span_id in found}


async def test_a_call_that_was_not_sampled_is_no_exemplar() -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    tracer = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False).get_tracer("t")
    async with Backend(MemoryStore()) as backend:
        exporter = OTLPMetricExporter(endpoint=backend.otlp_endpoint, insecure=True)
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=NEVER_MS)
        provider = MeterProvider([reader], shutdown_on_exit=False)
        durations = CallDurations(provider.get_meter("m"), SERVER_CALL_DURATION, "Duration.")
        durations.record(0.1, time.time_ns(), {}, {}, set_span_in_context(tracer.start_span("call")))
        await asyncio.to_thread(provider.shutdown)
        async with httpx.AsyncClient(base_url=backend.query_url) as client:
            answer = await client.get("/api/lab/metrics/query", params={"name": SERVER_CALL_DURATION})
    assert [series["exemplars"] for series in answer.json()["series"]] == [[]]
