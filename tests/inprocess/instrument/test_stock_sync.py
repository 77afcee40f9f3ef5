"""What the untouched library gets wrong on the synchronous API, each as a test that it fails.

Nothing here is of this project but the polling: a test can be offered to `opentelemetry-instrumentation-grpc` as it
stands. `xfail` is strict in this repository, so that a fault which the library mends fails our run: then the correction
of that row of docs/corrections.md goes.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from opentelemetry.instrumentation.grpc import client_interceptor, server_interceptor
from opentelemetry.instrumentation.grpc.grpcext import intercept_channel
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from tests.polling import eventually

CODE = "rpc.grpc.status_code"
GONE_S = 1.0  # how long to wait for a span that does not come


class Stock:
    """A server and a channel with the library's interceptors, and the spans that they make."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.leave = threading.Event()
        self._close: list[Any] = [self.leave.set]

    def serve(self, *, threads: int = 4, **handlers: Any) -> Any:
        """Serve these methods of `stock.Stock`; return a traced channel and one that is not."""
        self.server = server = grpc.server(
            futures.ThreadPoolExecutor(threads),
            interceptors=[server_interceptor(self.provider)],  # type: ignore[no-untyped-call]  # the library is untyped
        )
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("stock.Stock", handlers)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self.bare: Any = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._close += [self.bare.close, lambda: server.stop(0).wait(10)]
        return intercept_channel(self.bare, client_interceptor(self.provider))  # type: ignore[no-untyped-call]

    def close(self) -> None:
        for close in self._close:
            close()

    def span(self, kind: SpanKind, within_s: float = 10.0) -> ReadableSpan:
        def ended() -> list[ReadableSpan]:
            return [span for span in self.exporter.get_finished_spans() if span.kind is kind]

        return eventually(ended, within_s=within_s)[0]


@pytest.fixture
def stock() -> Iterator[Stock]:
    made = Stock()
    yield made
    made.close()


def fails(row: str, whose: str = "opentelemetry-instrumentation-grpc 0.66b2") -> pytest.MarkDecorator:
    return pytest.mark.xfail(reason=f"{whose}: {row} of docs/corrections.md")


