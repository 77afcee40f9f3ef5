"""The synchronous API: messages and metadata that break, and requests past a limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from opentelemetry.trace import SpanKind

from tests.inprocess.instrument.rig import (
    KINDS,
    PATH,
    Kind,
    answers_stream,
    counts,
    method_handler,
    said,
    sends_stream,
)
from tests.inprocess.instrument.sync_rig import ALL_TRACINGS, STYLES, Style, SyncRig, behavior, run
from tests.inprocess.instrument.test_endings import error


def nothing(_context: Any) -> None:
    pass


def break_down(_value: Any) -> Any:
    raise ValueError("broken")


def give_none(_value: Any) -> Any:
    return None


def usual_style(kind: Kind) -> Style:
    return "stream" if answers_stream(kind) else "call"


def events(rig: SyncRig) -> list[str | None]:
    return [record.log_record.event_name for record in rig.telemetry.log_records()]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not sends_stream(kind)])
@pytest.mark.parametrize("deserializer", [break_down, give_none])
def test_a_request_that_does_not_parse_is_internal_on_a_synchronous_server(
    sync_rig: SyncRig, kind: Kind, deserializer: Callable[[bytes], Any]
) -> None:
    sync_rig.serve(method_handler(kind, behavior(kind, nothing), request_deserializer=deserializer))

    run(sync_rig.channel(), kind, usual_style(kind))

    server = sync_rig.span(SpanKind.SERVER)
    assert said(server) == error("INTERNAL", "Exception deserializing request!")
    assert said(sync_rig.span(SpanKind.CLIENT)) == error("INTERNAL", "Exception deserializing request!")
    raised = deserializer is break_down
    assert events(sync_rig) == ["rpc.server.call.exception"] * raised
    for record in sync_rig.telemetry.log_records():
        assert server.context is not None
        assert record.log_record.span_id == server.context.span_id


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("serializer", [break_down, give_none])
def test_an_answer_that_can_not_be_serialized_is_internal_on_a_synchronous_server(
    sync_rig: SyncRig, kind: Kind, serializer: Callable[[Any], bytes]
) -> None:
    sync_rig.serve(method_handler(kind, behavior(kind, nothing), response_serializer=serializer))

    run(sync_rig.channel(), kind, usual_style(kind))

    server = sync_rig.span(SpanKind.SERVER)
    assert said(server) == error("INTERNAL", "Failed to serialize response!")
    assert said(sync_rig.span(SpanKind.CLIENT)) == error("INTERNAL", "Failed to serialize response!")
    assert counts(server)[0] == 0
    assert events(sync_rig) == ["rpc.server.call.exception"] * (serializer is break_down)


@ALL_TRACINGS
@pytest.mark.parametrize("style", ["call", "with_call", "future"])
def test_a_request_that_can_not_be_serialized_is_internal_and_not_sent(sync_rig: SyncRig, style: Style) -> None:
    sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", nothing)))
    multi_callable = sync_rig.channel().unary_unary(PATH, request_serializer=break_down)

    def by_future(request: bytes) -> Any:
        return multi_callable.future(request).result()  # gRPC's interceptors give a future that raises here

    with pytest.raises(grpc.RpcError):
        {"call": multi_callable, "with_call": multi_callable.with_call, "future": by_future}[style](b"q")

    client = sync_rig.span(SpanKind.CLIENT)
    assert (said(client), counts(client)[0]) == (error("INTERNAL", "Exception serializing request!"), 0)


@ALL_TRACINGS
@STYLES
def test_a_response_that_does_not_parse_is_internal_at_its_client_only(
    sync_rig: SyncRig, kind: Kind, style: Style
) -> None:
    sync_rig.serve(method_handler(kind, behavior(kind, nothing)))
    multi_callable = getattr(sync_rig.channel(), kind)(PATH, response_deserializer=break_down)
    request = iter([b"q"]) if sends_stream(kind) else b"q"

    def call() -> Any:
        if style == "with_call":
            return multi_callable.with_call(request)
        if style == "future":
            return multi_callable.future(request).result()
        return list(multi_callable(request)) if style == "stream" else multi_callable(request)

    with pytest.raises(grpc.RpcError):
        call()

    client = sync_rig.span(SpanKind.CLIENT)
    assert (said(client), counts(client)[1]) == (error("INTERNAL", "Exception deserializing response!"), 0)
    assert said(sync_rig.span(SpanKind.SERVER)) == {"code": "OK"}


@ALL_TRACINGS
@pytest.mark.parametrize("metadata", [(("Key", "upper"),), (("key", "é"),), (("a b", "c"),)], ids=str)
@STYLES
def test_metadata_that_can_not_be_sent_ends_the_span_with_what_the_caller_got(
    sync_rig: SyncRig, kind: Kind, style: Style, metadata: Any
) -> None:
    sync_rig.serve(method_handler(kind, behavior(kind, nothing)))
    channel = sync_rig.channel()
    raised: Any = None
    try:
        outcome = run(channel, kind, style, metadata=metadata, timeout=20)
        raised = outcome
    except Exception as failure:
        raised = failure

    words = said(sync_rig.span(SpanKind.CLIENT))
    assert isinstance(raised, Exception)
    assert words["status"] == "ERROR"
    if isinstance(raised, grpc.RpcError) and hasattr(raised, "code"):
        assert words["code"] == raised.code().name
    else:
        assert words["error_type"] == type(raised).__name__
        assert "code" not in words
    assert [span.kind for span in sync_rig.telemetry.open_spans()] == []


def test_a_request_past_the_servers_limit_leaves_the_code_out_on_a_synchronous_server(sync_rig: SyncRig) -> None:
    sync_rig.serve(
        method_handler("unary_unary", behavior("unary_unary", nothing)),
        options=[("grpc.max_receive_message_length", 9)],
    )

    run(sync_rig.channel(), "unary_unary", "call", requests=(b"q" * 10,))

    server = sync_rig.span(SpanKind.SERVER)
    assert said(server) == {}
    assert (server.attributes or {})["tracelab.rpc.handler_reached"] is False
    assert said(sync_rig.span(SpanKind.CLIENT))["code"] == "RESOURCE_EXHAUSTED"
