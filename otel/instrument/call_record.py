"""What one call leaves behind, on either side: its span, its message counts and events, its duration."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import grpc
from opentelemetry.context import Context
from opentelemetry.metrics import Counter
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from otel.instrument import semconv
from otel.instrument.call_durations import CallDurations
from otel.instrument.call_spans import CallSpan
from otel.instrument.call_tracer import CallTracer
from otel.instrument.endings import Ending

_OK: Final[Mapping[str, AttributeValue]] = {semconv.RPC_RESPONSE_STATUS_CODE: grpc.StatusCode.OK.name}
ExceptionLog = Callable[[str, BaseException], None]
_ERROR: Final = StatusCode.ERROR


def log_with_stdlib(event: str, error: BaseException) -> None:
    """Write an exception record through `logging`: what interceptors do that were given nothing better."""
    level = logging.WARNING if event == semconv.CLIENT_CALL_EXCEPTION else logging.ERROR
    logging.getLogger(__name__.rpartition(".")[0]).log(level, event, exc_info=error)


@dataclass(frozen=True, slots=True)
class CallRecorder:
    """What the interceptors of one process record with.

    `durations` None records no metric. `message_events` is the most events a span gets in each direction.
    `log_exception(event, error)` writes one log record; it is called in the context of the span. `sent_sizes` None
    counts no bytes.
    """

    tracer: Tracer
    kind: SpanKind
    durations: CallDurations | None = None
    message_events: int = 0
    log_exception: ExceptionLog = log_with_stdlib
    sent_sizes: Counter | None = None
    call_tracer: CallTracer = field(init=False)

    def __post_init__(self) -> None:
        """Make what starts the spans."""
        object.__setattr__(self, "call_tracer", CallTracer(self.tracer))

    def start(self, name: str, attributes: Mapping[str, AttributeValue], parent: Context | None) -> CallRecord:
        """Start a span under `parent` (None: the current context) and the record that will end it."""
        start_time_unix_nano = time.time_ns()
        span, context = self.call_tracer.start(name, parent, self.kind, attributes, start_time_unix_nano)
        return CallRecord(self, span, context, start_time_unix_nano)


class CallRecord:
    """One call's span and counts. Used by one event loop, or by one thread at a time; ends once, later ends are void.

    `metric_attributes` are those of the duration; the caller fills them and may share them between calls. What the
    caller puts into `late_attributes` is set on the span at its end, all at once, which costs less than one by one.
    `is_observed` is false where neither a span nor a metric is recorded: then nobody needs to know how the call ends.
    """

    __slots__ = (
        "_recorder",
        "_start_time_unix_nano",
        "context",
        "has_ended",
        "is_observed",
        "is_recording",
        "late_attributes",
        "metric_attributes",
        "received_message_count",
        "sent_message_count",
        "sent_size_bytes",
        "span",
        "span_context",
    )

    def __init__(self, recorder: CallRecorder, span: Span, context: Context, start_time_unix_nano: int) -> None:
        self._recorder = recorder
        self._start_time_unix_nano = start_time_unix_nano
        self.span = span
        self.context = context
        if type(span) is CallSpan:
            self.span_context: SpanContext = span.__dict__["_context"]
            self.is_recording = True
        else:
            self.span_context = span.get_span_context()
            self.is_recording = span.is_recording()
        self.is_observed = self.is_recording or recorder.durations is not None
        self.late_attributes: dict[str, AttributeValue] = {}
        self.has_ended = False
        self.metric_attributes: Mapping[str, AttributeValue] = {}
        self.sent_message_count = 0
        self.sent_size_bytes = 0
        self.received_message_count = 0

    @property
    def counts_sizes(self) -> bool:
        """Say whether the bytes of messages are counted."""
        return self._recorder.sent_sizes is not None

    def age_s(self) -> float:
        """Return how long ago the span started."""
        return max(0.0, (time.time_ns() - self._start_time_unix_nano) / 1e9)

    def sent(self, size_bytes: int, *, in_stream: bool) -> None:
        """Count one message on its way out; `size_bytes` is uncompressed. Only a stream's messages become events."""
        if in_stream and self.sent_message_count < self._recorder.message_events:
            self._message_event(semconv.OUTBOUND_MESSAGE, self.sent_message_count, size_bytes)
        self.sent_message_count += 1
        self.sent_size_bytes += size_bytes

    def received(self, size_bytes: int, *, in_stream: bool) -> None:
        """Count one message that came in; `size_bytes` is uncompressed. Only a stream's messages become events."""
        if in_stream and self.received_message_count < self._recorder.message_events:
            self._message_event(semconv.INBOUND_MESSAGE, self.received_message_count, size_bytes)
        self.received_message_count += 1

    def end(self, ending: Ending, end_time_unix_nano: int | None = None) -> None:
        """End the span with what `ending` says, now or at the moment given, and record the duration that it has."""
        if self.has_ended:
            return
        self.has_ended = True
        if end_time_unix_nano is None:
            end_time_unix_nano = time.time_ns()
        outcome = _OK if ending.code is grpc.StatusCode.OK else _outcome(ending.code, ending.error_type)
        if self.is_recording:
            self._end_span(ending, outcome, end_time_unix_nano)
        durations = self._recorder.durations
        if durations is not None:
            duration_s = (end_time_unix_nano - self._start_time_unix_nano) / 1e9
            durations.record(max(0.0, duration_s), end_time_unix_nano, self.metric_attributes, outcome, self.context)
        if self._recorder.sent_sizes is not None:
            self._recorder.sent_sizes.add(self.sent_size_bytes, self.metric_attributes, self.context)

    def log_exception(self, event: str, error: BaseException) -> None:
        """Write one log record about `error`; the caller sees to it that it is in the span's context."""
        self._recorder.log_exception(event, error)

    def _message_event(self, name: str, sequence_number: int, size_bytes: int) -> None:
        if self.is_recording and not self.has_ended:
            self.span.add_event(
                name, {semconv.MESSAGE_SEQUENCE_NUMBER: sequence_number, semconv.MESSAGE_SIZE: size_bytes}
            )

    def _end_span(self, ending: Ending, outcome: Mapping[str, AttributeValue], end_time_unix_nano: int) -> None:
        attributes = {
            **self.late_attributes,
            **outcome,
            semconv.SENT_MESSAGE_COUNT: self.sent_message_count,
            semconv.RECEIVED_MESSAGE_COUNT: self.received_message_count,
        }
        status = Status(_ERROR, ending.description or None) if ending.error_type else None
        if type(self.span) is CallSpan:
            self.span.end_with(attributes, status, end_time_unix_nano)
            return
        self.span.set_attributes(attributes)
        if status is not None:
            self.span.set_status(status)
        self.span.end(end_time_unix_nano)


@lru_cache(maxsize=256)  # an error type may be any exception's
def _outcome(code: grpc.StatusCode | None, error_type: str) -> Mapping[str, AttributeValue]:
    """What span and duration say of an ending; not to be changed."""
    outcome: dict[str, AttributeValue] = {}
    if code is not None:
        outcome[semconv.RPC_RESPONSE_STATUS_CODE] = code.name
    if error_type:
        outcome[semconv.ERROR_TYPE] = error_type
    return outcome
