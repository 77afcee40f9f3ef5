"""Private names of gRPC and its instrumentation that we lean on: each test says what to look at when one has moved."""

from __future__ import annotations

import asyncio
import inspect
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc._cython import cygrpc
from grpc.aio import _call as grpc_call
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach, detach
from opentelemetry.instrumentation.grpc import _aio_client, _aio_server, _client
from opentelemetry.instrumentation.utils import _SUPPRESS_INSTRUMENTATION_KEY_PLAIN, is_instrumentation_enabled

import otel.instrument as ours
from otel.instrument.suppression import is_suppressed


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_library_is_the_version_that_is_corrected() -> None:
    assert version("opentelemetry-instrumentation-grpc") == "0.66b2", (
        "the library was raised: go through docs/corrections.md, drop what it now does right, then pin the new version"
    )


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("_start_interceptor_span", ["self", "method"]),
        ("propagate_trace_in_details", ["client_call_details"]),
        ("_wrap_unary_response", ["self", "continuation", "span"]),
        ("_wrap_stream_response", ["self", "span", "call"]),
    ],
)
def test_the_client_base_class_has_the_methods_that_are_overridden(method: str, expected: list[str]) -> None:
    found = getattr(_aio_client._BaseAioClientInterceptor, method, None)

    assert found is not None, f"_BaseAioClientInterceptor.{method} is gone: aio/client_interceptors.py overrides it"
    assert parameters(found) == expected, f"_BaseAioClientInterceptor.{method} takes other arguments now"


@pytest.mark.parametrize(
    ("kind", "interceptor"),
    [
        ("unary_unary", "UnaryUnaryAioClientInterceptor"),
        ("unary_stream", "UnaryStreamAioClientInterceptor"),
        ("stream_unary", "StreamUnaryAioClientInterceptor"),
        ("stream_stream", "StreamStreamAioClientInterceptor"),
    ],
)
def test_each_client_interceptor_still_calls_the_overridden_methods(kind: str, interceptor: str) -> None:
    source = inspect.getsource(getattr(getattr(_aio_client, interceptor), f"intercept_{kind}"))

    wrapper = "_wrap_stream_response" if kind.endswith("stream") else "_wrap_unary_response"
    for name in ("_start_interceptor_span", "propagate_trace_in_details", wrapper, "tracing_skipped"):
        assert f"self.{name}(" in source, f"{interceptor} no longer calls {name}: its correction would never run"
    assert source.index("_start_interceptor_span") < source.index("propagate_trace_in_details"), (
        f"{interceptor} propagates before it starts the span: the wrong parent would be sent"
    )


def test_the_servers_interceptor_keeps_its_filter_where_ours_reads_it() -> None:
    def filter_(_details: object) -> bool:
        return True

    made: Any = ours.aio_server_interceptor(None, filter_)

    assert isinstance(made, _aio_server.OpenTelemetryAioServerInterceptor)
    assert made._filter is filter_, "OpenTelemetryServerInterceptor keeps its filter under another name now"


def test_hooks_are_called_safely_by_the_library() -> None:
    assert parameters(_client._safe_invoke) == ["function", "args"], (
        "_safe_invoke moved: the client interceptors use it for hooks"
    )


@pytest.mark.parametrize("name", ["aio_client_interceptors", "aio_server_interceptor"])
def test_our_factories_take_what_the_librarys_take(name: str) -> None:
    from opentelemetry.instrumentation import grpc as library

    theirs = parameters(getattr(library, name))
    positional = [
        parameter.name
        for parameter in inspect.signature(getattr(ours, name)).parameters.values()
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    assert positional == theirs, f"{name} has another signature in the library now"


class Calls:
    """A server and a channel without any interceptor of ours, to see what grpc.aio itself does."""

    def __init__(self, handler: Any, interceptors: Any = ()) -> None:
        self.server = grpc.aio.server(interceptors=list(interceptors))
        self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("seam.Seam", {"Call": handler})])
        self.port = self.server.add_insecure_port("127.0.0.1:0")

    async def __aenter__(self) -> Any:
        await self.server.start()
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")
        return self.channel

    async def __aexit__(self, *_error: object) -> None:
        await self.channel.close()
        await self.server.stop(None)


async def echo(request: bytes, _context: Any) -> bytes:
    return request


ECHO: Any = grpc.unary_unary_rpc_method_handler(echo)


async def test_calls_have_the_serializers_and_tasks_that_are_watched() -> None:
    async with Calls(ECHO) as channel:
        unary: Any = channel.unary_unary("/seam.Seam/Call")(b"q")
        stream: Any = channel.unary_stream("/seam.Seam/Call")(b"q")
        both: Any = channel.stream_stream("/seam.Seam/Call")(iter([b"q"]))
        for call in (unary, stream, both):
            assert isinstance(call, grpc_call.Call), "grpc.aio's calls have another base class: see aio/client_call.py"
            for name in ("_request_serializer", "_response_deserializer"):
                assert hasattr(call, name), f"calls have no {name}: messages can't be counted there any more"
            assert call._cython_call.is_ok() is False, "a call no longer knows whether it is OK: see aio/client_call.py"
        assert isinstance(unary._call_response, asyncio.Task), "a unary call has no _call_response task any more"
        for call in (stream, both):
            assert isinstance(call._preparation, asyncio.Task), "a streaming call has no _preparation task any more"
        await unary
        assert unary._cython_call.is_ok() is True
        stream.cancel()
        both.cancel()


