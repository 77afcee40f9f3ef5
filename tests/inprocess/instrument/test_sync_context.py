"""The synchronous API: context reaches everything that belongs to a call, in whichever thread, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

from otel.instrument import TelemetrySettings
from otel.instrument.sync.server_call import ServerCall
from otel.instrument.testing import in_memory_telemetry
from tests.inprocess.instrument.rig import KINDS, PATH, Kind, answers_stream, method_handler, said, sends_stream
from tests.inprocess.instrument.sync_rig import ALL_TRACINGS, STYLES, Style, SyncRig, behavior, run, start
from tests.polling import eventually


@pytest.fixture
def log() -> Any:
    return structlog.get_logger()


@pytest.mark.parametrize("kind", KINDS)
def test_one_pool_thread_never_hands_the_baggage_of_a_call_to_the_next(sync_rig: SyncRig, kind: Kind) -> None:
    seen: list[Any] = []

    def notes(call_context: Any) -> None:
        seen.append((threading.get_ident(), baggage.get_baggage("session.id"), trace.get_current_span()))

    sync_rig.serve(method_handler(kind, behavior(kind, notes)), threads=1)
    style: Style = "stream" if answers_stream(kind) else "call"
    with grpc.insecure_channel(sync_rig.address) as bare:
        for sent in ((("baggage", "session.id=a"),), (), (("baggage", "session.id=b"),), ()):
            run(bare, kind, style, metadata=sent)

    servers = sync_rig.spans(SpanKind.SERVER, 4)
    assert [value for _, value, _ in seen] == ["a", None, "b", None]
    assert len({thread for thread, _, _ in seen}) == 1
    assert [span.get_span_context() for _, _, span in seen] == [span.context for span in servers]
    assert [(span.attributes or {}).get("session.id") for span in servers] == ["a", None, "b", None]
    assert len({span.context.trace_id for span in servers if span.context}) == 4


@ALL_TRACINGS
@STYLES
def test_every_step_of_servicer_and_requests_is_logged_in_its_own_span(
    sync_rig: SyncRig, kind: Kind, style: Style, log: Any
) -> None:
    def requests() -> Iterator[bytes]:
        for number in range(2):
            log.info("request.made")
            yield b"q%d" % number
        log.info("requests.ended")

    def answers(request: Any, _context: Any) -> Iterator[bytes]:
        log.info("entered")
        for _ in request if sends_stream(kind) else ():
            log.info("request.read")
        yield b"r1"
        log.info("between")
        yield b"r2"
        log.info("left")

    def answer(request: Any, call_context: Any) -> bytes:
        return list(answers(request, call_context))[-1]

    sync_rig.serve(method_handler(kind, answers if answers_stream(kind) else answer))

    run(sync_rig.channel(), kind, style, requests=requests() if sends_stream(kind) else (b"q",))

    client, server = sync_rig.span(SpanKind.CLIENT), sync_rig.span(SpanKind.SERVER)
    assert client.context is not None
    assert server.context is not None
    # asyncio tells of futures that other tests left, whenever garbage is collected.
    lines = [line for line in sync_rig.telemetry.lines() if line.get("logger") != "asyncio"]
    spans_of = {line["event"]: line.get("span_id") for line in lines}
    of_client = {"request.made", "requests.ended"} if sends_stream(kind) else set()
    of_server = {"entered", "between", "left"} | ({"request.read"} if sends_stream(kind) else set())
    assert spans_of == {
        **dict.fromkeys(of_client, f"{client.context.span_id:016x}"),
        **dict.fromkeys(of_server, f"{server.context.span_id:016x}"),
    }


@ALL_TRACINGS
@pytest.mark.parametrize(("kind", "style"), [("unary_unary", "future"), ("stream_stream", "stream")])
def test_done_callbacks_of_both_sides_run_in_the_context_of_their_call(
    sync_rig: SyncRig, kind: Kind, style: Style, log: Any
) -> None:
    done = threading.Event()
    ready = sync_rig.gate()

    def registers(call_context: Any) -> None:
        assert call_context.add_callback(lambda: log.info("server.done"))
        ready(call_context)

    def note(_call: Any) -> None:
        log.info("client.done")
        done.set()

    sync_rig.serve(method_handler(kind, behavior(kind, registers)))
    with structlog.contextvars.bound_contextvars(request_number=7):
        call = start(sync_rig.channel(), kind, style, timeout=20)
        call.add_done_callback(note)
    ready.open.set()
    for _ in call if style == "stream" else ():
        pass

    assert done.wait(10)
    client, server = sync_rig.span(SpanKind.CLIENT), sync_rig.span(SpanKind.SERVER)
    lines = eventually(
        lambda: {line["event"]: line for line in sync_rig.telemetry.lines()}, until=lambda found: len(found) == 2
    )
    assert client.context is not None
    assert server.context is not None
    assert lines["client.done"]["span_id"] == f"{client.context.span_id:016x}"
    assert lines["client.done"]["request_number"] == 7
    assert lines["server.done"]["span_id"] == f"{server.context.span_id:016x}"


@ALL_TRACINGS
@STYLES
def test_a_caller_gets_its_own_context_back_at_once(sync_rig: SyncRig, kind: Kind, style: Style) -> None:
    sync_rig.serve(method_handler(kind, behavior(kind, lambda _context: None)))
    before = context.get_current()
    during = []
    channel = sync_rig.channel()

    if style in {"call", "with_call"}:
        run(channel, kind, style)
    else:
        call = start(channel, kind, style)
        during.append(context.get_current())
        during.extend(context.get_current() for _ in (call if style == "stream" else ()))

    assert {id(found) for found in during} <= {id(before)}
    assert context.get_current() is before
    sync_rig.span(SpanKind.CLIENT)


@ALL_TRACINGS
@pytest.mark.parametrize("kind", ["unary_unary", "unary_stream"])
def test_the_metadata_of_the_caller_arrives_whole_with_repeated_keys(sync_rig: SyncRig, kind: Kind) -> None:
    seen: list[Any] = []

    def notes(call_context: Any) -> None:
        seen.extend(call_context.invocation_metadata())

    sync_rig.serve(method_handler(kind, behavior(kind, notes)))
    token = context.attach(baggage.set_baggage("session.id", "s1"))

    run(
        sync_rig.channel(),
        kind,
        "stream" if answers_stream(kind) else "call",
        metadata=(("key", "1"), ("key", "2"), ("baggage", "theirs=1"), ("blob-bin", b"\x00")),
    )

    context.detach(token)
    client = sync_rig.span(SpanKind.CLIENT)
    assert client.context is not None
    assert [value for key, value in seen if key == "key"] == ["1", "2"]
    assert [value for key, value in seen if key == "blob-bin"] == [b"\x00"]
    assert [value for key, value in seen if key == "baggage"] == ["session.id=s1"]
    (traceparent,) = [value for key, value in seen if key == "traceparent"]
    assert f"{client.context.span_id:016x}" in traceparent


@ALL_TRACINGS
async def test_each_api_calls_the_other_in_one_trace(sync_rig: SyncRig) -> None:
    """A synchronous caller calls an aio server, whose servicer calls a synchronous server by an aio channel."""
    sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", lambda _context: None)))
    telemetry = sync_rig.telemetry
    async with telemetry.insecure_channel(sync_rig.address) as channel:
        inner: Any = channel

        async def passes_on(request: bytes, _context: Any) -> bytes:
            answer: bytes = await inner.unary_unary(PATH)(request)
            return answer

        server = grpc.aio.server(interceptors=telemetry.server_interceptors())
        service: dict[str, Any] = {"Call": grpc.unary_unary_rpc_method_handler(passes_on)}
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("tracelab.test.v1.TestService", service)])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        sync_rig.address = f"127.0.0.1:{port}"

        outcome = await asyncio.to_thread(run, sync_rig.channel(), "unary_unary", "call")
        await server.stop(None)

    assert outcome == [b"r1"]
    spans = await asyncio.to_thread(lambda: eventually(lambda: telemetry.spans(), until=lambda found: len(found) == 4))
    parents = {span.parent.span_id: span for span in spans if span.parent}
    (root,) = [span for span in spans if span.parent is None]
    chain = [root]
    while chain[-1].context and chain[-1].context.span_id in parents:
        chain.append(parents[chain[-1].context.span_id])
    assert [span.kind.name for span in chain] == ["CLIENT", "SERVER", "CLIENT", "SERVER"]
    assert [said(span) for span in spans] == [{"code": "OK"}] * 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_sampled_out_synchronous_call_still_hands_its_trace_on(kind: Kind) -> None:
    telemetry = in_memory_telemetry(TelemetrySettings(service_name="test", log_to_stdout=False), sampler=ALWAYS_OFF)
    seen: list[Any] = []
    rig = SyncRig(telemetry)
    rig.serve(method_handler(kind, behavior(kind, lambda _context: seen.append(trace.get_current_span()))))

    outcome = run(rig.channel(), kind, "stream" if answers_stream(kind) else "call")

    rig.close()
    telemetry.shutdown()
    assert isinstance(outcome, list)
    assert telemetry.spans() == []
    assert [(span.is_recording(), span.get_span_context().is_valid) for span in seen] == [(False, True)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", ["ok", "abort"])
def test_calls_leave_nothing_behind_for_the_garbage_collector(sync_rig: SyncRig, kind: Kind, ending: str) -> None:
    alive: list[weakref.ref[Any]] = []

    def body(call_context: Any) -> None:
        alive.append(weakref.ref(call_context))
        if ending == "abort":
            call_context.abort(grpc.StatusCode.NOT_FOUND, "gone")

    sync_rig.serve(method_handler(kind, behavior(kind, body)))
    channel = sync_rig.channel()
    gc.collect()
    gc.disable()
    try:
        # What a failure that another test expects has kept by its traceback is not these calls'.
        others = {id(found) for found in gc.get_objects() if isinstance(found, ServerCall)}
        for _ in range(5):
            run(channel, kind, "stream" if answers_stream(kind) else "call")
        sync_rig.spans(SpanKind.SERVER, 5)

        def still_there() -> int:
            return sum(isinstance(found, ServerCall) and id(found) not in others for found in gc.get_objects())

        # An abort's traceback and gRPC's state hold each other for a while, whoever watches.
        if ending == "ok":
            assert eventually(still_there, until=lambda count: count == 0) == 0
    finally:
        gc.enable()
    gc.collect()
    assert eventually(lambda: [found for found in alive if found() is not None], until=lambda found: not found) == []


def test_a_call_to_an_untraced_service_leaves_no_span(sync_rig: SyncRig) -> None:
    sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", lambda _context: None)))

    run(sync_rig.channel(), "unary_unary", "call", path="/grpc.health.v1.Health/Check", timeout=20)

    assert sync_rig.telemetry.spans() == []
