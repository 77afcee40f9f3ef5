"""Every private name of a library that this package leans on: each test says what to look at when it has moved."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc._cython import cygrpc
from grpc.aio import _call as grpc_call
from opentelemetry._logs import LogRecord
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, Context, attach, detach
from opentelemetry.exporter.otlp.proto.common import _internal as proto_common
from opentelemetry.exporter.otlp.proto.common._internal import trace_encoder
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.exporter import OTLPExporterMixin
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import _aio_client, _aio_server, _client
from opentelemetry.instrumentation.utils import _SUPPRESS_INSTRUMENTATION_KEY_PLAIN, is_instrumentation_enabled
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk import _configuration
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics._internal.instrument import _Histogram
from opentelemetry.sdk.metrics._internal.measurement import Measurement
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace import (
    ReadableSpan,
    Span,
    SynchronousMultiSpanProcessor,
    Tracer,
    TracerProvider,
    _Span,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, ParentBased
from opentelemetry.trace import SpanKind

import otel.instrument as ours
from otel.instrument import otlp_http, pipelines
from otel.instrument.call_spans import CallSpan
from otel.instrument.call_tracer import CallTracer
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
        assert isinstance(unary._call_response, asyncio.Task), "a unary call has no _call_response task any more"
        for call in (stream, both):
            assert isinstance(call._preparation, asyncio.Task), "a streaming call has no _preparation task any more"
        await unary
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


@pytest.mark.parametrize(
    "name",
    [
        "_get_exporter_entry_point",
        "_get_exporter_names",
        "_get_id_generator",
        "_get_sampler",
        "_import_exporters",
        "_import_id_generator",
        "_import_sampler",
    ],
)
def test_the_sdk_still_chooses_from_the_environment_by_these_functions(name: str) -> None:
    assert callable(getattr(_configuration, name, None)), (
        f"opentelemetry.sdk._configuration.{name} is gone: pipelines.py"
    )


def test_a_metric_exporter_still_tells_its_preferences() -> None:
    assert {"_preferred_temporality", "_preferred_aggregation"} <= set(
        inspect.getsource(MetricExporter.__init__).replace("self.", " ").split()
    ), "MetricExporter keeps its preferences elsewhere now: WatchedMetricExporter in pipelines.py"


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize(
    ("module", "name"), [("trace_exporter", "OTLPSpanExporter"), ("_log_exporter", "OTLPLogExporter")]
)
def test_the_stock_exporters_are_exchanged_for_ours(protocol: str, module: str, name: str) -> None:
    theirs = getattr(import_module(f"opentelemetry.exporter.otlp.proto.{protocol}.{module}"), name)

    made = pipelines._encoded(theirs)

    assert made is not theirs, f"{name} moved: pipelines.py no longer knows it, and its slow encoding is back"
    assert issubclass(made, theirs)


def test_another_exporter_is_taken_as_it_is() -> None:
    assert pipelines._encoded(InMemorySpanExporter) is InMemorySpanExporter


@pytest.mark.parametrize(
    ("exporter", "stub"),
    [(OTLPSpanExporter, TraceServiceStub), (OTLPLogExporter, LogsServiceStub)],
    ids=["spans", "logs"],
)
def test_the_grpc_exporters_call_the_stub_that_we_stand_in_for(exporter: Any, stub: Any) -> None:
    export = inspect.getsource(OTLPExporterMixin._export)
    made = inspect.getsource(OTLPExporterMixin._initialize_channel_and_stub)

    assert "self._client.Export(" in export, "OTLPExporterMixin no longer exports by self._client: otlp_grpc.py"
    assert "request=self._translate_data(data)" in export, "OTLPExporterMixin no longer encodes by _translate_data"
    assert "self._client = self._stub(self._channel)" in made, "the stub is made elsewhere now: otlp_grpc.py"
    theirs, ours_ = PathsOnly(), PathsOnly()
    stub(theirs)
    encoded: Any = pipelines._encoded(exporter)
    encoded._stub_on(ours_)
    assert ours_.paths == theirs.paths, "OTLP's gRPC method has another path in the library"


class PathsOnly:
    """A channel that notes which methods a stub asks for."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def unary_unary(self, path: str, *_: Any, **__: Any) -> None:
        self.paths.append(path)


def test_an_http_exporter_that_encodes_in_another_way_is_refused() -> None:
    with pytest.raises(TypeError, match="no longer encodes by encode_spans"):
        otlp_http.with_encoder(lambda: None, "encode_spans", bytes)


def test_the_sdks_attributes_are_kept_in_a_dictionary() -> None:
    assert BoundedAttributes(None, {"a": 1})._dict == {"a": 1}, "BoundedAttributes has no _dict: otlp_wire.py reads it"


