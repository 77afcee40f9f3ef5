"""OTLP/JSON to our values: what Jaeger's query API and our log API answer with.

Tolerant: snake_case keys, numbers or strings, enum names, unknown fields, missing parts. Source: opentelemetry-proto
and its JSON mapping; the receiving side of the OpenTelemetry Collector. The way back is `otlp_json_writing`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from otel.analysis.model import (
    Attributes,
    AttributeValue,
    LogRecord,
    Resource,
    Scope,
    Span,
    SpanEvent,
    SpanKind,
    SpanLink,
    StatusCode,
    Trace,
    start_order,
)

JsonObject: TypeAlias = dict[str, Any]

_STATUS_NAMES = {f"STATUS_CODE_{code.name}": code.value for code in StatusCode}
_KIND_NAMES = {f"SPAN_KIND_{kind.name}": kind.value for kind in SpanKind}


def spans_from_otlp_json(obj: Mapping[str, Any]) -> list[Span]:
    """Read every span of an object with `resourceSpans`, in the order found. What can't be read counts as empty."""
    return [
        _span_from(span, resource, scope)
        for resource, scope, span in _each(obj, "resourceSpans", "scopeSpans", "spans")
    ]


def log_records_from_otlp_json(obj: Mapping[str, Any]) -> list[LogRecord]:
    """Read every record of an object with `resourceLogs`, in the order found."""
    return [
        _record_from(record, resource, scope)
        for resource, scope, record in _each(obj, "resourceLogs", "scopeLogs", "logRecords")
    ]


def traces_from_spans(spans: Iterable[Span]) -> list[Trace]:
    """Group spans by trace id; traces by their earliest start, newest first, spans in `start_order`."""
    by_trace: dict[str, list[Span]] = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, []).append(span)
    traces = [Trace(trace_id, tuple(sorted(members, key=start_order))) for trace_id, members in by_trace.items()]
    return sorted(traces, key=lambda trace: (-trace.spans[0].start_time_unix_nano, trace.trace_id))


def _each(obj: Mapping[str, Any], outer: str, middle: str, inner: str) -> Iterable[tuple[Resource, Scope, JsonObject]]:
    for resource_part in _objects(_get(obj, outer)):
        resource = _resource_from(resource_part)
        for scope_part in _objects(_get(resource_part, middle)):
            scope = _scope_from(scope_part)
            for item in _objects(_get(scope_part, inner)):
                yield resource, scope, item


def _resource_from(part: JsonObject) -> Resource:
    return Resource(_attributes_from(_object(part.get("resource"))), _text(_get(part, "schemaUrl")))


def _scope_from(part: JsonObject) -> Scope:
    scope = _object(part.get("scope"))
    schema_url = _text(_get(part, "schemaUrl"))
    return Scope(_text(scope.get("name")), _text(scope.get("version")), _attributes_from(scope), schema_url)


def _span_from(obj: JsonObject, resource: Resource, scope: Scope) -> Span:
    status = _object(obj.get("status"))
    return Span(
        trace_id=_id(_get(obj, "traceId"), 32),
        span_id=_id(_get(obj, "spanId"), 16),
        parent_span_id=_id(_get(obj, "parentSpanId"), 16),
        name=_text(obj.get("name")),
        kind=SpanKind(_enum(obj.get("kind"), _KIND_NAMES, SpanKind.CONSUMER)),
        start_time_unix_nano=_int(_get(obj, "startTimeUnixNano")),
        end_time_unix_nano=_int(_get(obj, "endTimeUnixNano")),
        attributes=_attributes_from(obj),
        events=tuple(
            sorted((_event_from(event) for event in _objects(obj.get("events"))), key=lambda e: e.time_unix_nano)
        ),
        links=tuple(_link_from(link) for link in _objects(obj.get("links"))),
        status_code=StatusCode(_enum(status.get("code"), _STATUS_NAMES, StatusCode.ERROR)),
        status_message=_text(status.get("message")),
        trace_state=_text(_get(obj, "traceState")),
        flags=_int(obj.get("flags")),
        resource=resource,
        scope=scope,
        dropped_attributes_count=_int(_get(obj, "droppedAttributesCount")),
        dropped_events_count=_int(_get(obj, "droppedEventsCount")),
        dropped_links_count=_int(_get(obj, "droppedLinksCount")),
    )


