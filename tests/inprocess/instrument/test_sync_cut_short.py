"""The synchronous API: calls that somebody cuts short, wherever they are: waiting, read, answered, abandoned."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from tests.inprocess.instrument.rig import METHOD, PATH, Kind, answers_stream, counts, method_handler, said
from tests.inprocess.instrument.sync_rig import (
    ALL_TRACINGS,
    CALL_OBJECTS,
    STYLES,
    Gate,
    Style,
    SyncRig,
    behavior,
    run,
    start,
)
from tests.inprocess.instrument.test_endings import error
from tests.polling import eventually

pytestmark = ALL_TRACINGS

LOCALLY_CANCELLED = error("CANCELLED", "Locally cancelled by application!")
COLLECTED = error("CANCELLED", "Cancelled upon garbage collection!")


class Blocked:
    """A stream of requests that gives one and then nothing more until it is released."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield b"q1"
        self.release.wait(30)


@pytest.fixture
def blocked() -> Iterator[Blocked]:
    made = Blocked()
    yield made
    made.release.set()


@CALL_OBJECTS
def test_a_cancelled_synchronous_call_reads_cancelled_on_both_sides(
    sync_rig: SyncRig, kind: Kind, style: Style
) -> None:
    gate = sync_rig.gate()
    sync_rig.serve(method_handler(kind, behavior(kind, gate)))
    call = start(sync_rig.channel(), kind, style, timeout=20)
    assert gate.entered.wait(10)

    call.cancel()

    assert said(sync_rig.span(SpanKind.CLIENT)) == LOCALLY_CANCELLED
    assert call.code() is grpc.StatusCode.CANCELLED
    assert gate.over.wait(10)
    gate.open.set()
    assert said(sync_rig.span(SpanKind.SERVER)) == {"code": "CANCELLED"}


@CALL_OBJECTS
def test_a_closed_channel_cancels_its_synchronous_calls(sync_rig: SyncRig, kind: Kind, style: Style) -> None:
    gate = sync_rig.gate()
    sync_rig.serve(method_handler(kind, behavior(kind, gate)))
    channel = sync_rig.channel()
    call = start(channel, kind, style, timeout=20)
    assert gate.entered.wait(10)

    channel.close()

    assert said(sync_rig.span(SpanKind.CLIENT)) == error("CANCELLED", call.details())
    assert gate.over.wait(10)
    gate.open.set()
    assert said(sync_rig.span(SpanKind.SERVER)) == {"code": "CANCELLED"}


@STYLES
def test_a_servicer_that_outlives_its_deadline_makes_the_server_span_as_long_as_it_worked(
    sync_rig: SyncRig, kind: Kind, style: Style
) -> None:
    gate = sync_rig.gate()
    sync_rig.serve(method_handler(kind, behavior(kind, gate)))

    run(sync_rig.channel(), kind, style, timeout=0.15)

    client = sync_rig.span(SpanKind.CLIENT)
    assert said(client) == error("DEADLINE_EXCEEDED", "Deadline Exceeded")
    assert gate.over.wait(10)
    gate.open.set()
    server = sync_rig.span(SpanKind.SERVER)
    assert said(server) == error("DEADLINE_EXCEEDED")
    assert client.end_time is not None
    assert server.end_time is not None
    assert server.end_time > client.end_time


@STYLES
def test_a_deadline_that_passes_in_the_queue_of_a_busy_pool_leaves_a_span_that_says_no_servicer_was_reached(
    sync_rig: SyncRig, kind: Kind, style: Style
) -> None:
    gate = sync_rig.gate()
    sync_rig.serve(method_handler(kind, behavior(kind, gate)), threads=1)
    channel = sync_rig.channel()
    first = threading.Thread(target=run, args=(channel, kind, style))
    first.start()
    assert gate.entered.wait(10)

    outcome = run(channel, kind, style, timeout=0.15)

    assert isinstance(outcome, grpc.RpcError)
    assert outcome.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    eventually(sync_rig.call_count, until=lambda count: count == 1)  # the server has a clock of its own
    gate.open.set()
    first.join(10)
    by_code = {said(span).get("code"): span for span in sync_rig.spans(SpanKind.SERVER, 2)}
    if kind.startswith("stream_"):  # gRPC calls it with a stream of requests that raises at the first step
        assert by_code.keys() == {"OK", "DEADLINE_EXCEEDED"}
    else:
        assert by_code.keys() == {"OK", None}
        assert (by_code[None].attributes or {})["tracelab.rpc.handler_reached"] is False


