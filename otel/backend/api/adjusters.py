"""What Jaeger does to a trace before it shows it, unless it is asked for the raw one.

Attributes are sorted by key and links without a trace id are left out. Events are put in order of time, where Jaeger
sorts them by name. Nothing is moved in time; the one warning told is a missing parent. Pure: the given message is
changed, which belongs to the caller. Source: jaeger internal/extension/jaegerquery/internal/adjuster.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

WARNINGS_KEY = "@jaeger@warnings"


def adjusted(trace: TracesData) -> TracesData:
    """Return `trace`, put in order for showing."""
    spans = [span for part in trace.resource_spans for scope_spans in part.scope_spans for span in scope_spans.spans]
    ids = {(span.trace_id, span.span_id) for span in spans}
    for part in trace.resource_spans:
        part.resource.attributes.sort(key=_key)
    for span in spans:
        _adjust_span(span)
        if span.parent_span_id and (span.trace_id, span.parent_span_id) not in ids:
            _warn(span, f"parent span {span.parent_span_id.hex()} is not in the trace")
    return trace


def _adjust_span(span: Span) -> None:
    span.attributes.sort(key=_key)
    span.events.sort(key=lambda event: event.time_unix_nano)
    for event in span.events:
        event.attributes.sort(key=_key)
    if any(not any(link.trace_id) for link in span.links):
        kept = [link for link in span.links if any(link.trace_id)]
        copies = [Span.Link.FromString(link.SerializeToString()) for link in kept]
        del span.links[:]
        span.links.extend(copies)


def _warn(span: Span, text: str) -> None:
    warnings = span.attributes.add(key=WARNINGS_KEY)
    warnings.value.array_value.values.add(string_value=text)


def _key(pair: Any) -> str:
    return str(pair.key)
