"""Private names of the SDK and its exporters that we lean on: each test says what to look at when one has moved."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common import _internal as proto_common
from opentelemetry.exporter.otlp.proto.common._internal import trace_encoder
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.exporter import OTLPExporterMixin
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk import _configuration
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics._internal._view_instrument_match import _ViewInstrumentMatch
from opentelemetry.sdk.metrics._internal.aggregation import _ExplicitBucketHistogramAggregation
from opentelemetry.sdk.metrics._internal.exemplar import AlignedHistogramBucketExemplarReservoir
from opentelemetry.sdk.metrics._internal.instrument import _Histogram
from opentelemetry.sdk.metrics._internal.measurement import Measurement
from opentelemetry.sdk.metrics._internal.measurement_consumer import SynchronousMeasurementConsumer
from opentelemetry.sdk.metrics._internal.metric_reader_storage import MetricReaderStorage
from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace import (
    ReadableSpan,
    Span,
    SynchronousMultiSpanProcessor,
    Tracer,
    TracerProvider,
    _Span,
)
from opentelemetry.sdk.trace._tracer_metrics import NoOpTracerMetrics
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, ParentBased
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.span import DEFAULT_TRACE_STATE

from otel.instrument import otlp_http, pipelines
from otel.instrument.call_spans import CallSpan
from otel.instrument.call_tracer import CallTracer


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


def test_ids_and_contexts_are_what_ours_make_of_them_directly() -> None:
    valid = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(3), trace_state=None)
    assert tuple(valid) == (1, 2, True, 3, DEFAULT_TRACE_STATE, True), "SpanContext has other parts: call_tracer.py"
    assert valid[4] is DEFAULT_TRACE_STATE, "another trace state: call_tracer.py, propagation.py, otlp_spans.py"
    for method, bits in ((RandomIdGenerator.generate_trace_id, 128), (RandomIdGenerator.generate_span_id, 64)):
        source = inspect.getsource(method)
        assert f"random.getrandbits({bits})" in source, f"{method.__qualname__} does other things: call_tracer.py"
    assert RandomIdGenerator().is_trace_id_random(), "random ids are no longer said to be random: call_tracer.py"
    assert "return noop" in inspect.getsource(NoOpTracerMetrics.start_span), "it counts something: call_tracer.py"


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


def test_the_sdk_aggregates_in_the_steps_that_our_batches_stand_in_for() -> None:
    steps: dict[Callable[..., Any], Sequence[str]] = {
        SynchronousMeasurementConsumer.consume_measurement: (
            "self._sdk_config.exemplar_filter.should_sample(",
            "for reader_storage in self._reader_storages.values():",
        ),
        MetricReaderStorage.consume_measurement: ("self._get_or_init_view_instrument_match(measurement.instrument)",),
        _ViewInstrumentMatch.consume_measurement: (
            "if self._view._attribute_keys is not None:",
            "if self._reset_on_collect:",
            "aggr_key = _hash_attributes(attributes)",
            "self._attributes_aggregation.get(aggr_key)",
        ),
        _ExplicitBucketHistogramAggregation.aggregate: (
            "with self._lock: if self._value is None: self._value = self._get_empty_bucket_counts()",
            "self._sum += measurement_value",
            "if self._record_min_max:",
            "self._value[bisect_left(self._boundaries, measurement_value)] += 1",
            "self._sample_exemplar(measurement, should_sample_exemplar)",
        ),
        AlignedHistogramBucketExemplarReservoir._find_bucket_index: ("if value <= boundary: return index",),
    }
    for method, expected in steps.items():
        source = " ".join(inspect.getsource(method).split())
        for step in expected:
            assert step in source, f"{method.__qualname__} does other things now: histogram_batches.py"
