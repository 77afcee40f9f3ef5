"""A server without other interceptors is traced without one of ours, and answers as gRPC's own does."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio
import pytest
from opentelemetry.trace import SpanKind

from otel.instrument.aio.traced_server import TracedServer
from otel.instrument.testing import InMemoryTelemetry
from tests.inprocess.instrument.rig import METHOD, PATH, SERVICE, Rig, said


def answering(answer: bytes) -> Any:
    async def behavior(_request: bytes, _context: Any) -> bytes:
        return answer

    return grpc.unary_unary_rpc_method_handler(behavior)


class Between(grpc.aio.ServerInterceptor):
    """Only goes on."""

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        return await continuation(handler_call_details)


class Broken(grpc.GenericRpcHandler):
    """Cannot say whether it knows a method."""

    def service(self, handler_call_details: Any) -> Any:
        raise ValueError("broken")


async def serve(rig: Rig, server: grpc.aio.Server) -> Any:
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    rig._stack.push_async_callback(server.stop, None)
    rig.address = f"127.0.0.1:{port}"
    return rig.channel()


async def test_a_registered_method_goes_before_generic_handlers_and_those_in_their_order(rig: Rig) -> None:
    server = rig.telemetry.server()
    for answer in (b"first", b"second"):
        handlers = {"Call": answering(answer), "Other": answering(answer)}
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    server.add_registered_method_handlers(SERVICE, {"Call": answering(b"registered")})
    channel = await serve(rig, server)

    assert await channel.unary_unary(PATH)(b"") == b"registered"
    assert await channel.unary_unary(f"/{SERVICE}/Other")(b"") == b"first"
    assert {span.name for span in await rig.spans(SpanKind.SERVER, 2)} == {METHOD, f"{SERVICE}/Other"}


async def test_a_method_that_nobody_knows_has_a_span(rig: Rig) -> None:
    channel = await serve(rig, rig.telemetry.server())

    with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
        await channel.unary_unary(PATH)(b"")

    assert said(await rig.span(SpanKind.SERVER))["code"] == "UNIMPLEMENTED"


async def test_a_handler_that_fails_to_answer_ends_the_span_with_its_error(rig: Rig) -> None:
    server = rig.telemetry.server()
    server.add_generic_rpc_handlers([Broken()])
    channel = await serve(rig, server)

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await channel.unary_unary(PATH)(b"")

    assert said(await rig.span(SpanKind.SERVER))["code"] == failed.value.code().name


async def test_a_server_with_interceptors_is_traced_by_one_before_them(telemetry: InMemoryTelemetry, rig: Rig) -> None:
    server = telemetry.server(interceptors=[Between()])
    assert not isinstance(server, TracedServer)
    server.add_registered_method_handlers(SERVICE, {"Call": answering(b"yes")})
    channel = await serve(rig, server)

    assert await channel.unary_unary(PATH)(b"") == b"yes"
    assert (await rig.span(SpanKind.SERVER)).name == METHOD
