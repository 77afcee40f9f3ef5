"""The bytes of messages as they were before compression, which gRPC's own figures are held against."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from otel.instrument import TelemetrySettings, semconv
from otel.instrument.testing import InMemoryTelemetry
from tests.inprocess.instrument import sync_rig as synchronous
from tests.inprocess.instrument.rig import (
    KINDS,
    REQUESTS,
    RESPONSES,
    Kind,
    Rig,
    answers_stream,
    behavior,
    finish,
    method_handler,
    sends_stream,
    start,
)
from tests.inprocess.instrument.sync_rig import SyncRig


def sent(telemetry: InMemoryTelemetry) -> tuple[float, float]:
    return telemetry.total(semconv.CLIENT_SENT_MESSAGE_SIZE), telemetry.total(semconv.SERVER_SENT_MESSAGE_SIZE)


def expected(kind: Kind) -> tuple[int, int]:
    requests = REQUESTS if sends_stream(kind) else REQUESTS[:1]
    responses = RESPONSES if answers_stream(kind) else RESPONSES[:1]
    return sum(map(len, requests)), sum(map(len, responses))


@pytest.fixture
def settings() -> TelemetrySettings:
    return TelemetrySettings(service_name="test", log_to_stdout=False, grpc_metrics=True)


async def returns(context: Any) -> None:
    pass


@pytest.mark.parametrize("kind", KINDS)
async def test_each_side_counts_the_bytes_of_the_messages_that_it_sent(rig: Rig, kind: Kind) -> None:
    await rig.serve(method_handler(kind, behavior(kind, returns)))
    await finish(start(rig.channel(), kind, timeout=20), kind)
    await rig.span(SpanKind.SERVER)

    assert sent(rig.telemetry) == expected(kind)


@synchronous.STYLES
def test_each_side_of_a_synchronous_call_counts_the_bytes_that_it_sent(
    sync_rig: SyncRig, kind: Kind, style: synchronous.Style
) -> None:
    sync_rig.serve(method_handler(kind, synchronous.behavior(kind, lambda _: None)))
    synchronous.run(sync_rig.channel(), kind, style, timeout=20)
    sync_rig.span(SpanKind.SERVER)
    sync_rig.span(SpanKind.CLIENT)

    assert sent(sync_rig.telemetry) == expected(kind)
