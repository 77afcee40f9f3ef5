"""Whether one span satisfies a trace search, as Jaeger's memory storage decides it. Pure, safe in any thread.

All conditions must hold on the same span; texts are compared exactly. An attribute may stand in the span, its scope,
its resource, or any of its events and links. Special keys: `error`, `span.kind`, `span.status`, `scope.name`,
`scope.version` and `resource.<key>`. Source: jaeger internal/storage/v2/memory/tenant.go; `error=false` means anything
but ERROR, as Jaeger's main branch has it.
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from otel.backend.codec.attribute_text import STATUS_NAMES, kind_number, text_of
from otel.backend.ports import TraceSearch

STATUS_ERROR = 2
RESOURCE_PREFIX = "resource."
# What Go's strconv.ParseBool takes.
TRUE_TEXTS = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE_TEXTS = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def trace_matches(trace: TracesData, search: TraceSearch) -> bool:
    """Say whether any span of `trace` satisfies `search`."""
    return any(
        span_matches(span, part.resource, scope_spans.scope, search)
        for part in trace.resource_spans
        if not search.service or service_of(part.resource) == search.service
        for scope_spans in part.scope_spans
        for span in scope_spans.spans
    )


def span_matches(span: Span, resource: Resource, scope: InstrumentationScope, search: TraceSearch) -> bool:
    """Say whether the span satisfies every condition of `search`."""
    if not search.start_min_unix_nano <= span.start_time_unix_nano <= search.start_max_unix_nano:
        return False
    if search.operation and span.name != search.operation:
        return False
    duration_ns = span.end_time_unix_nano - span.start_time_unix_nano
    if search.duration_min_ns and duration_ns < search.duration_min_ns:
        return False
    if search.duration_max_ns and duration_ns > search.duration_max_ns:
        return False
    if search.service and service_of(resource) != search.service:
        return False
    return all(_condition_holds(key, value, span, resource, scope) for key, value in search.attributes.items())


def service_of(resource: Resource) -> str:
    """Return `service.name`; "" where it is missing or no string."""
    for pair in resource.attributes:
        if pair.key == "service.name":
            return pair.value.string_value
    return ""


def _condition_holds(key: str, value: str, span: Span, resource: Resource, scope: InstrumentationScope) -> bool:
    if key == "error":
        is_error = span.status.code == STATUS_ERROR
        return value in (TRUE_TEXTS if is_error else FALSE_TEXTS)
    if key == "span.kind":
        return span.kind == kind_number(value)
    if key == "span.status":
        return span.status.code == status_number(value)
    if key == "scope.name":
        return scope.name == value
    if key == "scope.version":
        return scope.version == value
    if key.startswith(RESOURCE_PREFIX):
        return _any_equal(resource.attributes, key.removeprefix(RESOURCE_PREFIX), value)
    return (
        _any_equal(span.attributes, key, value)
        or _any_equal(scope.attributes, key, value)
        or _any_equal(resource.attributes, key, value)
        or any(_any_equal(event.attributes, key, value) for event in span.events)
        or any(_any_equal(link.attributes, key, value) for link in span.links)
    )


def status_number(text: str) -> int:
    """Return OTLP's number for `OK` and `ERROR`; anything else is UNSET."""
    return STATUS_NAMES.index(text) if text in STATUS_NAMES else 0


def _any_equal(attributes: Iterable[KeyValue], key: str, value: str) -> bool:
    return any(pair.key == key and text_of(pair.value) == value for pair in attributes)
