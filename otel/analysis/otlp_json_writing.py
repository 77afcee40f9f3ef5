"""Our values to OTLP/JSON, exactly: camelCase, hex ids, 64-bit integers as strings, empty scalars and lists left out.

Source: opentelemetry-proto and its JSON mapping; Jaeger's query API sends this form.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable
from typing import TypeVar

from otel.analysis.model import Attributes, AttributeValue, LogRecord, Span, SpanEvent, SpanLink
from otel.analysis.otlp_json import JsonObject

T = TypeVar("T", Span, LogRecord)


def spans_to_otlp_json(spans: Iterable[Span]) -> JsonObject:
    """Write spans, grouped by resource and scope, as an object with `resourceSpans`."""
    return {"resourceSpans": _grouped(spans, "scopeSpans", "spans", _span_to)}


def log_records_to_otlp_json(records: Iterable[LogRecord]) -> JsonObject:
    """Write log records, grouped by resource and scope, as an object with `resourceLogs`."""
    return {"resourceLogs": _grouped(records, "scopeLogs", "logRecords", _record_to)}


def attribute_value_to_json(value: AttributeValue) -> JsonObject:
    """Write one value as OTLP's AnyValue."""
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case str():
            return {"stringValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": _double_to(value)}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case tuple():
            return {"arrayValue": {"values": [attribute_value_to_json(item) for item in value]}}
        case _:
            return {"kvlistValue": {"values": attributes_to_json(value)}}


def attributes_to_json(attributes: Attributes) -> list[JsonObject]:
    """Write attributes as OTLP's list of key and value."""
    return [{"key": key, "value": attribute_value_to_json(value)} for key, value in attributes.items()]


def _grouped(items: Iterable[T], middle: str, inner: str, write: Callable[[T], JsonObject]) -> list[JsonObject]:
    # Mappings are not hashable: resources and scopes are told apart by what they look like when written.
    resources: dict[str, tuple[JsonObject, dict[str, JsonObject]]] = {}
    for item in items:
        resource, scope = item.resource, item.scope
        resource_json = {
            "resource": _filled({"attributes": attributes_to_json(resource.attributes)}),
            **_filled({"schemaUrl": resource.schema_url}),
        }
        part, scopes = resources.setdefault(repr(resource_json), (resource_json, {}))
        scope_json = {
            "scope": _filled(
                {"name": scope.name, "version": scope.version, "attributes": attributes_to_json(scope.attributes)}
            ),
            **_filled({"schemaUrl": scope.schema_url}),
        }
        scope_part = scopes.setdefault(repr(scope_json), {**scope_json, inner: []})
        scope_part[inner].append(write(item))
        part[middle] = list(scopes.values())
    return [part for part, _ in resources.values()]


def _span_to(span: Span) -> JsonObject:
    return _filled(
        {
            "traceId": span.trace_id,
            "spanId": span.span_id,
            "traceState": span.trace_state,
            "parentSpanId": span.parent_span_id,
            "flags": span.flags,
            "name": span.name,
            "kind": int(span.kind),
            "startTimeUnixNano": str(span.start_time_unix_nano),
            "endTimeUnixNano": str(span.end_time_unix_nano),
            "attributes": attributes_to_json(span.attributes),
            "droppedAttributesCount": span.dropped_attributes_count,
            "events": [_event_to(event) for event in span.events],
            "droppedEventsCount": span.dropped_events_count,
            "links": [_link_to(link) for link in span.links],
            "droppedLinksCount": span.dropped_links_count,
        }
    ) | {"status": _filled({"message": span.status_message, "code": int(span.status_code)})}


def _event_to(event: SpanEvent) -> JsonObject:
    return _filled(
        {
            "timeUnixNano": str(event.time_unix_nano),
            "name": event.name,
            "attributes": attributes_to_json(event.attributes),
            "droppedAttributesCount": event.dropped_attributes_count,
        }
    )


def _link_to(link: SpanLink) -> JsonObject:
    return _filled(
        {
            "traceId": link.trace_id,
            "spanId": link.span_id,
            "traceState": link.trace_state,
            "attributes": attributes_to_json(link.attributes),
            "droppedAttributesCount": link.dropped_attributes_count,
            "flags": link.flags,
        }
    )


def _record_to(record: LogRecord) -> JsonObject:
    return _filled(
        {
            "timeUnixNano": str(record.time_unix_nano) if record.time_unix_nano else "",
            "observedTimeUnixNano": str(record.observed_time_unix_nano) if record.observed_time_unix_nano else "",
            "severityNumber": record.severity_number,
            "severityText": record.severity_text,
            "body": attribute_value_to_json(record.body),
            "attributes": attributes_to_json(record.attributes),
            "droppedAttributesCount": record.dropped_attributes_count,
            "flags": record.flags,
            "traceId": record.trace_id,
            "spanId": record.span_id,
            "eventName": record.event_name,
        }
    )


def _double_to(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _filled(obj: JsonObject) -> JsonObject:
    return {key: value for key, value in obj.items() if value not in ("", 0, [], {}, None)}
