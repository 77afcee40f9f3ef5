"""Hands log records to the SDK's pipeline: past the SDK's copies where nobody else is in the pipeline, else through it.

The SDK makes three objects of a record and checks each attribute by type. Where every processor is our own batch
processor, the attributes are few, plain and within the limits, we queue what the record is encoded from, or make what
the SDK would queue. The private names are held by tests/unit/instrument/test_sdk_seams.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

from opentelemetry._logs import Logger, LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.sdk._logs import Logger as SdkLogger
from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord
from opentelemetry.sdk._logs._internal import SynchronousMultiLogRecordProcessor
from opentelemetry.sdk._logs._internal._logger_metrics import NoOpLoggerMetrics
from opentelemetry.trace import SpanContext
from opentelemetry.util.types import AnyValue

from otel.instrument.deferred import Deferred
from otel.instrument.pipelines import WatchedLogProcessor

INT64_LIMIT: Final = 2**63
_NO_CONTEXT: Final = Context()


class LogExport:
    """Emits records by one logger; safe in any thread."""

    __slots__ = ("_logger", "_pipeline")

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._pipeline: tuple[object, tuple[WatchedLogProcessor, ...]] = (None, ())

    def emit(
        self,
        time_unix_nano: int,
        span_context: SpanContext,
        severity: tuple[str, SeverityNumber],
        text: str,
        attributes: Mapping[str, Any],
        event_name: str | None,
    ) -> bool:
        """Queue a record of plain attributes; return False where it is for `Logger.emit`, and nothing was done.

        `span_context` is the current span's; `attributes` are the record's from now on.
        """
        logger: Any = self._logger
        if type(logger) is not SdkLogger:
            return False
        multi = logger._multi_log_record_processor
        is_unheard = type(multi) is SynchronousMultiLogRecordProcessor and not multi._log_record_processors
        if not (is_unheard or (text.isascii() and _is_plain(attributes, logger._log_record_limits))):
            return False
        processors = self._ours(multi)
        if not (processors or is_unheard) or not logger._is_enabled():
            return False
        if type(logger._logger_metrics) is not NoOpLoggerMetrics:
            logger._logger_metrics.emit_log()
        resource, scope = logger._resource, logger._instrumentation_scope
        for processor in processors:
            processor.queue(
                _readable(logger, time_unix_nano, severity, text, attributes, span_context, event_name)
                if processor.encoder is None
                else Deferred((resource, scope, time_unix_nano, severity, text, attributes, span_context, event_name))
            )
        return True

    def _ours(self, processor: Any) -> tuple[WatchedLogProcessor, ...]:
        """Return the provider's processors if all are ours, else none; found anew where one was added."""
        if type(processor) is not SynchronousMultiLogRecordProcessor:
            return ()
        known, ours = self._pipeline
        found: Any = processor._log_record_processors
        if known is not found:
            ours = found if all(type(each) is WatchedLogProcessor for each in found) else ()
            self._pipeline = (found, ours)  # one assignment, so another thread sees a pair that belongs together
        return ours


def _readable(
    logger: Any,
    time_unix_nano: int,
    severity: tuple[str, SeverityNumber],
    text: str,
    attributes: Mapping[str, Any],
    span_context: SpanContext,
    event_name: str | None,
) -> ReadableLogRecord:
    """Make what the SDK's batch processor would queue, for an exporter that is not ours."""
    record = _PlainLogRecord.__new__(_PlainLogRecord)
    record.__dict__ = {
        "timestamp": time_unix_nano,
        "observed_timestamp": time_unix_nano,
        "context": _NO_CONTEXT,
        "trace_id": span_context.trace_id,
        "span_id": span_context.span_id,
        "trace_flags": span_context.trace_flags,
        "severity_text": severity[0],
        "severity_number": severity[1],
        "body": text,
        "attributes": attributes,
        "event_name": event_name,
        "exception": None,
    }
    return ReadableLogRecord(record, logger._resource, logger._instrumentation_scope, logger._log_record_limits)


class CopiedLogRecord(LogRecord):
    """The API's log record with a copy of its own: the SDK copies each one, and `copy.copy` takes its long way."""

    def __copy__(self) -> Self:
        copied = self.__class__.__new__(self.__class__)
        copied.__dict__.update(self.__dict__)
        return copied


class _PlainLogRecord(LogRecord):
    """A record that is made with all its fields at once."""


def _is_plain(attributes: Mapping[str, AnyValue], limits: LogRecordLimits) -> bool:
    """Say whether the SDK would keep the attributes exactly as they are, and every encoder has a form for them."""
    most = limits.max_log_record_attributes
    if limits.max_log_record_attribute_length is not None or (most is not None and len(attributes) > most):
        return False
    for key, value in attributes.items():
        kind = type(value)
        if kind is str:
            is_plain = value.isascii()  # type: ignore[union-attr]  # text
        elif kind is int:
            is_plain = -INT64_LIMIT <= value < INT64_LIMIT  # type: ignore[operator]  # a number
        else:
            is_plain = kind is bool or kind is float
        if not (is_plain and key and type(key) is str):
            return False
    return True
