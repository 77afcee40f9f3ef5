"""The instrumentors that trace a whole process: a call has one span, whoever else wants to trace it, in any order."""

from __future__ import annotations

import importlib
import inspect
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from opentelemetry.instrumentation import grpc as stock
from opentelemetry.instrumentation.dependencies import get_dependency_conflicts
from opentelemetry.instrumentation.grpc import filters, grpcext
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from otel.instrument import library as ours
from otel.instrument.instrumentors import INSTRUMENTS
from otel.instrument.testing import InMemoryTelemetry, in_memory_telemetry
from tests.polling import eventually, eventually_async

ROOT = Path(__file__).resolve().parents[3]
SERVER, CLIENT = "GrpcInstrumentorServer", "GrpcInstrumentorClient"
AIO_SERVER, AIO_CLIENT = "GrpcAioInstrumentorServer", "GrpcAioInstrumentorClient"
NAMES = (SERVER, CLIENT, AIO_SERVER, AIO_CLIENT)
REPLACED = {
    (api, name)
    for api, names in {
        grpc: ("server", "insecure_channel", "secure_channel", "intercept_channel"),
        grpc.aio: ("server", "insecure_channel", "secure_channel"),
        grpcext: ("intercept_channel",),
    }.items()
    for name in names
}


@pytest.fixture(name="telemetry")
def _telemetry(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryTelemetry]:
    """Telemetry of ours that is also the global one; afterwards nobody is instrumented any more."""
    telemetry = in_memory_telemetry()
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: telemetry.providers.tracer_provider)
    before = {(api, name): getattr(api, name) for api, name in REPLACED}
    yield telemetry
    for library in (ours, stock):
        for each in NAMES:
            instrumentor = getattr(library, each)()
            if instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.uninstrument()
    assert {(api, name): getattr(api, name) for api, name in REPLACED} == before
    telemetry.shutdown()


def instrument(library: Any, names: Sequence[str] = NAMES, **options: Any) -> None:
    for name in names:
        getattr(library, name)().instrument(**options)


def echo(request: bytes, context: grpc.ServicerContext) -> bytes:
    return request


def call(channel: Callable[[str], Any] = lambda target: grpc.insecure_channel(target), interceptors: Any = ()) -> None:
    """Call a synchronous server by a channel of the synchronous API, both made now."""
    server = grpc.server(futures.ThreadPoolExecutor(1), interceptors=interceptors)
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.Echo", {"Say": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with channel(f"127.0.0.1:{port}") as opened:
        assert opened.unary_unary("/a.Echo/Say")(b"hi", timeout=10) == b"hi"
    server.stop(None).wait(10)


async def aio_echo(request: bytes, context: Any) -> bytes:
    return request


