"""The short way of a log record: what it queues is what the SDK would, and it is left where the SDK would do more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import Logger as SdkLogger
from opentelemetry.sdk._logs import LoggerProvider, LogRecordLimits, LogRecordProcessor, ReadableLogRecord
from opentelemetry.sdk._logs._internal import _LoggerConfig
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otel.instrument.deferred import Deferred
from otel.instrument.export_watch import ExportWatch
from otel.instrument.log_export import LogExport
from otel.instrument.log_records import SEVERITIES
from otel.instrument.otlp_logs import LogEncoder
from otel.instrument.pipelines import WatchedLogProcessor

SPAN_CONTEXT = SpanContext(7, 8, is_remote=False, trace_flags=TraceFlags(1))
CONTEXT = set_span_in_context(NonRecordingSpan(SPAN_CONTEXT), Context())
WARN = ("WARN", SeverityNumber.WARN)


class EncodingExporter(InMemoryLogRecordExporter):
    """One of ours, which takes records that are encoded already."""

    encoder = LogEncoder()

    def requests(self) -> list[ExportLogsServiceRequest]:
        records: Any = self.get_finished_logs()
        return [ExportLogsServiceRequest.FromString(self.encoder.encode([record])) for record in records]


class Pipeline:
    """A provider with our processor alone, and what came through it."""

    def __init__(self, limits: LogRecordLimits | None = None, exporter: Any = None) -> None:
        self.exported: Any = exporter or InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
        self.watch = ExportWatch()
        self.provider = LoggerProvider(
            Resource({"service.name": "s"}), shutdown_on_exit=False, log_record_limits=limits
        )
        self.provider.add_log_record_processor(WatchedLogProcessor(self.exported, self.watch, None))
        self.logger = self.provider.get_logger("scope", "1", "https://s/1")
        self.export = LogExport(self.logger)

    def emit(self, attributes: Mapping[str, Any], text: str = "user.created") -> bool:
        return self.export.emit(5, SPAN_CONTEXT, WARN, text, attributes, text)

    def emit_by_sdk(self, attributes: Mapping[str, Any], text: str = "user.created") -> None:
        self.logger.emit(
            LogRecord(
                timestamp=5,
                observed_timestamp=5,
                context=CONTEXT,
                severity_text=WARN[0],
                severity_number=WARN[1],
                body=text,
                attributes=attributes,
                event_name=text,
            )
        )

    def records(self) -> Sequence[ReadableLogRecord]:
        self.provider.force_flush()
        found: Sequence[ReadableLogRecord] = self.exported.get_finished_logs()
        return found


@pytest.fixture
def pipeline() -> Iterator[Pipeline]:
    made = Pipeline()
    yield made
    made.provider.shutdown()


ascii_text = st.text(st.characters(max_codepoint=127), max_size=8)
plain = st.one_of(ascii_text, st.integers(-(2**63), 2**63 - 1), st.booleans(), st.floats(allow_nan=False))


@settings(max_examples=50, deadline=None)
@given(attributes=st.dictionaries(ascii_text.filter(bool), plain, max_size=4), text=ascii_text)
def test_a_plain_record_is_exported_as_the_sdk_has_it(attributes: dict[str, Any], text: str) -> None:
    pipeline = Pipeline()
    try:
        assert pipeline.emit(attributes, text)
        pipeline.emit_by_sdk(attributes, text)

        by_us, by_sdk = pipeline.records()
    finally:
        pipeline.provider.shutdown()

    assert encode_logs([by_us]) == encode_logs([by_sdk])
    assert by_us.to_json() == by_sdk.to_json()
    assert by_us.dropped_attributes == by_sdk.dropped_attributes == 0


@settings(max_examples=50, deadline=None)
@given(attributes=st.dictionaries(ascii_text.filter(bool), plain, max_size=4), text=ascii_text)
def test_a_plain_record_is_encoded_as_the_stock_encoder_does(attributes: dict[str, Any], text: str) -> None:
    exporter = EncodingExporter()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
    pipeline = Pipeline(exporter=exporter)
    try:
        assert pipeline.emit(attributes, text)
        pipeline.emit_by_sdk(attributes, text)
        early, by_sdk = pipeline.records()
    finally:
        pipeline.provider.shutdown()

    assert isinstance(early, Deferred)
    assert exporter.requests() == [encode_logs([by_sdk])] * 2


def test_a_record_that_is_queued_is_counted(pipeline: Pipeline) -> None:
    pipeline.emit({"a": 1})
    pipeline.records()

    assert pipeline.watch.loss("logs").made_count == 1
    assert pipeline.watch.loss("logs").lost_count == 0


@pytest.mark.parametrize(
    "attributes",
    [{"a": [1]}, {"a": None}, {"a": {"b": 1}}, {"a": 2**63}, {"a": "\ud800"}, {"a": object()}, {"": 1}, {"a": b"b"}],
    ids=["list", "none", "mapping", "too large", "lone surrogate", "object", "no key", "bytes"],
)
def test_a_value_that_needs_a_look_is_left_to_the_sdk(pipeline: Pipeline, attributes: dict[str, Any]) -> None:
    assert not pipeline.emit(attributes)
    assert pipeline.records() == ()


def test_a_text_that_needs_a_look_is_left_to_the_sdk(pipeline: Pipeline) -> None:
    assert not pipeline.emit({}, "\ud800")


@pytest.mark.parametrize(
    "limits",
    [LogRecordLimits(max_log_record_attributes=1), LogRecordLimits(max_log_record_attribute_length=9)],
    ids=["few", "short"],
)
def test_limits_that_may_be_reached_are_left_to_the_sdk(limits: LogRecordLimits) -> None:
    pipeline = Pipeline(limits)
    try:
        assert not pipeline.emit({"a": 1, "b": 2})
    finally:
        pipeline.provider.shutdown()


class Watching(LogRecordProcessor):
    def on_emit(self, log_record: Any) -> None:
        raise AssertionError("nothing was emitted")

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


def test_where_somebody_else_is_in_the_pipeline_the_sdk_tells_everyone(pipeline: Pipeline) -> None:
    assert pipeline.emit({})

    pipeline.provider.add_log_record_processor(Watching())

    assert not pipeline.emit({})


def test_a_logger_that_is_disabled_is_left_to_the_sdk(pipeline: Pipeline) -> None:
    logger: Any = pipeline.logger
    logger._set_logger_config(_LoggerConfig(is_enabled=False))

    assert not pipeline.emit({})


def test_where_nobody_exports_the_sdk_makes_no_record(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(SdkLogger, "emit", lambda _logger, record: made.append(record))
    logger = LoggerProvider(shutdown_on_exit=False).get_logger("scope")

    is_done = LogExport(logger).emit(1, INVALID_SPAN_CONTEXT, SEVERITIES["info"], "ü", {"a": [1]}, None)

    assert (is_done, made) == (True, [])