def test_a_readable_span_keeps_its_parts_where_the_encoder_reads_them() -> None:
    span = ReadableSpan("n", attributes={"a": 1}, events=(), links=())

    assert (span._attributes, span._events, span._links) == ({"a": 1}, (), ()), "ReadableSpan moved: otlp_spans.py"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (proto_common, "_encode_attributes"),
        (proto_common, "_encode_instrumentation_scope"),
        (proto_common, "_encode_resource"),
        (proto_common, "_encode_value"),
        (trace_encoder, "_encode_links"),
        (trace_encoder, "_SPAN_KIND_MAP"),
    ],
)
def test_the_stock_encoder_still_has_what_the_odd_values_are_left_to(module: Any, name: str) -> None:
    assert hasattr(module, name), f"the stock encoder has no {name} any more: see otel/instrument/otlp_wire.py"


def test_a_calls_span_has_everything_that_the_sdks_methods_read() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    by_sdk = tracer.start_span("s")
    by_us, _ = CallTracer(tracer).start("s", None, SpanKind.CLIENT, {}, 1)

    assert (type(by_sdk), type(by_us)) == (_Span, CallSpan), "another class: call_tracer.py"
    missing = [name for name in vars(by_sdk) if not hasattr(by_us, name)]
    assert not missing, f"the SDK's span has more now, call_spans.py lacks {missing}"


@pytest.mark.parametrize(
    ("method", "steps"),
    [
        (
            Tracer.start_span,
            (
                "get_current_span(context).get_span_context()",
                "self._is_enabled()",
                "self.id_generator.generate_trace_id()",
                "self.sampler.should_sample(context, trace_id, name, kind, attributes, links)",
                "self.id_generator.is_trace_id_random()",
                "parent_span_context.trace_flags.random_trace_id",
                "trace_state=sampling_result.trace_state",
                "self._tracer_metrics.start_span(parent_span_context, sampling_result.decision)",
                "attributes=sampling_result.attributes",
                "span.start(start_time=start_time, parent_context=context)",
            ),
        ),
        (Span.start, ("self._span_processor.on_start(self, parent_context=parent_context)",)),
        (
            Span.end,
            (
                "self._end_time = end_time if end_time is not None else time_ns()",
                "self._attributes._immutable = True",
                "self._record_end_metrics()",
                "self._span_processor._on_ending(self)",
                "self._span_processor.on_end(self._readable_span())",
            ),
        ),
        (SynchronousMultiSpanProcessor.on_end, ("for sp in self._span_processors",)),
        (ParentBased.should_sample, ("parent_span_context.is_remote", "parent_span_context.trace_flags.sampled")),
    ],
)
def test_the_sdk_still_does_to_a_span_what_ours_do_in_its_place(method: Any, steps: Sequence[str]) -> None:
    source = inspect.getsource(method)

    missing = [step for step in steps if step not in source]
    assert not missing, f"{method.__qualname__} does other things now, see call_spans.py and call_tracer.py: {missing}"


def test_the_sdks_logger_still_does_what_the_short_way_of_a_record_stands_in_for() -> None:
    provider = LoggerProvider(shutdown_on_exit=False)
    logger: Any = provider.get_logger("scope")

    needed = ("_log_record_limits", "_multi_log_record_processor", "_resource", "_instrumentation_scope")
    missing = [name for name in (*needed, "_logger_metrics", "_is_enabled") if not hasattr(logger, name)]
    assert not missing, f"log_export.py reads of the SDK's logger {missing}"
    fields = vars(LogRecord(timestamp=1, context=Context()))
    assert set(fields) == {
        *("timestamp", "observed_timestamp", "context", "trace_id", "span_id", "trace_flags", "severity_text"),
        *("severity_number", "body", "attributes", "event_name", "exception"),
    }, "a log record has other fields now: log_export.py"
    emit = inspect.getsource(type(logger).emit) + inspect.getsource(BatchLogRecordProcessor.on_emit)
    for step in ("_logger_metrics.emit_log()", "_multi_log_record_processor.on_emit(", "_batch_processor.emit("):
        assert step in emit, f"emitting a record no longer does {step}: log_export.py"


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


def test_the_sdks_samplers_keep_their_decisions_where_they_are_read() -> None:
    by_parent = ParentBased(ALWAYS_OFF)
    kinds = ("remote_parent_sampled", "remote_parent_not_sampled", "local_parent_sampled", "local_parent_not_sampled")
    names = ["_root", *(f"_{kind}" for kind in kinds)]

    assert ALWAYS_OFF._decision is Decision.DROP, "a static sampler decides by something else: known_samplers.py"
    assert all(hasattr(by_parent, name) for name in names), "ParentBased has other delegates: known_samplers.py"


def test_the_sdk_has_what_its_shortcuts_stand_in_for() -> None:
    histogram = MeterProvider(shutdown_on_exit=False).get_meter("m").create_histogram("h")
    assert type(histogram) is _Histogram, "the SDK's histograms have another class: call_durations.py"

    record = " ".join(inspect.getsource(_Histogram.record).split())
    assert "self._is_enabled()" in record, "a histogram's record does other things now: call_durations.py"
    made = "Measurement( amount, time_unix_nano, self, context or get_current(), attributes, )"
    assert f"self._measurement_consumer.consume_measurement( {made} )" in record, (
        "another Measurement: call_durations.py"
    )
    assert "_clean_attribute_value" in inspect.getsource(Measurement.__post_init__), "Measurement checks elsewhere now"


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