def _event_from(obj: JsonObject) -> SpanEvent:
    return SpanEvent(
        name=_text(obj.get("name")),
        time_unix_nano=_int(_get(obj, "timeUnixNano")),
        attributes=_attributes_from(obj),
        dropped_attributes_count=_int(_get(obj, "droppedAttributesCount")),
    )


def _link_from(obj: JsonObject) -> SpanLink:
    return SpanLink(
        trace_id=_id(_get(obj, "traceId"), 32),
        span_id=_id(_get(obj, "spanId"), 16),
        attributes=_attributes_from(obj),
        trace_state=_text(_get(obj, "traceState")),
        flags=_int(obj.get("flags")),
        dropped_attributes_count=_int(_get(obj, "droppedAttributesCount")),
    )


def _record_from(obj: JsonObject, resource: Resource, scope: Scope) -> LogRecord:
    return LogRecord(
        time_unix_nano=_int(_get(obj, "timeUnixNano")),
        observed_time_unix_nano=_int(_get(obj, "observedTimeUnixNano")),
        severity_number=_int(_get(obj, "severityNumber")),
        severity_text=_text(_get(obj, "severityText")),
        body=_value_from(obj.get("body")),
        event_name=_text(_get(obj, "eventName")),
        attributes=_attributes_from(obj),
        trace_id=_id(_get(obj, "traceId"), 32),
        span_id=_id(_get(obj, "spanId"), 16),
        flags=_int(obj.get("flags")),
        resource=resource,
        scope=scope,
        dropped_attributes_count=_int(_get(obj, "droppedAttributesCount")),
    )


def _attributes_from(owner: JsonObject) -> Attributes:
    return {_text(pair.get("key")): _value_from(pair.get("value")) for pair in _objects(owner.get("attributes"))}


def _value_from(obj: object) -> AttributeValue:
    for key, value in _object(obj).items():
        read = _VALUE_READERS.get(_camel(key))
        if read is not None:
            return read(value)
    return None


def _bytes_from(value: object) -> AttributeValue:
    try:
        return base64.b64decode(_text(value))
    except binascii.Error:
        return b""


_VALUE_READERS: dict[str, Callable[[Any], AttributeValue]] = {
    "stringValue": lambda value: _text(value),
    "boolValue": bool,
    "intValue": lambda value: _int(value),
    "doubleValue": lambda value: _float(value),
    "bytesValue": _bytes_from,
    "arrayValue": lambda value: tuple(_value_from(item) for item in _objects(_object(value).get("values"))),
    "kvlistValue": lambda value: {
        _text(pair.get("key")): _value_from(pair.get("value")) for pair in _objects(_object(value).get("values"))
    },
}


def _camel(key: str) -> str:
    first, *rest = key.split("_")
    return first + "".join(part.capitalize() for part in rest)


_SNAKE = {
    name: "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    for name in (
        "resourceSpans",
        "scopeSpans",
        "resourceLogs",
        "scopeLogs",
        "logRecords",
        "schemaUrl",
        "traceId",
        "spanId",
        "parentSpanId",
        "traceState",
        "startTimeUnixNano",
        "endTimeUnixNano",
        "timeUnixNano",
        "observedTimeUnixNano",
        "severityNumber",
        "severityText",
        "eventName",
        "droppedAttributesCount",
        "droppedEventsCount",
        "droppedLinksCount",
    )
}


def _get(obj: Mapping[str, Any], key: str) -> Any:
    value = obj.get(key)
    return obj.get(_SNAKE.get(key, key)) if value is None else value


def _objects(value: object) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _int(value: object) -> int:
    try:
        return int(value) if isinstance(value, int | float | str) else 0
    except (ValueError, OverflowError):
        return 0


def _float(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float | str) else 0.0
    except ValueError:
        return 0.0


def _id(value: object, digits: int) -> str:
    text = _text(value).lower()
    return "" if not text.strip("0") else text.rjust(digits, "0")


def _enum(value: object, names: Mapping[str, int], most: int) -> int:
    number = names.get(value, _int(value)) if isinstance(value, str) else _int(value)
    return number if 0 <= number <= most else 0