def unary(behavior: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(behavior)


def streaming(behavior: Any) -> Any:
    return grpc.unary_stream_rpc_method_handler(behavior)


def say(span: ReadableSpan) -> tuple[Any, StatusCode]:
    return (span.attributes or {}).get(CODE), span.status.status_code


@fails("Y1")
def test_a_servicer_that_raises_is_unknown(stock: Stock) -> None:
    def raises(request: bytes, context: Any) -> bytes:
        raise ValueError("oops")

    channel = stock.serve(Call=unary(raises))
    with pytest.raises(grpc.RpcError):
        channel.unary_unary("/stock.Stock/Call")(b"")
    assert say(stock.span(SpanKind.SERVER)) == (grpc.StatusCode.UNKNOWN.value[0], StatusCode.ERROR)


@fails("Y1")
def test_an_exception_is_recorded_once(stock: Stock) -> None:
    def raises(request: bytes, context: Any) -> bytes:
        raise ValueError("oops")

    channel = stock.serve(Call=unary(raises))
    with pytest.raises(grpc.RpcError):
        channel.unary_unary("/stock.Stock/Call")(b"")
    assert len(stock.span(SpanKind.SERVER).events) == 1


@fails("Y1")
def test_an_abort_is_no_exception(stock: Stock) -> None:
    def aborts(request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        return b""

    channel = stock.serve(Call=unary(aborts))
    with pytest.raises(grpc.RpcError):
        channel.unary_unary("/stock.Stock/Call")(b"")
    assert len(stock.span(SpanKind.SERVER).events) == 0


@fails("Y1")
def test_a_call_past_its_deadline_is_deadline_exceeded(stock: Stock) -> None:
    def waits(request: bytes, context: Any) -> bytes:
        stock.leave.wait(0.3)
        return b""

    channel = stock.serve(Call=unary(waits))
    with pytest.raises(grpc.RpcError):
        channel.unary_unary("/stock.Stock/Call")(b"", timeout=0.1)
    assert say(stock.span(SpanKind.SERVER)) == (grpc.StatusCode.DEADLINE_EXCEEDED.value[0], StatusCode.ERROR)


@fails("Y1")
def test_a_cancelled_call_is_cancelled(stock: Stock) -> None:
    entered = threading.Event()

    def waits(request: bytes, context: Any) -> bytes:
        entered.set()
        while context.is_active():
            stock.leave.wait(0.01)
        return b""

    channel = stock.serve(Call=unary(waits))
    call = channel.unary_unary("/stock.Stock/Call").future(b"")
    assert entered.wait(10)
    call.cancel()
    assert say(stock.span(SpanKind.SERVER))[0] == grpc.StatusCode.CANCELLED.value[0]


@fails("Y2")
def test_a_span_begins_when_the_call_arrives_not_when_a_thread_is_free(stock: Stock) -> None:
    entered = threading.Event()

    def waits(request: bytes, context: Any) -> bytes:
        entered.set()
        stock.leave.wait(10)
        return b""

    channel = stock.serve(threads=1, Call=unary(waits))
    first = stock.bare.unary_unary("/stock.Stock/Call").future(b"")
    assert entered.wait(10)
    second = channel.unary_unary("/stock.Stock/Call").future(b"")
    threading.Event().wait(0.1)
    stock.leave.set()
    first.result()
    second.result()
    spans = eventually(
        lambda: [span for span in stock.exporter.get_finished_spans() if span.kind is SpanKind.SERVER],
        until=lambda found: len(found) == 2,
    )
    assert spans[0].end_time is not None
    assert spans[1].start_time is not None
    assert spans[1].start_time < spans[0].end_time


@fails("Y3")
def test_a_call_that_a_stopping_server_cut_off_leaves_a_span_although_its_servicer_works_on(stock: Stock) -> None:
    entered = threading.Event()

    def works_on(request: bytes, context: Any) -> bytes:
        entered.set()
        stock.leave.wait(10)
        return b""

    call = stock.serve(Call=unary(works_on)).unary_unary("/stock.Stock/Call").future(b"")
    assert entered.wait(10)
    assert stock.server.stop(0).wait(10)
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    stock.provider.shutdown()  # as at the end of a process, which waits for no servicer
    assert say(stock.span(SpanKind.SERVER, within_s=GONE_S))[0] == grpc.StatusCode.UNAVAILABLE.value[0]


@fails("Y6")
def test_an_unknown_method_leaves_a_server_span(stock: Stock) -> None:
    channel = stock.serve()
    with pytest.raises(grpc.RpcError):
        channel.unary_unary("/stock.Stock/Missing")(b"")
    stock.span(SpanKind.SERVER, within_s=GONE_S)


@fails("Y7")
def test_grpcs_own_intercept_channel_takes_the_interceptor(stock: Stock) -> None:
    stock.serve()
    grpc.intercept_channel(stock.bare, client_interceptor(stock.provider))  # type: ignore[no-untyped-call]


def two(request: bytes, context: Any) -> Iterator[bytes]:
    yield b"r1"
    yield b"r2"


@fails("Y8")
@pytest.mark.parametrize("name", ["cancel", "code", "trailing_metadata", "add_done_callback", "time_remaining"])
def test_a_call_with_a_stream_of_answers_has_what_grpcs_calls_have(stock: Stock, name: str) -> None:
    call = stock.serve(Call=streaming(two)).unary_stream("/stock.Stock/Call")(b"")
    try:
        assert hasattr(call, name)
    finally:
        list(call)


@fails("Y8")
def test_a_stream_is_asked_for_when_it_is_called_not_when_it_is_read(stock: Stock) -> None:
    entered = threading.Event()

    def answers(request: bytes, context: Any) -> Iterator[bytes]:
        entered.set()
        yield b"r"

    call = stock.serve(Call=streaming(answers)).unary_stream("/stock.Stock/Call")(b"")
    try:
        assert entered.wait(GONE_S)
    finally:
        list(call)


@fails("Y8")
def test_a_callers_context_is_its_own_between_two_answers(stock: Stock) -> None:
    call = stock.serve(Call=streaming(two)).unary_stream("/stock.Stock/Call")(b"")
    next(call)
    current = get_current_span().get_span_context()
    list(call)
    assert not current.is_valid


@fails("Y8")
def test_a_stream_that_is_dropped_is_not_ok(stock: Stock) -> None:
    def answers(request: bytes, context: Any) -> Iterator[bytes]:
        yield b"r1"
        while context.is_active():
            stock.leave.wait(0.01)

    call = stock.serve(Call=streaming(answers)).unary_stream("/stock.Stock/Call")(b"")
    next(call)
    del call
    gc.collect()
    assert say(stock.span(SpanKind.CLIENT))[0] == grpc.StatusCode.CANCELLED.value[0]


@fails("Y9")
def test_a_dropped_bidirectional_call_is_cancelled(stock: Stock) -> None:
    over = threading.Event()

    def answers(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        context.add_callback(over.set)
        yield b"r1"
        stock.leave.wait(10)

    def waits() -> Iterator[bytes]:
        stock.leave.wait(10)
        yield from ()

    channel = stock.serve(Call=grpc.stream_stream_rpc_method_handler(answers))
    call = channel.stream_stream("/stock.Stock/Call")(waits())
    next(call)
    del call
    gc.collect()
    assert over.wait(GONE_S)


@fails("Y10")
def test_the_description_of_a_failure_is_its_message(stock: Stock) -> None:
    def aborts(request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        return b""

    channel = stock.serve(Call=unary(aborts))
    with pytest.raises(grpc.RpcError):
        channel.unary_unary("/stock.Stock/Call")(b"")
    assert stock.span(SpanKind.CLIENT).status.description == "no such thing"


@fails("Y10")
def test_a_call_on_a_closed_channel_has_no_status_code(stock: Stock) -> None:
    channel = stock.serve(Call=streaming(two))
    method = channel.unary_unary("/stock.Stock/Call")
    stock.bare.close()
    with pytest.raises(ValueError, match="channel"):
        method(b"")
    assert CODE not in (stock.span(SpanKind.CLIENT).attributes or {})


@fails("Y11")
def test_metadata_whose_key_comes_twice_is_sent_twice(stock: Stock) -> None:
    seen: list[Any] = []

    def notes(request: bytes, context: Any) -> bytes:
        seen.extend(value for key, value in context.invocation_metadata() if key == "key")
        return b"r"

    stock.serve(Call=unary(notes)).unary_unary("/stock.Stock/Call")(b"", metadata=(("key", "1"), ("key", "2")))
    assert seen == ["1", "2"]


@fails("Y12")
def test_a_done_callback_runs_in_no_other_calls_trace(stock: Stock) -> None:
    seen: list[int] = []
    done = threading.Event()

    def waits(request: bytes, context: Any) -> bytes:
        stock.leave.wait(0 if request else 10)
        return b"r"

    def note(_call: Any) -> None:
        seen.append(get_current_span().get_span_context().trace_id)
        done.set()

    method = stock.serve(Call=unary(waits)).unary_unary("/stock.Stock/Call")
    first = method.future(b"")
    second = method.future(b"at once")
    second.add_done_callback(note)
    assert done.wait(10)
    stock.leave.set()
    first.result()
    spans = eventually(
        lambda: [span for span in stock.exporter.get_finished_spans() if span.kind is SpanKind.CLIENT],
        until=lambda found: len(found) == 2,
    )
    of_first = spans[-1].context
    assert of_first is not None
    assert seen != [of_first.trace_id]


@fails("Y13", whose="grpcio 1.85")
def test_the_time_remaining_of_a_call_without_a_deadline_is_none_as_its_documentation_says() -> None:
    seen: list[float | None] = []

    def notes(request: bytes, context: Any) -> bytes:
        seen.append(context.time_remaining())
        return b""

    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("stock.Stock", {"Call": unary(notes)})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            method: Any = channel.unary_unary("/stock.Stock/Call")
            method(b"")
    finally:
        server.stop(0).wait(10)
    assert seen == [None]
