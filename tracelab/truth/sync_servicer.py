"""The matrix's own server process on the synchronous API: one method per RPC kind, a behaviour named in metadata.

Run as `python -m tracelab.truth.sync_servicer --ready-file FILE --witness FILE --open-spans FILE`. Prints nothing; ends
on SIGTERM as its counterpart on grpc.aio does, whatever its servicers still do.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any, NoReturn

import grpc

from generated.order_pb2 import Order
from otel.instrument import Telemetry, TelemetrySettings, configure
from tracelab.truth.endings import SERVICE, Kind
from tracelab.truth.open_spans import watch_open_spans, write_open_spans
from tracelab.truth.plan import FILLER_TIMEOUT_S, POLL_S
from tracelab.truth.served_call import ANSWER_COUNT, LARGE_NOTE, Call, rich_not_found, say_ready, servicer_options
from tracelab.truth.witness import WitnessFile

IGNORED_FOR_S = 0.2
STOP_BOUND_S = 2.0


def behave(call: Call, context: Any) -> list[Any]:
    """Do what the behaviour says and return the answers to send; ends by raising where the behaviour does."""
    match call.behaviour:
        case "abort":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such order")
        case "abort_with_status":
            context.abort_with_status(rpc_status_of_rich())
        case "set_code":
            context.set_code(grpc.StatusCode.NOT_FOUND)
            context.set_details("no such order")
        case "raise":
            raise ValueError("the servicer's own mistake")
        case "abort_deadline":
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "its own budget ran out")
        case "wait":
            _wait_for_end(call, context)
        case "swallow":
            _wait_for_end(call, context)
            threading.Event().wait(IGNORED_FOR_S)
        case "outlive":
            threading.Event().wait(FILLER_TIMEOUT_S)
        case "fail_twice" if call.previous_attempts < 2:
            context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        case "fail_always":
            context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        case "answer_large" | "answer_large_then_wait":
            return [Order(note=LARGE_NOTE)]
        case "answer_wrong_type":
            return ["not a message"]
    return [Order(order_id=str(number)) for number in range(1, ANSWER_COUNT + 1)]


def behave_after_first_answer(call: Call, context: Any) -> None:
    """What a streaming servicer does once its first answer is sent."""
    match call.behaviour:
        case "answer_then_wait" | "answer_large_then_wait":
            _wait_for_end(call, context)
        case "abort_after_messages":
            context.abort(grpc.StatusCode.INTERNAL, "lost the rest")
        case "raise_after_messages":
            raise ValueError("the servicer's own mistake")


def _wait_for_end(call: Call, context: Any) -> None:
    """Look until the call is over, as the only way is in which a thread learns of it."""
    while context.is_active():
        threading.Event().wait(POLL_S)
    call.saw("caught", error="no longer active")


def rpc_status_of_rich() -> Any:
    """The rich status as the synchronous context takes it."""
    from grpc_status import rpc_status

    return rpc_status.to_status(rich_not_found())


class Servicer:
    """The behaviours in the four forms."""

    def __init__(self, witness: WitnessFile) -> None:
        self._witness = witness

    def unary_unary(self, _request: Order, context: Any) -> Any:
        """Answer once."""
        return self._one_answer(context, Kind.UNARY_UNARY, None)

    def stream_unary(self, requests: Iterator[Order], context: Any) -> Any:
        """Read every message unless the behaviour says otherwise, and answer once."""
        return self._one_answer(context, Kind.STREAM_UNARY, requests)

    def unary_stream(self, _request: Order, context: Any) -> Iterator[Any]:
        """Answer several times."""
        yield from self._answers(context, Kind.UNARY_STREAM, None)

    def stream_stream(self, requests: Iterator[Order], context: Any) -> Iterator[Any]:
        """Read every message unless the behaviour says otherwise, and answer several times."""
        yield from self._answers(context, Kind.STREAM_STREAM, requests)

    def _one_answer(self, context: Any, kind: Kind, requests: Iterator[Order] | None) -> Any:
        call = Call.of(self._witness, context, kind.method)
        try:
            if requests is not None:
                _read(call, requests)
            answer = behave(call, context)[0]
        except BaseException as error:
            call.saw("raised", error=type(error).__name__)
            raise
        call.saw("returned")
        return answer

    def _answers(self, context: Any, kind: Kind, requests: Iterator[Order] | None) -> Iterator[Any]:
        call = Call.of(self._witness, context, kind.method)
        try:
            if requests is not None:
                _read(call, requests)
            for number, reply in enumerate(behave(call, context), start=1):
                call.saw("sent message", message_number=number)
                yield reply
                behave_after_first_answer(call, context)
        except BaseException as error:
            call.saw("raised", error=type(error).__name__)
            raise
        call.saw("returned")


def _read(call: Call, requests: Iterator[Order]) -> None:
    if call.behaviour in {"answer_then_wait", "wait", "swallow", "outlive"}:
        return
    for number, _ in enumerate(requests, start=1):
        call.saw("got message", message_number=number)
        if call.behaviour == "return_early" and number == ANSWER_COUNT:
            return


def method_handlers(servicer: Servicer) -> dict[str, Any]:
    """The methods of the service by name: the four kinds."""
    behaviours: dict[Kind, tuple[Callable[..., Any], Callable[..., Any]]] = {
        Kind.UNARY_UNARY: (grpc.unary_unary_rpc_method_handler, servicer.unary_unary),
        Kind.UNARY_STREAM: (grpc.unary_stream_rpc_method_handler, servicer.unary_stream),
        Kind.STREAM_UNARY: (grpc.stream_unary_rpc_method_handler, servicer.stream_unary),
        Kind.STREAM_STREAM: (grpc.stream_stream_rpc_method_handler, servicer.stream_stream),
    }
    return {
        kind.method: made(behaviour, request_deserializer=Order.FromString, response_serializer=Order.SerializeToString)
        for kind, (made, behaviour) in behaviours.items()
    }


def started_server(
    telemetry: Telemetry, handlers: dict[str, Any], *, rpc_limit: int | None, thread_count: int
) -> tuple[grpc.Server, int]:
    """A server of these methods on a free port, and the port."""
    server = grpc.server(
        futures.ThreadPoolExecutor(thread_count),
        interceptors=telemetry.sync.server_interceptors(),
        options=[("grpc.so_reuseport", 0)],
        maximum_concurrent_rpcs=rpc_limit,
    )
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def serve(
    telemetry: Telemetry, witness: WitnessFile, ready_file: Path, *, rpc_limit: int | None, thread_count: int
) -> None:
    """Serve on a free port until SIGTERM, then cancel what is in flight."""
    handlers = method_handlers(Servicer(witness))
    server, port = started_server(telemetry, handlers, rpc_limit=rpc_limit, thread_count=thread_count)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    say_ready(ready_file, port)
    stop.wait()
    telemetry.server_stopping()
    server.stop(0).wait(STOP_BOUND_S)


def main() -> NoReturn:
    """Run one server process of the matrix."""
    options = servicer_options("tracelab.truth.sync_servicer", __doc__)
    telemetry = configure(TelemetrySettings.from_environ("truth-server", os.environ, log_to_stdout=False))
    open_spans = watch_open_spans(telemetry)
    witness = WitnessFile(options.witness)
    serve(telemetry, witness, options.ready_file, rpc_limit=options.rpc_limit, thread_count=options.threads)
    write_open_spans(options.open_spans, open_spans())
    telemetry.shutdown()
    os._exit(0)  # a servicer that outlives its server would keep the process, which waits for the pool's threads


if __name__ == "__main__":
    main()