@pytest.mark.parametrize("ending", ["cancel", "deadline"])
@pytest.mark.parametrize(("kind", "style"), [("stream_unary", "future"), ("stream_stream", "stream")])
def test_a_servicer_is_never_shown_a_cut_upload_as_a_whole_one(
    sync_rig: SyncRig, blocked: Blocked, kind: Kind, style: Style, ending: str
) -> None:
    read: list[str] = []
    began = threading.Event()

    def reads(requests: Iterator[bytes], _context: Any) -> Any:
        try:
            for _ in requests:
                began.set()
        except grpc.RpcError:
            read.append("cut")
            raise
        read.append("whole")
        return iter(()) if answers_stream(kind) else b"r"

    sync_rig.serve(method_handler(kind, reads))
    channel = sync_rig.channel()
    for count in range(1, 41):
        call = start(channel, kind, style, requests=blocked, timeout=0.05 if ending == "deadline" else 20)
        if ending == "cancel":
            assert began.wait(10)
            began.clear()
            call.cancel()
        server = sync_rig.spans(SpanKind.SERVER, count)[-1]
        if ending == "deadline":
            assert said(server) == error("DEADLINE_EXCEEDED")
        elif said(server):  # the cancel came between two reads, so that it can be nothing but a cancel
            assert said(server) == {"code": "CANCELLED"}
        else:
            assert (server.attributes or {})["tracelab.rpc.cut_short"] is True
    assert set(read) == {"cut"}


@STYLES
def test_a_stopping_synchronous_server_says_unavailable_although_its_servicer_works_on(
    sync_rig: SyncRig, kind: Kind, style: Style
) -> None:
    gate = sync_rig.gate()
    sync_rig.serve(method_handler(kind, behavior(kind, gate)))
    outcome: list[Any] = []
    channel = sync_rig.channel()
    caller = threading.Thread(target=lambda: outcome.append(run(channel, kind, style, timeout=20)))
    caller.start()
    assert gate.entered.wait(10)

    sync_rig.telemetry.server_stopping(grace_s=0.1)
    sync_rig.server.stop(0.1)

    assert said(sync_rig.span(SpanKind.SERVER)) == error("UNAVAILABLE", "Cancelling all calls")
    assert said(sync_rig.span(SpanKind.CLIENT)) == error("UNAVAILABLE", "Cancelling all calls")
    assert not gate.left.is_set()
    caller.join(10)


def test_a_call_that_is_over_is_told_of_when_the_process_ends_before_its_servicer(sync_rig: SyncRig) -> None:
    gate = sync_rig.gate()
    is_over = threading.Event()

    def outlives(context: Any) -> None:
        context.add_callback(is_over.set)
        gate(context)

    sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", outlives)))
    run(sync_rig.channel(), "unary_unary", "call", timeout=0.1)
    assert is_over.wait(10)

    sync_rig.telemetry.shutdown()

    servers = [span for span in sync_rig.telemetry.spans() if span.kind is SpanKind.SERVER]
    assert [said(span) for span in servers] == [error("DEADLINE_EXCEEDED")]
    assert not gate.left.is_set()


@pytest.mark.parametrize("kind", ["unary_stream", "stream_stream"])
def test_a_stream_cancelled_after_its_first_message_counts_that_message_and_keeps_its_call(
    sync_rig: SyncRig, kind: Kind
) -> None:
    cleaned_up_in: list[Any] = []

    def endless(request: Any, context: Any) -> Iterator[bytes]:
        try:
            while True:
                yield b"r" * 100_000  # soon it waits in the write, for a reader that never comes
        finally:
            cleaned_up_in.append(trace.get_current_span().get_span_context())

    sync_rig.serve(method_handler(kind, endless))
    call = start(sync_rig.channel(), kind, "stream", timeout=20)
    assert next(call)

    call.cancel()

    client, server = sync_rig.span(SpanKind.CLIENT), sync_rig.span(SpanKind.SERVER)
    assert (said(client), said(server)) == (LOCALLY_CANCELLED, {"code": "CANCELLED"})
    assert counts(client)[1] == 1
    assert cleaned_up_in == [server.context]
    assert (call.code(), call.details()) == (grpc.StatusCode.CANCELLED, "Locally cancelled by application!")


@pytest.mark.parametrize("kind", ["unary_stream", "stream_stream"])
def test_a_dropped_stream_is_cancelled_as_grpc_does_and_both_sides_say_so(
    sync_rig: SyncRig, blocked: Blocked, kind: Kind
) -> None:
    gate = sync_rig.gate()

    def one_then_wait(request: Any, context: Any) -> Iterator[bytes]:
        yield b"r1"
        gate(context)

    sync_rig.serve(method_handler(kind, one_then_wait))
    requests = blocked if kind == "stream_stream" else (b"q1",)
    call = start(sync_rig.channel(), kind, "stream", requests=requests, timeout=20)
    assert next(call) == b"r1"
    assert gate.entered.wait(10)

    del call

    assert said(sync_rig.span(SpanKind.CLIENT)) == COLLECTED
    assert gate.over.wait(10)
    gate.open.set()
    assert said(sync_rig.span(SpanKind.SERVER)) == {"code": "CANCELLED"}


