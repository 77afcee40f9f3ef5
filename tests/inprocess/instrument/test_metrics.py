"""Call durations: seconds, the conventions' buckets, exemplars that lead to the trace."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from otel.instrument import semconv
from otel.instrument.testing import InMemoryTelemetry
from tests.inprocess.instrument.rig import METHOD, Rig, behavior, finish, method_handler, start


async def not_found(context: Any) -> None:
    await context.abort(grpc.StatusCode.NOT_FOUND, "no such user")


SIDES = [(SpanKind.CLIENT, semconv.CLIENT_CALL_DURATION), (SpanKind.SERVER, semconv.SERVER_CALL_DURATION)]


async def measured(
    rig: Rig, telemetry: InMemoryTelemetry, side: SpanKind, name: str
) -> tuple[ReadableSpan, HistogramDataPoint]:
    await rig.serve(method_handler("unary_unary", behavior("unary_unary", not_found)))
    await finish(start(rig.channel(), "unary_unary", timeout=20), "unary_unary")
    span = await rig.span(side)
    (point,) = telemetry.durations(name)
    return span, point


@pytest.mark.parametrize(("side", "name"), SIDES, ids=["client", "server"])
async def test_the_duration_is_the_spans_in_seconds(
    rig: Rig, telemetry: InMemoryTelemetry, side: SpanKind, name: str
) -> None:
    span, point = await measured(rig, telemetry, side, name)

    assert span.end_time is not None
    assert span.start_time is not None
    assert (point.count, point.sum) == (1, (span.end_time - span.start_time) / 1e9)
    assert tuple(point.explicit_bounds) == semconv.CALL_DURATION_BUCKETS_S


@pytest.mark.parametrize(("side", "name"), SIDES, ids=["client", "server"])
async def test_the_exemplar_leads_to_the_span(
    rig: Rig, telemetry: InMemoryTelemetry, side: SpanKind, name: str
) -> None:
    span, point = await measured(rig, telemetry, side, name)

    assert span.context is not None
    assert [(e.trace_id, e.span_id) for e in point.exemplars] == [(span.context.trace_id, span.context.span_id)]


async def test_attributes_are_few_and_say_how_it_ended(rig: Rig, telemetry: InMemoryTelemetry) -> None:
    _, client = await measured(rig, telemetry, *SIDES[0])
    await rig.span(SpanKind.SERVER)
    (server,) = telemetry.durations(semconv.SERVER_CALL_DURATION)

    host, port = rig.address.split(":")
    common = {"rpc.system.name": "grpc", "rpc.method": METHOD, "rpc.response.status_code": "NOT_FOUND"}
    assert dict(server.attributes or {}) == common
    assert dict(client.attributes or {}) == {
        **common,
        "error.type": "NOT_FOUND",
        "server.address": host,
        "server.port": int(port),
    }