async def test_a_serializer_put_on_a_call_at_once_is_the_one_that_is_used() -> None:
    async with Calls(ECHO) as channel:
        call: Any = channel.unary_unary("/seam.Seam/Call")(b"q")
        call._request_serializer = lambda _request: b"ours"

        assert await call == b"ours", (
            "grpc.aio serializes before the interceptor has the call: counting needs another way"
        )


async def test_status_of_a_done_call_is_read_without_waiting() -> None:
    seen: list[Any] = []
    async with Calls(ECHO) as channel:
        call: Any = channel.unary_unary("/seam.Seam/Missing")(b"q")

        def read(done: Any) -> None:
            for answer in (done.code(), done.details()):
                try:
                    answer.send(None)
                except StopIteration as finished:
                    seen.append(finished.value)

        call.add_done_callback(read)
        with pytest.raises(grpc.aio.AioRpcError):
            await call

    assert seen == [grpc.StatusCode.UNIMPLEMENTED, "Method not found!"], (
        "code() and details() of a done call wait now: aio/client_call._of_done needs another way"
    )


async def test_interceptor_and_servicer_run_in_the_rpcs_own_task_with_one_context() -> None:
    tasks: list[asyncio.Task[Any] | None] = []

    class Notes(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, details: Any) -> Any:
            tasks.append(asyncio.current_task())
            assert isinstance(details.method, str), "a server interceptor's method is no text any more"
            assert isinstance(details.invocation_metadata, tuple), "invocation metadata is no tuple any more"
            return await continuation(details)

    async def notes(request: bytes, context: Any) -> bytes:
        tasks.append(asyncio.current_task())
        assert context.code() is None, "context.code() of an unset status is not None any more"
        assert context.time_remaining() is None, "time_remaining() without a deadline is not None any more"
        return request

    async with Calls(grpc.unary_unary_rpc_method_handler(notes), [Notes()]) as channel:
        await channel.unary_unary("/seam.Seam/Call")(b"q")

    assert tasks[0] is not None
    assert tasks[0] is tasks[1], "interceptor and servicer run in two tasks: the done callback would come too early"
    assert tasks[0].get_name().startswith("HandleExceptions")


async def test_the_method_handler_of_a_method_is_the_same_each_time() -> None:
    found: list[Any] = []

    class Notes(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, details: Any) -> Any:
            found.append(await continuation(details))
            return found[-1]

    async with Calls(ECHO, [Notes()]) as channel:
        for _ in range(2):
            await channel.unary_unary("/seam.Seam/Call")(b"q")

    assert found[0] is found[1], (
        "a new handler comes with every call: aio/server_interceptor.py would wrap each one anew"
    )


def test_grpcs_own_errors_have_the_classes_that_are_told_apart() -> None:
    assert issubclass(cygrpc.ExecuteBatchError, cygrpc.InternalError)
    assert issubclass(cygrpc.UsageError, Exception)
    assert issubclass(grpc.aio.AbortError, Exception)


def test_the_contexts_that_suppress_instrumentation_are_those_of_the_library() -> None:
    for key in (_SUPPRESS_INSTRUMENTATION_KEY, _SUPPRESS_INSTRUMENTATION_KEY_PLAIN):
        context = Context({key: True})
        token = attach(context)
        try:
            assert is_suppressed(context) is not is_instrumentation_enabled(), "other keys: suppression.py"
        finally:
            detach(token)
    assert not is_suppressed(Context({"another": True}))
    source = inspect.getsource(is_instrumentation_enabled)
    assert source.count("get_value(") == 2, "the library asks for other keys now: suppression.py"


@pytest.mark.skipif(sys.platform != "linux", reason="grpcio-observability is made for Linux alone")
def test_what_core_hands_over_is_made_by_a_name_that_can_be_exchanged() -> None:
    library = import_module("grpc_observability")
    made = library._observability.StatsData

    assert list(inspect.signature(made).parameters)[:3] == ["name", "measure_double", "value_int"], (
        "StatsData takes other arguments: grpc_metrics.py puts a type without bytecode in its place"
    )
    assert "_observability" in vars(library._cyobservability), (
        "the hand-over no longer looks StatsData up in its module: see otel/instrument/grpc_metrics.py"
    )


def test_grpcs_metadata_keeps_its_pairs_where_ours_is_put() -> None:
    made: Any = grpc.aio.Metadata(("a", "b"))
    assert list(made._metadata.items()) == [("a", ["b"])], "grpc.aio.Metadata has other parts: propagation.py"
