"""Calls of which neither span nor metric is recorded: the same answers, and what nobody else logs is logged once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel.instrument.interceptors import aio_server_interceptor, traced_server
from tests.inprocess.instrument.rig import PATH, SERVICE


class Served:
    """A server that records nothing, and what it logs."""

    def __init__(self, *, by_interceptor: bool) -> None:
        self.logged: list[tuple[str, str]] = []
        options: dict[str, Any] = {
            "meter_provider": NoOpMeterProvider(),
            "log_exception": lambda event, error: self.logged.append((event, str(error))),
        }
        provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
        if by_interceptor:
            self.server = grpc.aio.server(interceptors=[aio_server_interceptor(provider, **options)])
        else:
            self.server = traced_server(grpc.aio.server(), provider, **options)

    async def answer(self, behavior: Any, request: bytes = b"q", **serializers: Any) -> Any:
        """Serve `behavior` and call it; return what it answers or the code that it ends with."""
        handler = grpc.unary_unary_rpc_method_handler(behavior, **serializers)
        self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {"Call": handler})])
        port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: Any = channel.unary_unary(PATH)
            try:
                return await call(request, timeout=20)
            except grpc.aio.AioRpcError as error:
                return error.code()


@pytest.fixture(params=[False, True], ids=["server", "interceptor"])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    made = Served(by_interceptor=request.param)
    yield made
    await made.server.stop(None)


def refuse(_message: Any) -> Any:
    raise ValueError("not this")


async def test_it_answers_in_the_callers_trace_and_logs_nothing(served: Served) -> None:
    seen: list[bool] = []

    async def behavior(request: bytes, _context: Any) -> bytes:
        span = trace.get_current_span()
        seen.extend((span.get_span_context().is_valid, span.is_recording()))
        return request + b"!"

    assert await served.answer(behavior) == b"q!"
    assert (seen, served.logged) == ([True, False], [])


async def test_a_servicer_that_fails_is_logged_once(served: Served) -> None:
    async def behavior(_request: bytes, _context: Any) -> bytes:
        raise ValueError("oops")

    assert await served.answer(behavior) is grpc.StatusCode.UNKNOWN
    assert served.logged == [("rpc.server.call.exception", "oops")]


async def test_an_abort_is_not_logged(served: Served) -> None:
    async def behavior(_request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "gone")
        return b""

    assert await served.answer(behavior) is grpc.StatusCode.NOT_FOUND
    assert served.logged == []


@pytest.mark.parametrize("broken", ["request_deserializer", "response_serializer"])
async def test_a_message_that_is_not_converted_is_logged_once(served: Served, broken: str) -> None:
    async def behavior(_request: bytes, _context: Any) -> bytes:
        return b"r"

    serializers: dict[str, Any] = {broken: refuse}
    code = await served.answer(behavior, **serializers)

    assert code in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
    assert served.logged == [("rpc.server.call.exception", "not this")]


async def test_an_answer_that_is_no_message_is_logged_once(served: Served) -> None:
    async def behavior(_request: bytes, _context: Any) -> Any:
        return None

    assert await served.answer(behavior) is grpc.StatusCode.UNKNOWN
    assert [event for event, _ in served.logged] == ["rpc.server.call.exception"]
