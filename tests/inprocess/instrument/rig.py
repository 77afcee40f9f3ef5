"""A real server and channel in this process, for one method of any kind; messages are raw bytes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
import grpc.aio
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from otel.instrument.testing import InMemoryTelemetry
from tests.polling import eventually_async

Kind = Literal["unary_unary", "unary_stream", "stream_unary", "stream_stream"]
Tracing = Literal["channel", "interceptors"]
Body = Callable[[grpc.aio.ServicerContext[Any, Any]], Awaitable[None]]

KINDS: tuple[Kind, ...] = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
BOTH_TRACINGS = pytest.mark.parametrize("tracing", ["channel", "interceptors"])
SERVICE = "tracelab.test.v1.TestService"
METHOD = f"{SERVICE}/Call"
PATH = f"/{METHOD}"
REQUESTS = (b"q1", b"q2")
RESPONSES = (b"r1", b"r2")


def sends_stream(kind: Kind) -> bool:
    return kind.startswith("stream_")


def answers_stream(kind: Kind) -> bool:
    return kind.endswith("_stream")


def behavior(kind: Kind, body: Body) -> Any:
    """Make an async behavior that reads all requests, runs `body`, then answers."""

    async def unary_unary(request: bytes, context: Any) -> bytes:
        await body(context)
        return RESPONSES[0]

    async def unary_stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        await body(context)
        for response in RESPONSES:
            yield response

    async def stream_unary(requests: AsyncIterator[bytes], context: Any) -> bytes:
        async for _ in requests:
            pass
        await body(context)
        return RESPONSES[0]

    async def stream_stream(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for _ in requests:
            pass
        await body(context)
        for response in RESPONSES:
            yield response

    return {
        "unary_unary": unary_unary,
        "unary_stream": unary_stream,
        "stream_unary": stream_unary,
        "stream_stream": stream_stream,
    }[kind]


def method_handler(kind: Kind, made: Any, **serializers: Any) -> Any:
    return getattr(grpc, f"{kind}_rpc_method_handler")(made, **serializers)


@dataclass
class Rig:
    """Servers and channels of one test; closes them all."""

    telemetry: InMemoryTelemetry
    tracing: Tracing = "channel"
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    server: grpc.aio.Server | None = None
    address: str = ""

    async def serve(
        self,
        handler: Any,
        *,
        options: Sequence[tuple[str, Any]] = (),
        interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
        maximum_concurrent_rpcs: int | None = None,
    ) -> None:
        made = self.telemetry.server if self.tracing == "channel" else self._intercepted_server
        server = made(interceptors=interceptors, options=options, maximum_concurrent_rpcs=maximum_concurrent_rpcs)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {"Call": handler})])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._stack.push_async_callback(server.stop, None)
        self.server = server
        self.address = f"127.0.0.1:{port}"

    def _intercepted_server(self, *, interceptors: Sequence[Any], **others: Any) -> grpc.aio.Server:
        return grpc.aio.server(interceptors=[*self.telemetry.server_interceptors(), *interceptors], **others)

    def channel(self, *, options: Sequence[tuple[str, Any]] = (), interceptors: Any = ()) -> Any:
        """Open a traced channel; Any, so that tests call raw methods on it."""
        if self.tracing == "channel":
            channel = self.telemetry.insecure_channel(self.address, options=options, interceptors=interceptors)
        else:
            tracing = self.telemetry.client_interceptors(self.address)
            channel = grpc.aio.insecure_channel(self.address, options, interceptors=[*tracing, *interceptors])
        self._stack.push_async_callback(channel.close)
        return channel

    async def close(self) -> None:
        await self._stack.aclose()

    async def span(self, kind: SpanKind) -> ReadableSpan:
        """Wait for the one span of `kind` to end."""
        return (await self.spans(kind, 1))[0]

    async def spans(self, kind: SpanKind, count: int) -> list[ReadableSpan]:
        async def ended() -> list[ReadableSpan]:
            return [span for span in self.telemetry.spans() if span.kind is kind]

        found = await eventually_async(ended, until=lambda spans: len(spans) >= count)
        assert len(found) == count
        return found


def start(
    channel: grpc.aio.Channel, kind: Kind, *, path: str = PATH, requests: Sequence[bytes] = REQUESTS, **options: Any
) -> Any:
    """Start a call; its requests are given up front."""
    return getattr(channel, kind)(path)(_iterate(requests) if sends_stream(kind) else requests[0], **options)


async def finish(call: Any, kind: Kind) -> BaseException | list[bytes]:
    """Await or iterate a call to its end; return its answers, or what it raised."""
    try:
        if answers_stream(kind):
            return [response async for response in call]
        return [await call]
    except (grpc.aio.AioRpcError, asyncio.CancelledError) as error:
        return error


async def _iterate(requests: Sequence[bytes]) -> AsyncIterator[bytes]:
    for request in requests:
        yield request


def said(span: ReadableSpan) -> dict[str, Any]:
    """Return what a span says about its call's ending; what it is silent about is left out."""
    attributes = span.attributes or {}
    words = {
        "code": attributes.get("rpc.response.status_code"),
        "error_type": attributes.get("error.type"),
        "status": span.status.status_code.name,
        "description": span.status.description,
        "events": [event.name for event in span.events],
    }
    return {key: value for key, value in words.items() if value not in (None, [], StatusCode.UNSET.name)}


def counts(span: ReadableSpan) -> tuple[Any, Any]:
    """Return how many messages the span says it sent and received."""
    attributes = span.attributes or {}
    return (
        attributes.get("tracelab.rpc.sent_message_count"),
        attributes.get("tracelab.rpc.received_message_count"),
    )
