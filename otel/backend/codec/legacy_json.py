"""A trace in Jaeger's legacy JSON, as its UI and Grafana read it. Pure, safe in any thread, O(n log n) in spans.

Times are microseconds, cut, not rounded. What the form cannot hold is lost: attributes of links and scopes, flags,
dropped counts, schema URLs. Source: jaeger v1adapter/translator.go, uimodel/converter/v1/json/from_domain.go,
opentelemetry-collector-contrib pkg/translator/jaeger.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from otel.backend.codec.attribute_text import kind_name, text_of
from otel.backend.codec.lean_messages import BYTES, MANY, NUMBER, ONE, TEXT, TIME, Field, message_classes

# JavaScript's largest exact integer; a larger one goes as a string.
MAX_EXACT_INTEGER = 2**53 - 1
STATUS_OK, STATUS_ERROR = 1, 2
WARNINGS_KEY = "@jaeger@warnings"
REF_TYPE_KEY = "opentracing.ref_type"
NO_RESOURCE = "OTLPResourceNoServiceName"
# Tags and processes that were written before are remembered, as far as they are short; most come again.
MAX_REMEMBERED_TAGS = 8192
MAX_REMEMBERED_PROCESSES = 256
MAX_REMEMBERED_BYTES = 256

Json = dict[str, Any]


def trace_id_text(trace_id: bytes) -> str:
    """Write a trace id as legacy JSON does: 16 digits where the upper half is zero."""
    return trace_id[8:].hex() if not any(trace_id[:8]) else trace_id.hex()


def traces_json(found: TracesData, *, is_adjusted: bool = False) -> list[Json]:
    """Write every trace in `found`, in order of first appearance; parts of the documents are shared: change none.

    `is_adjusted` puts it in order for showing on the way, as `adjusters.adjusted` does with the messages themselves.
    """
    parts = _TRACES.FromString(found.SerializeToString()).resource_spans
    by_trace: dict[bytes, _TraceJson] = {}
    for part in parts:
        process = _process_of(part.resource, is_adjusted)
        for scope_spans in part.scope_spans:
            scope_tags = _scope_tags(scope_spans.scope)
            for span in scope_spans.spans:
                trace = by_trace.get(span.trace_id)
                if trace is None:
                    trace = by_trace[span.trace_id] = _TraceJson(span.trace_id, is_adjusted)
                trace.add(span, process, scope_tags)
    return [trace.document() for trace in by_trace.values()]


class _TraceJson:
    def __init__(self, trace_id: bytes, is_adjusted: bool) -> None:
        self._trace_id = trace_id_text(trace_id)
        self._is_adjusted = is_adjusted
        self._spans: list[Json] = []
        self._parents: list[tuple[Json, str]] = []
        self._process_ids: dict[bytes, str] = {}
        self._processes: dict[str, Json] = {}

    def add(self, span: Any, process: tuple[bytes, Json], scope_tags: list[Json]) -> None:
        document = _span(span, self._trace_id, scope_tags, self._is_adjusted)
        document["processID"] = self._process_id(*process)
        document["warnings"] = _warnings(span)
        self._spans.append(document)
        if span.parent_span_id:
            self._parents.append((document, span.parent_span_id.hex()))

    def document(self) -> Json:
        if self._is_adjusted:
            self._warn_of_missing_parents()
        return {"traceID": self._trace_id, "spans": self._spans, "processes": self._processes, "warnings": None}

    def _warn_of_missing_parents(self) -> None:
        ids = {document["spanID"] for document in self._spans}
        for document, parent_id in self._parents:
            if parent_id not in ids and document["warnings"] is None:
                document["warnings"] = [f"parent span {parent_id} is not in the trace"]

    def _process_id(self, key: bytes, process: Json) -> str:
        process_id = self._process_ids.get(key)
        if process_id is None:
            process_id = self._process_ids[key] = f"p{len(self._process_ids) + 1}"
            self._processes[process_id] = process
        return process_id


def _span(span: Any, trace_id: str, scope_tags: list[Json], is_adjusted: bool) -> Json:
    start = span.start_time_unix_nano
    return {
        "traceID": trace_id,
        "spanID": span.span_id.hex(),
        "operationName": span.name,
        "references": _references(span, trace_id, is_adjusted),
        "startTime": start // 1000,
        "duration": max(0, span.end_time_unix_nano - start) // 1000,
        "tags": _tags(span, scope_tags, is_adjusted),
        "logs": _logs(span.events, is_adjusted) if span.events else [],
    }


def _references(span: Any, trace_id: str, is_adjusted: bool) -> list[Json]:
    references: list[Json] = []
    if span.parent_span_id:
        reference = {"refType": "CHILD_OF", "traceID": trace_id, "spanID": span.parent_span_id.hex()}
        references.append(reference)
    for link in map(Span.Link.FromString, span.links):
        if is_adjusted and not any(link.trace_id):
            continue
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


def _tags(span: Any, scope_tags: list[Json], is_adjusted: bool) -> list[Json]:
    own = _tags_of(span.attributes, is_adjusted)
    tags = scope_tags + [tag for tag in own if tag["key"] != WARNINGS_KEY]
    if kind_name(span.kind):
        tags.append(_string_tag("span.kind", kind_name(span.kind)))
    if span.status:
        tags += _status_tags(Status.FromString(span.status))
    if span.trace_state:
        tags.append(_string_tag("w3c.tracestate", span.trace_state))
    return tags


def _tags_of(attributes: Iterable[bytes], is_adjusted: bool) -> list[Json]:
    tags = list(map(_TAGS.__getitem__, attributes))
    if is_adjusted:
        tags.sort(key=_KEY)
    return tags


def _scope_tags(content: bytes) -> list[Json]:
    scope = InstrumentationScope.FromString(content)
    named = (("otel.scope.name", scope.name), ("otel.scope.version", scope.version))
    return [_string_tag(key, text) for key, text in named if text]


def _status_tags(status: Status) -> list[Json]:
    tags = []
    if status.code == STATUS_ERROR:
        tags.append(_string_tag("otel.status_code", "ERROR"))
        tags.append({"key": "error", "type": "bool", "value": True})
    elif status.code == STATUS_OK:
        tags.append(_string_tag("otel.status_code", "OK"))
    if status.message:
        tags.append(_string_tag("otel.status_description", status.message))
    return tags


def _logs(events: Sequence[Any], is_adjusted: bool) -> list[Json]:
    return [_event(event, is_adjusted) for event in (sorted(events, key=_TIME) if is_adjusted else events)]


def _event(event: Any, is_adjusted: bool) -> Json:
    fields = _tags_of(event.attributes, is_adjusted)
    if event.name and not any(tag["key"] == "event" for tag in fields):
        fields.insert(0, _string_tag("event", event.name))
    return {"timestamp": event.time_unix_nano // 1000, "fields": fields}


def _process_of(resource: bytes, is_adjusted: bool) -> tuple[bytes, Json]:
    """Return what tells a resource from others, and its process."""
    if len(resource) > MAX_REMEMBERED_BYTES * 16:
        return _process.__wrapped__(resource, is_adjusted)
    return _process(resource, is_adjusted)


@lru_cache(MAX_REMEMBERED_PROCESSES)
def _process(content: bytes, is_adjusted: bool) -> tuple[bytes, Json]:
    resource = Resource.FromString(content)
    if is_adjusted:
        resource.attributes.sort(key=lambda pair: str(pair.key))
    names = (text_of(pair.value) for pair in resource.attributes if pair.key == "service.name")
    tags = [_tag(pair) for pair in resource.attributes if pair.key != "service.name"]
    document = {"serviceName": next(names, NO_RESOURCE), "tags": tags}
    return resource.SerializeToString(deterministic=True), document


class _Tags(dict[bytes, Json]):
    """Tags by the bytes of their attribute, written when first asked for. Any thread: what is lost is written again."""

    def __missing__(self, content: bytes) -> Json:
        tag = _tag(KeyValue.FromString(content))
        if len(content) <= MAX_REMEMBERED_BYTES:
            if len(self) >= MAX_REMEMBERED_TAGS:
                self.clear()
            self[content] = tag
        return tag


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


def _warnings(span: Any) -> list[str] | None:
    """Return the warnings that a span brings along; asked of every span, so that most answer by a look at bytes."""
    for content in span.attributes:
        if _WARNINGS_BYTES in content:
            pair = KeyValue.FromString(content)
            if pair.key == WARNINGS_KEY:
                return [element.string_value for element in pair.value.array_value.values]
    return None


_WARNINGS_BYTES: Final = WARNINGS_KEY.encode()
_KEY: Final = itemgetter("key")
_TIME: Final = attrgetter("time_unix_nano")
_TAGS: Final = _Tags()
_MESSAGES: Final[dict[str, tuple[Field, ...]]] = {
    "TracesData": (("resource_spans", 1, "ResourceSpans", MANY),),
    "ResourceSpans": (("resource", 1, BYTES, ONE), ("scope_spans", 2, "ScopeSpans", MANY)),
    "ScopeSpans": (("scope", 1, BYTES, ONE), ("spans", 2, "Span", MANY)),
    "Span": (
        ("trace_id", 1, BYTES, ONE),
        ("span_id", 2, BYTES, ONE),
        ("trace_state", 3, TEXT, ONE),
        ("parent_span_id", 4, BYTES, ONE),
        ("name", 5, TEXT, ONE),
        ("kind", 6, NUMBER, ONE),
        ("start_time_unix_nano", 7, TIME, ONE),
        ("end_time_unix_nano", 8, TIME, ONE),
        ("attributes", 9, BYTES, MANY),
        ("events", 11, "Event", MANY),
        ("links", 13, BYTES, MANY),
        ("status", 15, BYTES, ONE),
    ),
    "Event": (("time_unix_nano", 1, TIME, ONE), ("name", 2, TEXT, ONE), ("attributes", 3, BYTES, MANY)),
}
_TRACES: Final[Any] = message_classes("tracelab.legacy", _MESSAGES)["TracesData"]
