"""A real synchronous server and channel in this process, for one method of any kind; messages are raw bytes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
import pytest
from opentelemetry.instrumentation.grpc import grpcext
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from otel.instrument import client_interceptor
from otel.instrument.testing import InMemoryTelemetry
from tests.inprocess.instrument.rig import KINDS, PATH, REQUESTS, RESPONSES, SERVICE, Kind, answers_stream, sends_stream
from tests.polling import eventually

Tracing = Literal["channel", "grpc interceptor", "library's interceptor"]
Style = Literal["call", "with_call", "future", "stream"]
Body = Callable[[Any], None]

# Everything that a caller can do: three styles of calling for one response, one for a stream of them.
_STREAM: tuple[Style, ...] = ("stream",)
_ONE_RESPONSE: tuple[Style, ...] = ("call", "with_call", "future")
KINDS_AND_STYLES: tuple[tuple[Kind, Style], ...] = tuple(
    (kind, style) for kind in KINDS for style in (_STREAM if answers_stream(kind) else _ONE_RESPONSE)
)
ALL_TRACINGS = pytest.mark.parametrize("tracing", ["channel", "grpc interceptor", "library's interceptor"])
STYLES = pytest.mark.parametrize(("kind", "style"), KINDS_AND_STYLES)
# The styles that give a call object, so that the caller can cancel.
CALL_OBJECTS = pytest.mark.parametrize(
    ("kind", "style"), [(kind, style) for kind, style in KINDS_AND_STYLES if style in {"future", "stream"}]
)


def behavior(kind: Kind, body: Body) -> Any:
    """Make a behavior that reads all requests, runs `body`, then answers."""

    def unary(request: Any, context: Any) -> bytes:
        if sends_stream(kind):
            for _ in request:
                pass
        body(context)
        return RESPONSES[0]

    def stream(request: Any, context: Any) -> Iterator[bytes]:
        if sends_stream(kind):
            for _ in request:
                pass
        body(context)
        yield from RESPONSES

    return stream if answers_stream(kind) else unary


class Gate:
    """A servicer body that waits until it is opened; tells when it was entered, its call over, and it was left."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.over = threading.Event()
        self.open = threading.Event()
        self.left = threading.Event()

    def __call__(self, context: Any) -> None:
        context.add_callback(self.over.set)
        self.entered.set()
        self.open.wait(30)
        self.left.set()


@dataclass
class SyncRig:
    """Servers and channels of one test; closes them all, and opens the gates that servicers may still wait at."""

    telemetry: InMemoryTelemetry
    tracing: Tracing = "channel"
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    server: Any = None
    address: str = ""

    def gate(self) -> Gate:
        made = Gate()
        self._stack.callback(made.open.set)
        return made

    def serve(
        self,
        handler: Any,
        *,
        threads: int = 4,
        options: Sequence[tuple[str, Any]] = (),
        interceptors: Sequence[grpc.ServerInterceptor] = (),
        maximum_concurrent_rpcs: int | None = None,
    ) -> None:
        pool = futures.ThreadPoolExecutor(threads)
        server = grpc.server(
            pool,
            interceptors=[*self.telemetry.sync.server_interceptors(), *interceptors],
            options=list(options),
            maximum_concurrent_rpcs=maximum_concurrent_rpcs,
        )
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {"Call": handler})])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.server = server
        self.address = f"127.0.0.1:{port}"
        gates = self._stack.pop_all()  # a gate opens before the server that waits for it is stopped
        self._stack.callback(pool.shutdown)
        self._stack.callback(lambda: server.stop(0).wait(10))
        self._stack.push(gates)

    def call_count(self) -> int:
        """How many calls gRPC's server has in hand; one that is over while it waits for a thread is none of them."""
        return len(self.server._state.rpc_states)  # nothing public tells it

    def channel(self, *, options: Sequence[tuple[str, Any]] = (), interceptors: Any = ()) -> Any:
        """Open a traced channel; Any, so that tests call raw methods on it."""
        channel: Any
        if self.tracing == "channel":
            channel = self.telemetry.sync.insecure_channel(self.address, options=options, interceptors=interceptors)
        else:
            bare = grpc.insecure_channel(self.address, list(options))
            inner = grpc.intercept_channel(bare, *interceptors) if interceptors else bare
            providers = self.telemetry.providers
            made = client_interceptor(
                providers.tracer_provider,
                target=self.address,
                meter_provider=providers.meter_provider,
                message_events=self.telemetry.settings.message_events,
                log_exception=self.telemetry.log_exception,
            )
            intercept: Any = grpc if self.tracing == "grpc interceptor" else grpcext
            channel = intercept.intercept_channel(inner, made)
        self._stack.callback(channel.close)
        return channel

    def close(self) -> None:
        self._stack.close()

    def span(self, kind: SpanKind) -> ReadableSpan:
        """Wait for the one span of `kind` to end."""
        return self.spans(kind, 1)[0]

    def spans(self, kind: SpanKind, count: int) -> list[ReadableSpan]:
        def ended() -> list[ReadableSpan]:
            return [span for span in self.telemetry.spans() if span.kind is kind]

        found = eventually(ended, until=lambda spans: len(spans) >= count)
        assert len(found) == count
        return found


def start(channel: Any, kind: Kind, style: Style, *, requests: Any = REQUESTS, path: str = PATH, **options: Any) -> Any:
    """Start a call in a style that gives a call object."""
    multi_callable = getattr(channel, kind)(path)
    sent = iter(requests) if sends_stream(kind) else requests[0]
    return multi_callable.future(sent, **options) if style == "future" else multi_callable(sent, **options)


def run(
    channel: Any, kind: Kind, style: Style, *, requests: Any = REQUESTS, path: str = PATH, **options: Any
) -> grpc.RpcError | list[bytes]:
    """Make a call in `style` and take it to its end; return its answers, or the error that it raised."""
    multi_callable = getattr(channel, kind)(path)
    sent = iter(requests) if sends_stream(kind) else requests[0]
    try:
        if style == "call":
            return [multi_callable(sent, **options)]
        if style == "with_call":
            response, call = multi_callable.with_call(sent, **options)
            assert call.code() is grpc.StatusCode.OK
            return [response]
        if style == "future":
            return [multi_callable.future(sent, **options).result()]
        return list(multi_callable(sent, **options))
    except grpc.RpcError as error:
        return error