async def aio_call(server_interceptors: Sequence[Any] = (), client_interceptors: Any = ()) -> None:
    """Do as `call` does, with grpc.aio."""
    server = grpc.aio.server(interceptors=server_interceptors)
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(aio_echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.Echo", {"Say": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    opened: Any = grpc.aio.insecure_channel(f"127.0.0.1:{port}", interceptors=client_interceptors)
    async with opened as channel:
        assert await channel.unary_unary("/a.Echo/Say")(b"hi", timeout=10) == b"hi"
    await server.stop(None)


async def spans(telemetry: InMemoryTelemetry, least_count: int = 2) -> list[ReadableSpan]:
    """The spans of calls: those of both sides, once so many have come; an aio call's may need the loop for it."""

    def both(found: Sequence[ReadableSpan]) -> bool:
        return len(found) >= least_count and {span.kind for span in found} == {SpanKind.CLIENT, SpanKind.SERVER}

    async def seen() -> Sequence[ReadableSpan]:
        return telemetry.spans()

    found = await eventually_async(seen, until=both)
    return sorted(found, key=lambda span: span.kind.name)


def is_ours(found: Sequence[ReadableSpan]) -> bool:
    return {span.instrumentation_scope.name for span in found if span.instrumentation_scope} == {"otel.instrument"}


@pytest.mark.parametrize("libraries", [(stock, ours), (ours, stock)], ids=["stock comes first", "ours comes first"])
async def test_a_call_has_one_span_on_each_side_whichever_instrumentor_comes_first(
    telemetry: InMemoryTelemetry, libraries: Sequence[Any]
) -> None:
    for library in libraries:
        instrument(library)

    call()
    found = await spans(telemetry)
    telemetry.clear()
    await aio_call()
    found_aio = await spans(telemetry)

    for each in (found, found_aio):
        assert [span.kind for span in each] == [SpanKind.CLIENT, SpanKind.SERVER]
        assert is_ours(each)
        assert each[1].parent is not None
        assert each[0].context is not None
        assert each[1].parent.span_id == each[0].context.span_id


@pytest.mark.parametrize("library", [stock, ours], ids=["stock", "ours"])
async def test_interceptors_that_the_program_brings_itself_make_no_second_span(
    telemetry: InMemoryTelemetry, library: Any
) -> None:
    instrument(ours)
    intercept: Any = grpcext.intercept_channel

    call(
        lambda target: intercept(grpc.insecure_channel(target), library.client_interceptor()),
        [library.server_interceptor()],
    )
    found = await spans(telemetry)
    telemetry.clear()
    await aio_call([library.aio_server_interceptor()], library.aio_client_interceptors())
    found_aio = await spans(telemetry)

    assert is_ours([*found, *found_aio])
    assert [len(found), len(found_aio)] == [2, 2]


async def test_grpc_s_own_interceptors_stay_on_a_channel_that_is_traced(telemetry: InMemoryTelemetry) -> None:
    asked = []

    class Asked(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            asked.append(client_call_details.method)
            return continuation(client_call_details, request)

    instrument(ours)
    call(lambda target: grpc.intercept_channel(grpc.insecure_channel(target), Asked(), ours.client_interceptor()))

    assert asked == ["/a.Echo/Say"]
    assert len(await spans(telemetry)) == 2


async def test_the_program_s_other_interceptors_stay(telemetry: InMemoryTelemetry) -> None:
    asked = []

    class Asked(grpc.ServerInterceptor):
        def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            asked.append("sync")
            return continuation(handler_call_details)

    class AskedAio(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            asked.append("aio")
            return await continuation(handler_call_details)

    class AskedClient(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            asked.append("aio client")
            return await continuation(client_call_details, request)

    instrument(ours)
    call(interceptors=[Asked()])
    await aio_call([AskedAio()], [AskedClient()])

    assert asked == ["sync", "aio client", "aio"]
    assert len(await spans(telemetry, 4)) == 4


async def test_a_channel_made_before_keeps_the_interceptor_that_it_is_given(telemetry: InMemoryTelemetry) -> None:
    channel = grpc.insecure_channel

    instrument(ours)
    call(lambda target: grpc.intercept_channel(channel(target), ours.client_interceptor()))

    assert len(await spans(telemetry)) == 2


async def test_another_copy_of_the_instrumentors_adds_no_second_span(telemetry: InMemoryTelemetry) -> None:
    instrument(ours)
    spec = importlib.util.find_spec("otel.instrument.instrumentors")
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)

    instrument(copy)
    call()
    found = await spans(telemetry)
    for name in NAMES:
        getattr(copy, name)().uninstrument()

    assert len(found) == 2


async def test_the_hooks_are_called(telemetry: InMemoryTelemetry) -> None:
    seen: list[Any] = []
    hooks = {"request_hook": lambda span, _: seen.append("request"), "response_hook": lambda span, _: seen.append(1)}
    instrument(ours, [CLIENT, AIO_CLIENT], **hooks)
    instrument(ours, [SERVER, AIO_SERVER])

    call()
    await aio_call()

    assert seen == ["request", 1, "request", 1]
    assert len(await spans(telemetry, 4)) == 4


def test_one_kind_of_channel_may_be_left_out(telemetry: InMemoryTelemetry) -> None:
    instrument(ours, [CLIENT], insecure_channel=False)
    instrument(ours, [SERVER])

    call()

    assert [span.kind for span in eventually(telemetry.spans)] == [SpanKind.SERVER]


async def test_the_tracer_provider_given_is_the_one_that_is_used(telemetry: InMemoryTelemetry) -> None:
    other = in_memory_telemetry()
    instrument(ours, [SERVER, CLIENT], tracer_provider=other.providers.tracer_provider)

    call()

    assert len(await spans(other)) == 2
    assert telemetry.spans() == []
    other.shutdown()


@pytest.mark.parametrize(
    "filter_", [None, filters.method_name("Say")], ids=["alone", "with a filter that lets it pass"]
)
def test_a_service_that_the_variable_excludes_is_not_traced(
    telemetry: InMemoryTelemetry, monkeypatch: pytest.MonkeyPatch, filter_: Any
) -> None:
    monkeypatch.setenv("OTEL_PYTHON_GRPC_EXCLUDED_SERVICES", "a.Echo")
    ours.GrpcInstrumentorClient(filter_).instrument()
    instrument(ours, [AIO_SERVER])

    call()

    assert telemetry.spans() == []


@pytest.mark.parametrize("name", ours.__all__)
def test_a_name_takes_what_the_library_s_takes_in_the_same_places(name: str) -> None:
    if name == "filters":
        assert {each for each in dir(filters) if inspect.isfunction(getattr(filters, each)) and each[0] != "_"} == set(
            ours.filters.__all__
        )
        return
    mine, theirs = (list(inspect.signature(getattr(each, name)).parameters.values()) for each in (ours, stock))
    positional = [each for each in mine if each.kind is not inspect.Parameter.KEYWORD_ONLY]

    assert [(each.name, each.default) for each in positional] == [(each.name, each.default) for each in theirs]


def test_the_distribution_asks_for_the_grpc_that_the_instrumentors_ask_for() -> None:
    built, own = (
        tomllib.loads((ROOT / name).read_text(encoding="utf-8"))["project"]
        for name in ("otel/distribution/pyproject.toml", "pyproject.toml")
    )

    assert tuple(built["optional-dependencies"]["instruments"]) == INSTRUMENTS
    assert get_dependency_conflicts(INSTRUMENTS) is None, "the gRPC that is locked here is one of them"
    assert built["version"] == own["version"]
    library = next(each for each in own["dependencies"] if each.startswith("opentelemetry-instrumentation-grpc=="))
    assert library.replace("==", " == ") in built["dependencies"]
