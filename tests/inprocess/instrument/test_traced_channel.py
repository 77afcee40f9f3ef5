"""A traced channel besides its spans: gRPC's own calls, a channel's whole surface, no trace where none shall be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc.aio import _call as grpc_call
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind

from otel.instrument.aio.traced_channel import TracedChannel
from otel.instrument.testing import InMemoryTelemetry
from tests.inprocess.instrument.rig import KINDS, PATH, Kind, Rig, behavior, finish, method_handler, sends_stream, start


async def returns(context: Any) -> None:
    pass


async def two_requests() -> AsyncIterator[bytes]:
    yield b"q1"
    yield b"q2"


@pytest.mark.parametrize("kind", KINDS)
async def test_the_caller_gets_grpcs_own_call(rig: Rig, kind: Kind) -> None:
    await rig.serve(method_handler(kind, behavior(kind, returns)))

    call = start(rig.channel(), kind, timeout=20)

    assert isinstance(call, grpc_call.Call)
    remaining_s = call.time_remaining()  # with interceptors this raises NotImplementedError
    assert remaining_s is not None
    assert 0 < remaining_s <= 20
    await finish(call, kind)


@pytest.mark.parametrize("kind", KINDS)
async def test_calls_take_every_argument_by_name(rig: Rig, kind: Kind) -> None:
    seen: list[Any] = []

    async def notes(context: Any) -> None:
        seen.extend(context.invocation_metadata())

    await rig.serve(method_handler(kind, behavior(kind, notes)))
    request = {"request_iterator": two_requests()} if sends_stream(kind) else {"request": b"q1"}

    call = getattr(rig.channel(), kind)(PATH)(
        **request,
        timeout=20,
        metadata=(("k", "v"), ("k", "w")),
        credentials=None,
        wait_for_ready=True,
        compression=grpc.Compression.Gzip,
    )
    await finish(call, kind)

    assert [value for key, value in seen if key == "k"] == ["v", "w"]
    span = await rig.span(SpanKind.SERVER)
    assert span.context is not None
    assert dict(seen)["traceparent"].split("-")[1] == f"{span.context.trace_id:032x}"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_suppressed_call_leaves_no_client_span(rig: Rig, telemetry: InMemoryTelemetry, kind: Kind) -> None:
    await rig.serve(method_handler(kind, behavior(kind, returns)))

    with suppress_instrumentation():
        call = start(rig.channel(), kind)
    await finish(call, kind)
    await rig.span(SpanKind.SERVER)

    assert [span.kind for span in telemetry.spans()] == [SpanKind.SERVER]


async def test_health_checks_leave_no_span(rig: Rig, telemetry: InMemoryTelemetry) -> None:
    await rig.serve(method_handler("unary_unary", behavior("unary_unary", returns)))

    with pytest.raises(grpc.aio.AioRpcError):
        await health_pb2_grpc.HealthStub(rig.channel()).Check(health_pb2.HealthCheckRequest(), timeout=20)

    assert [span for span in telemetry.spans() + telemetry.open_spans() if span.kind is SpanKind.CLIENT] == []


async def test_a_traced_channel_has_the_states_of_its_channel(rig: Rig) -> None:
    await rig.serve(method_handler("unary_unary", behavior("unary_unary", returns)))
    async with rig.channel() as channel:
        assert isinstance(channel, TracedChannel)
        assert channel.get_state() is grpc.ChannelConnectivity.IDLE
        await channel.channel_ready()
        assert channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY
        await channel.wait_for_state_change(grpc.ChannelConnectivity.IDLE)
        await channel.close()
        assert channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN


async def test_a_channel_with_other_interceptors_is_traced_by_interceptors(rig: Rig) -> None:
    class PassThrough(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            return await continuation(client_call_details, request)

    await rig.serve(method_handler("unary_unary", behavior("unary_unary", returns)))
    channel = rig.channel(interceptors=[PassThrough()])

    assert not isinstance(channel, TracedChannel)
    await finish(start(channel, "unary_unary"), "unary_unary")
    await rig.span(SpanKind.CLIENT)
