"""Spans and log records put back under their resource and scope, as OTLP groups them. Pure, safe in any thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData


class _Origin(Protocol):
    @property
    def resource(self) -> Resource: ...
    @property
    def resource_schema_url(self) -> str: ...
    @property
    def scope(self) -> InstrumentationScope: ...
    @property
    def scope_schema_url(self) -> str: ...


class SpanOfOrigin(_Origin, Protocol):
    """A span with what it was sent under."""

    @property
    def span(self) -> Span:
        """The span."""


class LogOfOrigin(_Origin, Protocol):
    """A log record with what it was sent under."""

    @property
    def record(self) -> LogRecord:
        """The record."""


def spans_by_resource(spans: Iterable[SpanOfOrigin]) -> TracesData:
    """Group spans by equal resource and scope, in order of first appearance."""
    trace = TracesData()
    resources: dict[tuple[bytes, str], ResourceSpans] = {}
    scopes: dict[tuple[bytes, str, bytes, str], ScopeSpans] = {}
    for stored in spans:
        resource_key = (stored.resource.SerializeToString(deterministic=True), stored.resource_schema_url)
        scope_key = (*resource_key, stored.scope.SerializeToString(deterministic=True), stored.scope_schema_url)
        if resource_key not in resources:
            added = trace.resource_spans.add(schema_url=stored.resource_schema_url)
            added.resource.CopyFrom(stored.resource)
            resources[resource_key] = added
        if scope_key not in scopes:
            scope_spans = resources[resource_key].scope_spans.add(schema_url=stored.scope_schema_url)
            scope_spans.scope.CopyFrom(stored.scope)
            scopes[scope_key] = scope_spans
        scopes[scope_key].spans.append(stored.span)
    return trace


def log_page_entries(logs: Sequence[LogOfOrigin]) -> list[ResourceLogs]:
    """Group neighbours of equal resource and scope; the order of records is kept."""
    page: list[ResourceLogs] = []
    previous: tuple[bytes, str, bytes, str] | None = None
    for stored in logs:
        key = (
            stored.resource.SerializeToString(deterministic=True),
            stored.resource_schema_url,
            stored.scope.SerializeToString(deterministic=True),
            stored.scope_schema_url,
        )
        if key != previous:
            entry = ResourceLogs(schema_url=stored.resource_schema_url)
            entry.resource.CopyFrom(stored.resource)
            scope_logs = entry.scope_logs.add(schema_url=stored.scope_schema_url)
            scope_logs.scope.CopyFrom(stored.scope)
            page.append(entry)
            previous = key
        page[-1].scope_logs[0].log_records.append(stored.record)
    return page
