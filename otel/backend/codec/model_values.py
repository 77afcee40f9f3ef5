"""OTLP messages turned into the values of `otel.analysis.model`. Pure, safe in any thread, O(n)."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

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

KINDS = {kind.value: kind for kind in SpanKind}
STATUSES = {status.value: status for status in StatusCode}


def trace_of(trace_id: bytes, found: trace_pb2.TracesData) -> Trace:
    """Return a stored trace as a value, its spans in `start_order`."""
    spans: list[Span] = []
    for part in found.resource_spans:
        resource = _resource(part.resource, part.schema_url)
        for scope_spans in part.scope_spans:
            scope = _scope(scope_spans.scope, scope_spans.schema_url)
            spans.extend(_span(span, resource, scope) for span in scope_spans.spans)
    spans.sort(key=start_order)
    return Trace(trace_id.hex(), tuple(spans))


def log_records_of(entries: Iterable[logs_pb2.ResourceLogs]) -> list[LogRecord]:
    """Return stored log records as values, in the order given."""
    records: list[LogRecord] = []
    for part in entries:
        resource = _resource(part.resource, part.schema_url)
        for scope_logs in part.scope_logs:
            scope = _scope(scope_logs.scope, scope_logs.schema_url)
            records.extend(_log_record(record, resource, scope) for record in scope_logs.log_records)
    return records


def value_of(value: AnyValue) -> AttributeValue:
    """Return an attribute's value as Python has it; an empty value is None."""
    form = value.WhichOneof("value")
    if form is None:
        return None
    if form == "array_value":
        return tuple(value_of(element) for element in value.array_value.values)
    if form == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    plain: AttributeValue = getattr(value, form)
    return plain


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    return MappingProxyType({pair.key: value_of(pair.value) for pair in pairs})


def _resource(resource: resource_pb2.Resource, schema_url: str) -> Resource:
    return Resource(_attributes(resource.attributes), schema_url)


def _scope(scope: InstrumentationScope, schema_url: str) -> Scope:
    return Scope(scope.name, scope.version, _attributes(scope.attributes), schema_url)


def _span(span: trace_pb2.Span, resource: Resource, scope: Scope) -> Span:
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        name=span.name,
        kind=KINDS.get(span.kind, SpanKind.UNSPECIFIED),
        start_time_unix_nano=span.start_time_unix_nano,
        end_time_unix_nano=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        events=tuple(_event(event) for event in span.events),
        links=tuple(_link(link) for link in span.links),
        status_code=STATUSES.get(span.status.code, StatusCode.UNSET),
        status_message=span.status.message,
        trace_state=span.trace_state,
        flags=span.flags,
        resource=resource,
        scope=scope,
        dropped_attributes_count=span.dropped_attributes_count,
        dropped_events_count=span.dropped_events_count,
        dropped_links_count=span.dropped_links_count,
    )


def _event(event: trace_pb2.Span.Event) -> SpanEvent:
    return SpanEvent(event.name, event.time_unix_nano, _attributes(event.attributes), event.dropped_attributes_count)


def _link(link: trace_pb2.Span.Link) -> SpanLink:
    return SpanLink(
        trace_id=link.trace_id.hex(),
        span_id=link.span_id.hex(),
        attributes=_attributes(link.attributes),
        trace_state=link.trace_state,
        flags=link.flags,
        dropped_attributes_count=link.dropped_attributes_count,
    )


def _log_record(record: logs_pb2.LogRecord, resource: Resource, scope: Scope) -> LogRecord:
    return LogRecord(
        time_unix_nano=record.time_unix_nano or record.observed_time_unix_nano,
        observed_time_unix_nano=record.observed_time_unix_nano,
        severity_number=record.severity_number,
        severity_text=record.severity_text,
        body=value_of(record.body),
        event_name=record.event_name,
        attributes=_attributes(record.attributes),
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        flags=record.flags,
        resource=resource,
        scope=scope,
        dropped_attributes_count=record.dropped_attributes_count,
    )
