"""The synchronous API: calls that are retried, and everything that a caller may bring along."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc import _channel as grpc_channel
from grpc.experimental import ChannelOptions
from opentelemetry import context
from opentelemetry.instrumentation.grpc import grpcext
from opentelemetry.instrumentation.grpc._server import OpenTelemetryServerInterceptor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind

from otel.instrument import TelemetrySettings, client_interceptor, semconv, server_interceptor
from tests.inprocess.instrument.rig import (
    METHOD,
    Kind,
    answers_stream,
    counts,
    method_handler,
    said,
    sends_stream,
)
from tests.inprocess.instrument.sync_rig import ALL_TRACINGS, STYLES, Style, SyncRig, behavior, run, start
from tests.inprocess.instrument.test_endings import error
from tests.inprocess.instrument.test_styles import RETRIES
from tests.inprocess.instrument.test_sync_broken_messages import break_down, events, nothing
from tests.polling import eventually


@ALL_TRACINGS
@pytest.mark.parametrize("style", ["call", "with_call", "future"])
@pytest.mark.parametrize(("failures", "code"), [(2, "OK"), (3, "UNAVAILABLE")], ids=["then OK", "exhausted"])
def test_a_retried_synchronous_call_is_one_client_span_over_its_attempts(
    sync_rig: SyncRig, style: Style, failures: int, code: str
) -> None:
    attempts: list[int] = []

    def fails_first(call_context: Any) -> None:
        attempts.append(1)
        if len(attempts) <= failures:
            call_context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")

    sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", fails_first)))

    run(sync_rig.channel(options=[("grpc.service_config", RETRIES)]), "unary_unary", style, timeout=20)

    client = sync_rig.span(SpanKind.CLIENT)
    servers = sync_rig.spans(SpanKind.SERVER, 3)
    assert said(client)["code"] == code
    assert [said(span)["code"] for span in servers] == ["UNAVAILABLE", "UNAVAILABLE", code]
    assert [(span.attributes or {}).get("grpc.previous_rpc_attempts") for span in servers] == [None, 1, 2]
    assert client.context is not None
    assert {span.parent.span_id for span in servers if span.parent is not None} == {client.context.span_id}


@pytest.mark.parametrize("kind", ["unary_stream"])
def test_a_stream_without_a_thread_of_grpcs_is_followed_too_to_its_end_or_until_it_is_dropped(
    sync_rig: SyncRig, kind: Kind
) -> None:
    sync_rig.serve(method_handler(kind, behavior(kind, nothing)))
    channel = sync_rig.channel(options=[(ChannelOptions.SingleThreadedUnaryStream, 1)])

    whole = start(channel, kind, "stream")
    assert type(whole) is grpc_channel._SingleThreadedRendezvous
    assert list(whole) == [b"r1", b"r2"]
    assert said(sync_rig.span(SpanKind.CLIENT)) == {"code": "OK"}
    dropped = start(channel, kind, "stream")
    assert next(dropped) == b"r1"
    del dropped

    assert said(sync_rig.spans(SpanKind.CLIENT, 2)[1]) == error("CANCELLED", "Cancelled upon garbage collection!")


@ALL_TRACINGS
@STYLES
def test_the_caller_of_a_synchronous_channel_gets_grpcs_own_call(sync_rig: SyncRig, kind: Kind, style: Style) -> None:
    sync_rig.serve(method_handler(kind, behavior(kind, nothing)))
    channel = sync_rig.channel()
    if style in {"future", "stream"}:
        call = start(channel, kind, style, timeout=20)
        assert type(call) is grpc_channel._MultiThreadedRendezvous
        remaining_s = call.time_remaining()
        assert remaining_s is not None
        assert 0 < remaining_s <= 20
        if style == "stream":
            assert list(call) == [b"r1", b"r2"]
        assert call.code() is grpc.StatusCode.OK
        assert call.trailing_metadata() == ()
    else:
        outcome = run(channel, kind, style, path="/tracelab.test.v1.TestService/Missing")
        assert type(outcome) is grpc_channel._InactiveRpcError
    assert "code" in said(sync_rig.span(SpanKind.CLIENT))


class Plain(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """An application's own interceptor: it adds metadata and lets the call be."""

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        metadata = (*(client_call_details.metadata or ()), ("mine", "1"))
        return continuation(client_call_details._replace(metadata=metadata), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return self.intercept_unary_unary(continuation, client_call_details, request)

    def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return self.intercept_unary_unary(continuation, client_call_details, request_iterator)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return self.intercept_unary_unary(continuation, client_call_details, request_iterator)


@ALL_TRACINGS
@STYLES
def test_interceptors_of_an_application_run_inside_the_tracing(sync_rig: SyncRig, kind: Kind, style: Style) -> None:
    seen: list[Any] = []
    sync_rig.serve(method_handler(kind, behavior(kind, lambda call: seen.extend(call.invocation_metadata()))))

    outcome = run(sync_rig.channel(interceptors=[Plain()]), kind, style, timeout=20)

    assert isinstance(outcome, list)
    assert ("mine", "1") in {(key, value) for key, value in seen}
    assert said(sync_rig.span(SpanKind.CLIENT)) == {"code": "OK"}


@pytest.mark.parametrize("intercept", [grpc.intercept_channel, grpcext.intercept_channel], ids=["grpc", "library"])
@STYLES
def test_the_hooks_of_a_client_interceptor_get_request_and_response(
    sync_rig: SyncRig, kind: Kind, style: Style, intercept: Any
) -> None:
    sync_rig.serve(method_handler(kind, behavior(kind, nothing)))
    requests: list[Any] = []
    responses: list[Any] = []
    made = client_interceptor(
        sync_rig.telemetry.providers.tracer_provider,
        request_hook=lambda span, request: requests.append((span.is_recording(), request)),
        response_hook=lambda span, response: responses.append((span.is_recording(), response)),
    )

    with intercept(grpc.insecure_channel(sync_rig.address), made) as channel:
        run(channel, kind, style)
        sync_rig.span(SpanKind.CLIENT)

    assert responses == [(True, response) for response in ([b"r1", b"r2"] if answers_stream(kind) else [b"r1"])]
    assert [recording for recording, _ in requests] == [True]
    assert sends_stream(kind) or requests == [(True, b"q1")]


def test_a_hook_that_raises_harms_no_call(sync_rig: SyncRig) -> None:
    sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", nothing)))

    def breaks(_span: Any, _message: Any) -> None:
        raise ValueError("a hook's own fault")

    made = client_interceptor(sync_rig.telemetry.providers.tracer_provider, request_hook=breaks, response_hook=breaks)
    with grpc.intercept_channel(grpc.insecure_channel(sync_rig.address), made) as channel:
        assert run(channel, "unary_unary", "call") == [b"r1"]

    assert said(sync_rig.span(SpanKind.CLIENT)) == {"code": "OK"}


@ALL_TRACINGS
@STYLES
def test_a_suppressed_synchronous_call_leaves_no_client_span(sync_rig: SyncRig, kind: Kind, style: Style) -> None:
    sync_rig.serve(method_handler(kind, behavior(kind, nothing)))

    with suppress_instrumentation():
        outcome = run(sync_rig.channel(), kind, style)

    assert isinstance(outcome, list)
    sync_rig.span(SpanKind.SERVER)
    assert {span.kind for span in sync_rig.telemetry.spans()} == {SpanKind.SERVER}


def test_an_interceptor_that_raises_in_place_of_a_handler_is_unknown_without_a_servicer(sync_rig: SyncRig) -> None:
    class Breaks(grpc.ServerInterceptor):
        def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            raise ValueError("oops")

    sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", nothing)), interceptors=[Breaks()])

    run(sync_rig.channel(), "unary_unary", "call")

    server = sync_rig.span(SpanKind.SERVER)
    assert said(server) == error("UNKNOWN", "Error in service handler!")
    assert (server.attributes or {})["tracelab.rpc.handler_reached"] is False
    assert said(sync_rig.span(SpanKind.CLIENT)) == error("UNKNOWN", "Error in service handler!")
    assert events(sync_rig) == ["rpc.server.call.exception"]


@pytest.mark.parametrize("kind", ["unary_stream", "stream_stream"])
def test_what_is_no_iterator_fails_as_without_tracing(sync_rig: SyncRig, kind: Kind) -> None:
    sync_rig.serve(method_handler(kind, lambda request, call_context: [b"r1"]))

    outcome: Any = run(sync_rig.channel(), kind, "stream")

    assert outcome.details() == "Exception iterating responses: 'list' object is not an iterator"
    assert said(sync_rig.span(SpanKind.SERVER)) == error("UNKNOWN", outcome.details())


@pytest.mark.parametrize("kind", ["unary_stream", "stream_stream"])
def test_a_servicer_that_raises_before_it_has_a_stream_fails_as_without_tracing(sync_rig: SyncRig, kind: Kind) -> None:
    def raises(request: Any, call_context: Any) -> Iterator[bytes]:
        raise ValueError("oops")

    sync_rig.serve(method_handler(kind, raises))

    outcome: Any = run(sync_rig.channel(), kind, "stream")

    assert outcome.details() == "Exception calling application: oops"
    assert said(sync_rig.span(SpanKind.SERVER)) == error("UNKNOWN", outcome.details())


@pytest.mark.parametrize("kind", ["unary_stream", "stream_stream"])
def test_a_response_of_none_ends_a_stream_as_grpc_says(sync_rig: SyncRig, kind: Kind) -> None:
    def gives_none(request: Any, call_context: Any) -> Iterator[Any]:
        yield b"r1"
        yield None
        yield b"never"

    sync_rig.serve(method_handler(kind, gives_none))

    assert run(sync_rig.channel(), kind, "stream") == [b"r1"]
    server = sync_rig.span(SpanKind.SERVER)
    assert (said(server), counts(server)[0]) == ({"code": "OK"}, 1)


@ALL_TRACINGS
class TestMessageEvents:
    @pytest.fixture
    def settings(self) -> TelemetrySettings:
        return TelemetrySettings(service_name="test", log_to_stdout=False, message_events=1)

    def test_a_synchronous_stream_has_at_most_n_message_events_in_each_direction(self, sync_rig: SyncRig) -> None:
        sync_rig.serve(method_handler("stream_stream", behavior("stream_stream", nothing)))

        run(sync_rig.channel(), "stream_stream", "stream")

        for side in (SpanKind.CLIENT, SpanKind.SERVER):
            found = [(event.name, dict(event.attributes or {})) for event in sync_rig.span(side).events]
            assert sorted(found, key=lambda event: event[0]) == [
                ("Inbound message", {"sequence-number": 0, "message-size": 2}),
                ("Outbound message", {"sequence-number": 0, "message-size": 2}),
            ]


@ALL_TRACINGS
def test_addresses_timeout_and_time_remaining_of_a_synchronous_call_are_on_the_span_that_knows_them(
    sync_rig: SyncRig,
) -> None:
    sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", nothing)))
    channel = sync_rig.channel()
    run(channel, "unary_unary", "call", timeout=20)
    run(channel, "unary_unary", "call")

    host, port = sync_rig.address.split(":")
    first, second = (span.attributes or {} for span in sync_rig.spans(SpanKind.CLIENT, 2))
    assert (first["server.address"], first["server.port"]) == (host, int(port))
    assert first["tracelab.rpc.timeout_s"] == 20.0
    assert "tracelab.rpc.timeout_s" not in second
    first, second = (span.attributes or {} for span in sync_rig.spans(SpanKind.SERVER, 2))
    remaining_s = first["tracelab.rpc.time_remaining_s"]
    assert isinstance(remaining_s, float)
    assert 0 < remaining_s <= 20.3
    assert "tracelab.rpc.time_remaining_s" not in second, "gRPC's 9.2e18 for no deadline was recorded"
    assert first["network.peer.address"] == "127.0.0.1"
    assert first["rpc.method"] == METHOD


@pytest.mark.parametrize(
    ("side", "name"),
    [(SpanKind.CLIENT, semconv.CLIENT_CALL_DURATION), (SpanKind.SERVER, semconv.SERVER_CALL_DURATION)],
    ids=["client", "server"],
)
def test_the_duration_of_a_synchronous_call_is_its_spans(sync_rig: SyncRig, side: SpanKind, name: str) -> None:
    sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", nothing)))
    run(sync_rig.channel(), "unary_unary", "call", timeout=20)

    span = sync_rig.span(side)
    (point,) = sync_rig.telemetry.durations(name)
    assert span.end_time is not None
    assert span.start_time is not None
    assert (point.count, point.sum) == (1, (span.end_time - span.start_time) / 1e9)


class TestStock:
    @pytest.fixture
    def settings(self, request: pytest.FixtureRequest) -> TelemetrySettings:
        return TelemetrySettings(service_name="test", log_to_stdout=False, instrumentation=request.param)

    @pytest.mark.parametrize("settings", ["stock"], indirect=True)
    def test_stock_is_the_library_itself_on_the_synchronous_api(self, sync_rig: SyncRig) -> None:
        def rejects(call_context: Any) -> None:
            raise ValueError("oops")

        sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", rejects)))

        run(sync_rig.channel(), "unary_unary", "call", timeout=20)
        run(sync_rig.channel(), "unary_unary", "call", path="/grpc.health.v1.Health/Check", timeout=20)

        made = sync_rig.telemetry.sync.server_interceptors()
        assert [type(interceptor) for interceptor in made] == [OpenTelemetryServerInterceptor]
        assert len(sync_rig.span(SpanKind.SERVER).events) == 2
        sync_rig.span(SpanKind.CLIENT)

    @pytest.mark.parametrize("settings", ["off"], indirect=True)
    def test_off_is_nothing_on_the_synchronous_api(self, sync_rig: SyncRig) -> None:
        sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", nothing)))

        assert run(sync_rig.channel(), "unary_unary", "call", timeout=20) == [b"r1"]

        assert sync_rig.telemetry.sync.server_interceptors() == []
        assert sync_rig.telemetry.spans() == []


def test_the_drop_in_server_interceptor_needs_nothing_else(sync_rig: SyncRig) -> None:
    """As a program uses it that has never heard of `Telemetry`."""
    provider = sync_rig.telemetry.providers.tracer_provider
    sync_rig.telemetry.sync.server_interceptors = lambda: [server_interceptor(provider)]  # type: ignore[method-assign]
    sync_rig.serve(method_handler("unary_unary", behavior("unary_unary", break_down)))
    with grpc.insecure_channel(sync_rig.address) as bare:
        run(bare, "unary_unary", "call")

    assert said(sync_rig.span(SpanKind.SERVER)) == error("UNKNOWN", "Exception calling application: broken")
    assert context.get_current() == {}
    assert eventually(lambda: sync_rig.telemetry.open_spans(), until=lambda spans: not spans) == []
