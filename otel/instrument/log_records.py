"""One log record, three forms: a JSON line, an OTLP log record, and on request an event on the current span.

`LogRecorder` is the last structlog processor of a process, and what the stdlib handler calls. All three forms carry the
same `log.record.uid`, so a reader that finds the record twice shows it once.
"""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

import orjson
from opentelemetry import trace
from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.baggage import _BAGGAGE_KEY
from opentelemetry.context import Context, get_current
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.util.types import AnyValue, AttributeValue

from otel.instrument import semconv
from otel.instrument.baggage import BaggageAttributes
from otel.instrument.call_spans import CallSpan
from otel.instrument.log_export import CopiedLogRecord, LogExport
from otel.instrument.suppression import is_suppressed

SEVERITIES: Final[Mapping[str, tuple[str, SeverityNumber]]] = {
    "debug": ("DEBUG", SeverityNumber.DEBUG),
    "info": ("INFO", SeverityNumber.INFO),
    "warning": ("WARN", SeverityNumber.WARN),
    "error": ("ERROR", SeverityNumber.ERROR),
    "critical": ("FATAL", SeverityNumber.FATAL),
}
LEVEL_OF_METHOD: Final = {"warn": "warning", "exception": "error", "fatal": "critical", "msg": "info", "log": "info"}
INT64_LIMIT: Final = 2**63


class LogRecorder:
    """Stamps, exports and renders log records; safe in any thread or task, and takes no lock of its own.

    `otlp_logger` None exports nothing. `random_bits` and `clock` are there for tests.
    """

    def __init__(
        self,
        service_name: str,
        otlp_logger: Logger | None,
        baggage_attributes: BaggageAttributes,
        *,
        as_span_events: bool = False,
        clock: Callable[[], int] = time.time_ns,
        random_bits: Callable[[int], int] = random.getrandbits,
    ) -> None:
        self._service_name = service_name
        self._otlp_logger = otlp_logger
        self._export = None if otlp_logger is None else LogExport(otlp_logger)
        self._baggage_attributes = baggage_attributes
        self._as_span_events = as_span_events
        self._clock = clock
        self._random_bits = random_bits
        self._iso_second = (-1, "")

    def __call__(self, _logger: object, method_name: str, event_dict: MutableMapping[str, Any]) -> bytes:
        """Record one structlog event: the processor's form of `record`."""
        event = event_dict.pop("event", "")
        name = event if isinstance(event, str) else str(event)
        return self.record(LEVEL_OF_METHOD.get(method_name, method_name), name, event_dict, is_event_name=True)

    def record(
        self, level: str, text: str, facts: MutableMapping[str, Any], *, is_event_name: bool, local_only: bool = False
    ) -> bytes:
        """Export one record and return its JSON line, newline included.

        `text` is an event name (`user.created`) or, from libraries, a sentence. `exc_info` in `facts` becomes the
        `exception.*` attributes. `local_only`, or being inside an exporter, makes only the line.
        """
        time_unix_nano = self._clock()
        if "exc_info" in facts:
            _expand_exception(facts)
        context = get_current()
        span = context.get(_SPAN_KEY)
        if type(span) is CallSpan:  # what the API's two calls find of it
            span_context = span.__dict__["_context"]
        else:
            span = trace.get_current_span(context)
            span_context = span.get_span_context()
        joined = self._baggage_attributes.attributes(context) if _BAGGAGE_KEY in context else {}
        joined[semconv.LOG_RECORD_UID] = f"{self._random_bits(128):032x}"
        if not local_only and not is_suppressed(context):
            attributes = {**facts, **joined}
            if self._export is not None:
                name = text if is_event_name else None
                severity = SEVERITIES.get(level) or SEVERITIES["info"]
                if not self._export.emit(time_unix_nano, span_context, severity, text, attributes, name):
                    self._emit_by_sdk(time_unix_nano, context, severity, text, attributes, name)
            if self._as_span_events and span.is_recording():
                _add_span_event(span, time_unix_nano, level, text, attributes)
        fields = {
            "time": self._iso(time_unix_nano),
            "level": level,
            "event": text,
            semconv.SERVICE_NAME: self._service_name,
        }
        trace_id, span_id, _, trace_flags, _, is_valid = span_context
        if is_valid:
            fields["trace_id"] = f"{trace_id:032x}"
            fields["span_id"] = f"{span_id:016x}"
            fields["trace_flags"] = f"{trace_flags:02x}"
        fields.update(joined)
        if not fields.keys().isdisjoint(facts):
            facts = {key: value for key, value in facts.items() if key not in fields}
        fields.update(facts)
        return to_json_line(fields)

    def _emit_by_sdk(
        self,
        time_unix_nano: int,
        context: Context,
        severity: tuple[str, SeverityNumber],
        text: str,
        attributes: dict[str, Any],
        event_name: str | None,
    ) -> None:
        assert self._otlp_logger is not None
        self._otlp_logger.emit(
            CopiedLogRecord(
                timestamp=time_unix_nano,
                observed_timestamp=time_unix_nano,
                context=context,
                severity_text=severity[0],
                severity_number=severity[1],
                body=encodable(text),
                attributes={key: encodable(value) for key, value in attributes.items()},
                event_name=event_name,
            )
        )

    def _iso(self, time_unix_nano: int) -> str:
        second, rest = divmod(time_unix_nano, 1_000_000_000)
        cached_second, text = self._iso_second
        if second != cached_second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._iso_second = (second, text)  # one assignment, so another thread sees the old pair or the new one
        return f"{text}.{rest // 1000:06d}Z"