@pytest.mark.parametrize("style", ["future", "call"])
@pytest.mark.parametrize("kind", ["stream_unary", "stream_stream"])
def test_an_iterator_of_requests_that_raises_is_told_once_in_the_span_of_its_call(
    sync_rig: SyncRig, kind: Kind, style: Style
) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"q1"
        raise ValueError("no more paper")

    sync_rig.serve(method_handler(kind, behavior(kind, lambda _context: None)))

    outcome = run(sync_rig.channel(), kind, "stream" if answers_stream(kind) else style, requests=breaks(), timeout=20)

    assert isinstance(outcome, grpc.RpcError)
    client = sync_rig.span(SpanKind.CLIENT)
    assert said(client) == error("UNKNOWN", "Exception iterating requests!")
    (record,) = [record.log_record for record in sync_rig.telemetry.log_records()]
    assert client.context is not None
    assert (record.event_name, record.span_id) == ("rpc.client.call.exception", client.context.span_id)
    server = sync_rig.span(SpanKind.SERVER)
    if said(server):  # the cancel came while no request was awaited, so that it can be nothing but a cancel
        assert said(server) == {"code": "CANCELLED"}
    else:
        assert (server.attributes or {})["tracelab.rpc.cut_short"] is True


def test_a_call_on_a_closed_channel_has_no_status(sync_rig: SyncRig) -> None:
    sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", Gate())))
    channel = sync_rig.channel()
    multi_callable = channel.unary_unary(PATH)
    channel.close()

    def by_future(request: bytes) -> Any:
        return multi_callable.future(request).result()  # gRPC's interceptors give a future that raises here

    for style in (multi_callable, multi_callable.with_call, by_future):
        with pytest.raises(ValueError, match=r"(?i)channel"):
            style(b"q")

    for span in sync_rig.spans(SpanKind.CLIENT, 3):
        words = said(span)
        assert "Cannot invoke RPC" in words.pop("description")
        assert (words, counts(span)[0]) == ({"error_type": "ValueError", "status": "ERROR"}, 0)


@STYLES
def test_an_unknown_method_has_a_synchronous_server_span_without_a_made_up_name(
    sync_rig: SyncRig, kind: Kind, style: Style
) -> None:
    sync_rig.serve(method_handler(kind, behavior(kind, Gate())))

    run(sync_rig.channel(), kind, style, path="/tracelab.test.v1.TestService/Missing", timeout=20)

    server = sync_rig.span(SpanKind.SERVER)
    attributes = server.attributes or {}
    assert (server.name, attributes["rpc.method"]) == ("grpc", "_OTHER")
    assert attributes["rpc.method_original"] == "tracelab.test.v1.TestService/Missing"
    assert said(server) == error("UNIMPLEMENTED", "Method not found!")
    assert said(sync_rig.span(SpanKind.CLIENT)) == error("UNIMPLEMENTED", "Method not found!")


def test_a_call_past_the_concurrency_limit_says_that_no_servicer_was_reached(sync_rig: SyncRig) -> None:
    gate = sync_rig.gate()
    sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", gate)), maximum_concurrent_rpcs=1)
    channel = sync_rig.channel()
    first = start(channel, "unary_unary", "future", timeout=20)
    assert gate.entered.wait(10)

    run(channel, "unary_unary", "call", timeout=20)

    server = sync_rig.span(SpanKind.SERVER)
    assert said(server) == {}
    assert (server.attributes or {})["tracelab.rpc.handler_reached"] is False
    assert said(sync_rig.span(SpanKind.CLIENT)) == error("RESOURCE_EXHAUSTED", "Concurrent RPC limit exceeded!")
    gate.open.set()
    assert first.result() == b"r1"


def test_a_synchronous_server_span_begins_before_its_wait_for_a_thread(sync_rig: SyncRig) -> None:
    gate = sync_rig.gate()
    sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", gate)), threads=1)
    channel = sync_rig.channel()
    first = start(channel, "unary_unary", "future", timeout=20)
    assert gate.entered.wait(10)
    second = start(channel, "unary_unary", "future", timeout=20)
    eventually(lambda: sync_rig.telemetry.open_spans(), until=lambda spans: len(spans) == 4)

    gate.open.set()

    assert (first.result(), second.result()) == (b"r1", b"r1")
    ended, waited = sync_rig.spans(SpanKind.SERVER, 2)
    assert ended.end_time is not None
    assert waited.start_time is not None
    assert waited.start_time < ended.end_time
    wait_s = (waited.attributes or {})["tracelab.rpc.handler_wait_s"]
    assert isinstance(wait_s, float)
    assert wait_s > 0
    assert waited.name == METHOD
