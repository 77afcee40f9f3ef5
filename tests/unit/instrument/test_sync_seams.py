"""The names of gRPC's synchronous API and of the library's, not promised to anybody, on which the corrections lean."""

from __future__ import annotations

import contextvars
import inspect
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from grpc import _channel, _server
from opentelemetry.instrumentation import grpc as library
from opentelemetry.instrumentation.grpc import _client, grpcext
from opentelemetry.instrumentation.grpc import _server as library_server

import otel.instrument as ours
from otel.instrument.sync import client_call, server_call
from tests.unit.instrument.test_seams import parameters

NOTED: contextvars.ContextVar[str] = contextvars.ContextVar("noted", default="")


class Notes(grpc.ServerInterceptor):
    """Notes in which thread and context it was called."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        assert NOTED.get() == "", "an interceptor meets the context of another call: server_interceptor.py must detach"
        self.threads.append(threading.get_ident())
        NOTED.set(handler_call_details.method)
        return continuation(handler_call_details)


@pytest.fixture
def served() -> Iterator[tuple[Any, Notes, list[Any]]]:
    """Give a channel, the interceptor, and what the servicer method saw: its thread, context variable and context."""
    notes, seen = Notes(), []

    def unary(request: bytes, context: Any) -> bytes:
        seen.append((threading.get_ident(), NOTED.get(), context))
        return request

    def stream(request: bytes, context: Any) -> Iterator[bytes]:
        for _ in range(2):
            seen.append((threading.get_ident(), NOTED.get(), context))
            yield request

    server = grpc.server(futures.ThreadPoolExecutor(1), interceptors=[notes])
    handlers: dict[str, Any] = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.unary_stream_rpc_method_handler(stream),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("seam.Seam", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel, notes, seen
    server.stop(0).wait(10)


def test_an_interceptor_runs_in_the_serving_thread_and_shares_a_context_with_its_servicer_alone(
    served: tuple[Any, Notes, list[Any]],
) -> None:
    channel, notes, seen = served

    channel.unary_unary("/seam.Seam/Unary")(b"q")
    list(channel.unary_stream("/seam.Seam/Stream")(b"q"))

    assert [noted for _, noted, _ in seen] == ["/seam.Seam/Unary", "/seam.Seam/Stream", "/seam.Seam/Stream"], (
        "context variables of the interceptor do not reach the servicer: server_interceptor.py attaches there"
    )
    assert len({thread for thread, _, _ in seen}) == 1, "the steps of a stream run in several threads now"
    assert not set(notes.threads) & {thread for thread, _, _ in seen}, (
        "the interceptor runs in the pool now: the wait for a thread is no longer in the server's span"
    )


def test_a_servicer_context_has_the_state_that_tells_how_a_call_ended(served: tuple[Any, Notes, list[Any]]) -> None:
    channel, _, seen = served

    channel.unary_unary("/seam.Seam/Unary")(b"q")

    context = seen[0][2]
    for name in ("aborted", "rpc_errors", "statused"):
        assert hasattr(context._state, name), f"_RPCState has no {name} any more: see sync/server_call.py"
    assert context.time_remaining() > server_call.NO_DEADLINE_S, "time_remaining() without a deadline has changed"
    assert context.code() is None
    context.add_callback = None  # sync/server_call.py puts its own there


def test_the_words_that_grpc_refuses_a_call_with_are_the_same() -> None:
    source = inspect.getsource(_server)
    for words in (server_call.NOT_PARSED, server_call.NOT_SERIALIZED, "Error in service handler!", "Method not found!"):
        assert words in source, f"gRPC no longer says {words!r}: sync/server_call.py"
    for words in ("Exception calling application: ", "Exception iterating responses: "):
        assert words in source, f"gRPC no longer says {words!r}: sync/server_call.py"
    source = inspect.getsource(_channel)
    for words in (client_call.NOT_PARSED, client_call.NOT_SERIALIZED):
        assert words in source, f"gRPC no longer says {words!r}: sync/client_call.py"


def test_calls_have_the_state_and_deserializer_that_are_watched(served: tuple[Any, Notes, list[Any]]) -> None:
    channel, _, _ = served
    future = channel.unary_unary("/seam.Seam/Unary").future(b"q")
    stream = channel.unary_stream("/seam.Seam/Stream")(b"q")
    for call in (future, stream):
        assert isinstance(call, _channel._Rendezvous), "gRPC's calls have another base class: sync/client_call.py"
        assert hasattr(call._state, "code")
        assert hasattr(call._state, "details")
        assert hasattr(call._state, "response")
    stream._response_deserializer = lambda _serialized: b"ours"
    assert list(stream) == [b"ours", b"ours"], "a stream takes its deserializer from elsewhere now: sync/client_call.py"
    future.result()


def test_the_librarys_interceptors_are_what_ours_derive_from() -> None:
    made_server: Any = ours.server_interceptor(None, lambda _details: True)
    made_client: Any = ours.client_interceptor(None, lambda _details: True)

    assert isinstance(made_server, library_server.OpenTelemetryServerInterceptor)
    assert isinstance(made_client, _client.OpenTelemetryClientInterceptor)
    assert made_server._filter is not None, "OpenTelemetryServerInterceptor keeps its filter under another name now"
    assert made_client._filter is not None, "OpenTelemetryClientInterceptor keeps its filter under another name now"
    for name in ("_call_request_hook", "_call_response_hook"):
        assert parameters(getattr(_client.OpenTelemetryClientInterceptor, name))[1:] == [
            "span",
            name.split("_")[2],
        ], f"{name} takes other arguments now: sync/client_interceptor.py"


@pytest.mark.parametrize("name", ["intercept_unary", "intercept_stream"])
def test_the_librarys_own_channel_still_asks_as_ours_expects(name: str) -> None:
    abstract = grpcext.UnaryClientInterceptor if name == "intercept_unary" else grpcext.StreamClientInterceptor
    asked = parameters(getattr(abstract, name))

    assert parameters(getattr(ours.client_interceptor(), name)) == asked[1:], f"{name} is asked in another way now"


@pytest.mark.parametrize("name", ["client_interceptor", "server_interceptor"])
def test_our_synchronous_factories_take_what_the_librarys_take(name: str) -> None:
    positional = [
        parameter.name
        for parameter in inspect.signature(getattr(ours, name)).parameters.values()
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    assert positional == parameters(getattr(library, name)), f"{name} has another signature in the library now"