def to_json_line(fields: Mapping[str, Any]) -> bytes:
    """Render one line; what JSON has no form for is shown by its `str`. Never raises."""
    try:
        return orjson.dumps(fields, default=str, option=orjson.OPT_APPEND_NEWLINE)
    except (TypeError, ValueError):  # a lone surrogate, an integer past 64 bits: rare, so the slow way will do
        return orjson.dumps(encodable(fields), default=str, option=orjson.OPT_APPEND_NEWLINE)


def encodable(value: Any) -> AnyValue:
    """Turn any value into one that every OTLP encoder takes: one odd value must not cost a whole batch."""
    if isinstance(value, str):
        return value if value.isascii() else _encodable_text(value)
    if value is None or isinstance(value, (bool, float, bytes)):
        return value
    if isinstance(value, int):
        return value if -INT64_LIMIT <= value < INT64_LIMIT else str(value)
    if isinstance(value, Mapping):
        return {_encodable_text(str(key)): encodable(member) for key, member in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [encodable(member) for member in value]
    return encodable(str(value))


def _encodable_text(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _add_span_event(span: trace.Span, time_unix_nano: int, level: str, text: str, attributes: dict[str, Any]) -> None:
    severity_text, severity_number = SEVERITIES.get(level, SEVERITIES["info"])
    event_attributes = {key: _span_value(value) for key, value in attributes.items()}
    event_attributes[semconv.LOG_SEVERITY_TEXT] = severity_text
    event_attributes[semconv.LOG_SEVERITY_NUMBER] = severity_number.value
    span.add_event(text, event_attributes, time_unix_nano)


def _span_value(value: Any) -> AttributeValue:
    simple = encodable(value)
    if isinstance(simple, (str, bool, int, float)):
        return simple
    return to_json_line({"": simple})[4:-2].decode()  # `{"":` … `}\n` taken off: the value's own JSON


def _expand_exception(facts: MutableMapping[str, Any]) -> None:
    exc_info = facts.pop("exc_info", None)
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if error is True:
        error = _current_exception()
    if not isinstance(error, BaseException):
        return
    facts[semconv.EXCEPTION_TYPE] = exception_type_name(type(error))
    facts[semconv.EXCEPTION_MESSAGE] = str(error)
    facts[semconv.EXCEPTION_STACKTRACE] = "".join(traceback.format_exception(error))


def exception_type_name(error_type: type[BaseException]) -> str:
    """Name an exception class as the conventions do: with its module, but for built-in ones."""
    if error_type.__module__ == "builtins":
        return error_type.__qualname__
    return f"{error_type.__module__}.{error_type.__qualname__}"


def _current_exception() -> BaseException | None:
    return sys.exc_info()[1]
