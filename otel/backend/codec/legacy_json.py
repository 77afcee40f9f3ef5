"""A trace in Jaeger's legacy JSON, as its UI and Grafana read it. Pure, safe in any thread, O(n log n) in spans.

Times are microseconds, cut, not rounded. What the form cannot hold is lost: attributes of links and scopes, flags,
dropped counts, schema URLs. Source: jaeger v1adapter/translator.go, uimodel/converter/v1/json/from_domain.go,
opentelemetry-collector-contrib pkg/translator/jaeger.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from otel.backend.codec.attribute_text import kind_name, text_of

# JavaScript's largest exact integer; a larger one goes as a string.
MAX_EXACT_INTEGER = 2**53 - 1
STATUS_OK, STATUS_ERROR = 1, 2
WARNINGS_KEY = "@jaeger@warnings"
REF_TYPE_KEY = "opentracing.ref_type"
NO_RESOURCE = "OTLPResourceNoServiceName"

Json = dict[str, Any]


def trace_id_text(trace_id: bytes) -> str:
    """Write a trace id as legacy JSON does: 16 digits where the upper half is zero."""
    return trace_id[8:].hex() if not any(trace_id[:8]) else trace_id.hex()


def traces_json(found: TracesData) -> list[Json]:
    """Write every trace in `found`, in order of first appearance."""
    by_trace: dict[bytes, _TraceJson] = {}
    for part in found.resource_spans:
        for scope_spans in part.scope_spans:
            for span in scope_spans.spans:
                trace = by_trace.setdefault(span.trace_id, _TraceJson(span.trace_id))
                trace.add(span, part.resource, scope_spans.scope)
    return [trace.document() for trace in by_trace.values()]


class _TraceJson:
    def __init__(self, trace_id: bytes) -> None:
        self._trace_id = trace_id_text(trace_id)
        self._spans: list[Json] = []
        self._process_ids: dict[bytes, str] = {}
        self._processes: dict[str, Json] = {}

    def add(self, span: Span, resource: Resource, scope: InstrumentationScope) -> None:
        document = _span(span, scope)
        document["processID"] = self._process_id(resource)
        document["warnings"] = _warnings(span)
        self._spans.append(document)

    def document(self) -> Json:
        return {"traceID": self._trace_id, "spans": self._spans, "processes": self._processes, "warnings": None}

    def _process_id(self, resource: Resource) -> str:
        key = resource.SerializeToString(deterministic=True)
        if key not in self._process_ids:
            process_id = f"p{len(self._process_ids) + 1}"
            self._process_ids[key] = process_id
            self._processes[process_id] = _process(resource)
        return self._process_ids[key]


def _span(span: Span, scope: InstrumentationScope) -> Json:
    return {
        "traceID": trace_id_text(span.trace_id),
        "spanID": span.span_id.hex(),
        "operationName": span.name,
        "references": _references(span),
        "startTime": span.start_time_unix_nano // 1000,
        "duration": max(0, span.end_time_unix_nano - span.start_time_unix_nano) // 1000,
        "tags": _tags(span, scope),
        "logs": [_event(event) for event in span.events],
    }


def _references(span: Span) -> list[Json]:
    references: list[Json] = []
    if span.parent_span_id:
        references.append(_reference("CHILD_OF", span.trace_id, span.parent_span_id))
    for link in span.links:
        kind = "FOLLOWS_FROM"
        if any(pair.key == REF_TYPE_KEY and pair.value.string_value == "child_of" for pair in link.attributes):
            kind = "CHILD_OF"
        reference = _reference(kind, link.trace_id, link.span_id)
        if link.trace_id == span.trace_id and span.parent_span_id and link.span_id == span.parent_span_id:
            references[0] = reference
        else:
            references.append(reference)
    return references


def _reference(kind: str, trace_id: bytes, span_id: bytes) -> Json:
    return {"refType": kind, "traceID": trace_id_text(trace_id.rjust(16, b"\0")), "spanID": span_id.hex()}


def _tags(span: Span, scope: InstrumentationScope) -> list[Json]:
    tags = []
    if scope.name:
        tags.append(_string_tag("otel.scope.name", scope.name))
    if scope.version:
        tags.append(_string_tag("otel.scope.version", scope.version))
    tags += [_tag(pair) for pair in span.attributes if pair.key != WARNINGS_KEY]
    if kind_name(span.kind):
        tags.append(_string_tag("span.kind", kind_name(span.kind)))
    if span.status.code == STATUS_ERROR:
        tags.append(_string_tag("otel.status_code", "ERROR"))
        tags.append({"key": "error", "type": "bool", "value": True})
    elif span.status.code == STATUS_OK:
        tags.append(_string_tag("otel.status_code", "OK"))
    if span.status.message:
        tags.append(_string_tag("otel.status_description", span.status.message))
    if span.trace_state:
        tags.append(_string_tag("w3c.tracestate", span.trace_state))
    return tags


def _event(event: Span.Event) -> Json:
    fields = [_tag(pair) for pair in event.attributes]
    if event.name and not any(pair.key == "event" for pair in event.attributes):
        fields.insert(0, _string_tag("event", event.name))
    return {"timestamp": event.time_unix_nano // 1000, "fields": fields}


def _process(resource: Resource) -> Json:
    if not resource.attributes:
        return {"serviceName": NO_RESOURCE, "tags": []}
    name = next((text_of(pair.value) for pair in resource.attributes if pair.key == "service.name"), NO_RESOURCE)
    return {"serviceName": name, "tags": _tag_list(pair for pair in resource.attributes if pair.key != "service.name")}


def _tag_list(pairs: Iterable[KeyValue]) -> list[Json]:
    return [_tag(pair) for pair in pairs]


def _tag(pair: KeyValue) -> Json:
    kind, value = _typed(pair.value)
    return {"key": pair.key, "type": kind, "value": value}


def _string_tag(key: str, value: str) -> Json:
    return {"key": key, "type": "string", "value": value}


def _typed(value: AnyValue) -> tuple[str, object]:
    form = value.WhichOneof("value")
    if form == "string_value":
        return "string", value.string_value
    if form == "bool_value":
        return "bool", value.bool_value
    if form == "int_value":
        number = value.int_value
        return "int64", number if abs(number) <= MAX_EXACT_INTEGER else str(number)
    if form == "double_value":
        number_text = text_of(value)
        is_finite = number_text not in ("NaN", "+Inf", "-Inf")
        return "float64", value.double_value if is_finite else number_text
    if form == "bytes_value":
        return "binary", base64.b64encode(value.bytes_value).decode("ascii")
    return "string", text_of(value)


def _warnings(span: Span) -> list[str] | None:
    for pair in span.attributes:
        if pair.key == WARNINGS_KEY:
            return [element.string_value for element in pair.value.array_value.values]
    return None
