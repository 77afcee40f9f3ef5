"""Export requests: what was sent goes on to the store as its own bytes, unless something of it was changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from otel.backend.codec.varint import varint
from otel.backend.ports import TraceSearch
from otel.backend.receivers.requests import Submission, TracesSignal, protobuf_submission
from otel.backend.stores.sqlite.store import SqliteStore
from tests.contract.telemetry import T0, resource_spans, span, trace_id


def sent(*spans: Span, more: bytes = b"") -> Submission:
    request = ExportTraceServiceRequest(resource_spans=[resource_spans("order", list(spans))])
    return protobuf_submission(request.SerializeToString() + more, TracesSignal())


def test_what_nothing_was_changed_of_goes_on_as_its_own_bytes() -> None:
    submission = sent(span(1, 1), span(1, 2, 1))
    assert [ResourceSpans.FromString(content) for content in submission.span_contents] == list(submission.spans)


@pytest.mark.parametrize(
    "changed",
    [
        Span(trace_id=b"t" * 16, span_id=b"s" * 8),
        Span(trace_id=b"t" * 16, span_id=b"s" * 8, name="a", parent_span_id=b"short"),
        Span(trace_id=b"short", span_id=b"s" * 8, name="a"),
    ],
    ids=["a name was made up", "a parent was dropped", "a span was left out"],
)
def test_what_was_changed_goes_on_as_messages_alone(changed: Span) -> None:
    submission = sent(span(1, 1), changed)
    assert submission.span_contents == (b"",)
    assert len(submission.spans) == 1


def test_a_part_that_nothing_is_left_of_takes_its_bytes_along() -> None:
    gone = ExportTraceServiceRequest(resource_spans=[resource_spans("user", [Span(name="no ids")])])
    submission = sent(span(1, 1), more=gone.SerializeToString())
    assert submission.rejected_span_count == 1
    assert [ResourceSpans.FromString(content) for content in submission.span_contents] == list(submission.spans)


def test_a_name_that_is_no_text_goes_on_as_it_was_repaired() -> None:
    body = ExportTraceServiceRequest(resource_spans=[resource_spans("order", [span(1, 1, name="name")])])
    submission = protobuf_submission(body.SerializeToString().replace(b"name", b"n\xffme", 1), TracesSignal())
    assert not any(submission.span_contents)


def test_a_status_that_comes_in_parts_is_found_as_the_one_it_means(tmp_path: Path) -> None:
    parts = (Status(code=Status.STATUS_CODE_ERROR), Status(message="why"))
    body = span(1, 1).SerializeToString() + b"".join(field(15, part.SerializeToString()) for part in parts)
    content = resource_spans("order", []).SerializeToString() + field(2, field(2, body))
    submission = protobuf_submission(field(1, content), TracesSignal())
    assert submission.span_contents == (content,)
    store = SqliteStore(tmp_path / "store.sqlite")
    store.write(submission.spans, (), span_contents=submission.span_contents)
    found = store.summaries(TraceSearch(0, T0 * 2, attributes={"error": "true"}))
    assert [(each.trace_id, each.error_span_count) for each in found] == [(trace_id(1), 1)]
    store.close()


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content)) + content
