"""The matrix's own server process on grpc.aio: one method per RPC kind, a behaviour that the caller names in metadata.

Run as `python -m tracelab.truth.servicer --ready-file FILE --witness FILE --open-spans FILE`. Prints nothing; ends on
SIGTERM, with no grace for calls in flight, which is what the ending "server stopped" needs, and then writes which of
its spans never ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

import grpc
from grpc_status import rpc_status

from generated.order_pb2 import Order
from otel.instrument import Telemetry, TelemetrySettings, configure
from tracelab.truth.endings import SERVICE, Kind
from tracelab.truth.open_spans import watch_open_spans, write_open_spans
from tracelab.truth.served_call import ANSWER_COUNT, LARGE_NOTE, Call, rich_not_found, say_ready, servicer_options
from tracelab.truth.witness import WitnessFile

Context: TypeAlias = "grpc.aio.ServicerContext[Order, Order]"


async def behave(call: Call, context: Context) -> list[Any]:
    """Do what the behaviour says and return the answers to send; ends by raising where the behaviour does."""
    match call.behaviour:
        case "abort":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such order")
        case "abort_with_status":
            await context.abort_with_status(rpc_status.to_status(rich_not_found()))
        case "set_code":
            context.set_code(grpc.StatusCode.NOT_FOUND)
            context.set_details("no such order")
        case "raise":
            raise ValueError("the servicer's own mistake")
        case "abort_deadline":
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "its own budget ran out")
        case "wait":
            await asyncio.Event().wait()
        case "swallow":
            await _swallow_cancel(call)
        case "fail_twice" if call.previous_attempts < 2:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        case "fail_always":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        case "answer_large" | "answer_large_then_wait":
            return [Order(note=LARGE_NOTE)]
        case "answer_wrong_type":
            return ["not a message"]
    return [Order(order_id=str(number)) for number in range(1, ANSWER_COUNT + 1)]


async def behave_after_first_answer(call: Call, context: Context) -> None:
    """What a streaming servicer does once its first answer is sent."""
    if call.behaviour in {"answer_then_wait", "answer_large_then_wait"}:
        await asyncio.Event().wait()
    if call.behaviour == "abort_after_messages":
        await context.abort(grpc.StatusCode.INTERNAL, "lost the rest")


async def _swallow_cancel(call: Call) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        call.saw("caught", error="CancelledError")


class Servicer:
    """The behaviours in the four forms, and in the two forms that the stock library breaks."""

    def __init__(self, witness: WitnessFile) -> None:
        self._witness = witness

    async def unary_unary(self, _request: Order, context: Context) -> Any:
        """Answer once."""
        return await self._ending(context, "UnaryUnary", lambda call: self._one_answer(call, context, None))

    async def stream_unary(self, requests: AsyncIterator[Order], context: Context) -> Any:
        """Read every message unless the behaviour says otherwise, and answer once."""
        return await self._ending(context, "StreamUnary", lambda call: self._one_answer(call, context, requests))

    async def unary_stream(self, _request: Order, context: Context) -> AsyncIterator[Any]:
        """Answer several times."""
        async for answer in self._answers(context, "UnaryStream", None):
            yield answer

    async def stream_stream(self, requests: AsyncIterator[Order], context: Context) -> AsyncIterator[Any]:
        """Read every message unless the behaviour says otherwise, and answer several times."""
        async for answer in self._answers(context, "StreamStream", requests):
            yield answer

    async def unary_stream_writer(self, _request: Order, context: Context) -> None:
        """Answer by `context.write`."""
        async for answer in self._answers(context, "UnaryStreamWriter", None):
            await context.write(answer)

    async def stream_stream_writer(self, requests: AsyncIterator[Order], context: Context) -> None:
        """Answer by `context.write`."""
        async for answer in self._answers(context, "StreamStreamWriter", requests):
            await context.write(answer)

    def unary_unary_plain(self, _request: Order, context: Any) -> Order:
        """Answer from a plain function, which grpc runs in a thread."""
        call = Call.of(self._witness, context, "UnaryUnaryPlain")
        call.saw("returned")
        return Order(order_id="1")

    def stream_unary_plain(self, requests: Iterator[Order], context: Any) -> Order:
        """Read all in a thread, answer once."""
        call = Call.of(self._witness, context, "StreamUnaryPlain")
        for number, _ in enumerate(requests, start=1):
            call.saw("got message", message_number=number)
        call.saw("returned")
        return Order(order_id="1")

    def unary_stream_plain(self, _request: Order, context: Any) -> Iterator[Order]:
        """Answer several times from a thread."""
        yield from self._plain_answers(Call.of(self._witness, context, "UnaryStreamPlain"))

    def stream_stream_plain(self, requests: Iterator[Order], context: Any) -> Iterator[Order]:
        """Read all in a thread, then answer several times."""
        call = Call.of(self._witness, context, "StreamStreamPlain")
        for number, _ in enumerate(requests, start=1):
            call.saw("got message", message_number=number)
        yield from self._plain_answers(call)

    def _plain_answers(self, call: Call) -> Iterator[Order]:
        for number in range(1, ANSWER_COUNT + 1):
            call.saw("sent message", message_number=number)
            yield Order(order_id=str(number))
        call.saw("returned")

    async def _one_answer(self, call: Call, context: Context, requests: AsyncIterator[Order] | None) -> Any:
        if requests is not None:
            await _read(call, requests)
        return (await behave(call, context))[0]

    async def _ending(self, context: Context, method: str, answer: Callable[[Call], Awaitable[Any]]) -> Any:
        call = Call.of(self._witness, context, method)
        try:
            reply = await answer(call)
        except BaseException as error:
            call.saw("raised", error=type(error).__name__)
            raise
        call.saw("returned")
        return reply

    async def _answers(
        self, context: Context, method: str, requests: AsyncIterator[Order] | None
    ) -> AsyncIterator[Any]:
        call = Call.of(self._witness, context, method)
        try:
            if requests is not None:
                await _read(call, requests)
            for number, reply in enumerate(await behave(call, context), start=1):
                call.saw("sent message", message_number=number)
                yield reply
                await behave_after_first_answer(call, context)
        except BaseException as error:
            call.saw("raised", error=type(error).__name__)
            raise
        call.saw("returned")


async def _read(call: Call, requests: AsyncIterator[Order]) -> None:
    if call.behaviour in {"answer_then_wait", "wait", "swallow"}:
        return
    number = 0
    async for _ in requests:
        number += 1
        call.saw("got message", message_number=number)
        if call.behaviour == "return_early" and number == ANSWER_COUNT:
            return


def method_handlers(servicer: Servicer) -> dict[str, Any]:
    """The methods of the service by name: the four kinds, and their forms with another suffix."""
    factories: dict[Kind, Callable[..., Any]] = {
        Kind.UNARY_UNARY: grpc.unary_unary_rpc_method_handler,
        Kind.UNARY_STREAM: grpc.unary_stream_rpc_method_handler,
        Kind.STREAM_UNARY: grpc.stream_unary_rpc_method_handler,
        Kind.STREAM_STREAM: grpc.stream_stream_rpc_method_handler,
    }
    behaviours: dict[tuple[Kind, str], Callable[..., Any]] = {
        (Kind.UNARY_UNARY, ""): servicer.unary_unary,
        (Kind.UNARY_STREAM, ""): servicer.unary_stream,
        (Kind.STREAM_UNARY, ""): servicer.stream_unary,
        (Kind.STREAM_STREAM, ""): servicer.stream_stream,
        (Kind.UNARY_STREAM, "Writer"): servicer.unary_stream_writer,
        (Kind.STREAM_STREAM, "Writer"): servicer.stream_stream_writer,
        (Kind.UNARY_UNARY, "Plain"): servicer.unary_unary_plain,
        (Kind.UNARY_STREAM, "Plain"): servicer.unary_stream_plain,
        (Kind.STREAM_UNARY, "Plain"): servicer.stream_unary_plain,
        (Kind.STREAM_STREAM, "Plain"): servicer.stream_stream_plain,
    }
    return {
        kind.method + suffix: factories[kind](
            behaviour, request_deserializer=Order.FromString, response_serializer=Order.SerializeToString
        )
        for (kind, suffix), behaviour in behaviours.items()
    }


async def started_server(
    telemetry: Telemetry, handlers: dict[str, Any], rpc_limit: int | None
) -> tuple[grpc.aio.Server, int]:
    """A server of these methods on a free port, and the port."""
    server = telemetry.server(options=[("grpc.so_reuseport", 0)], maximum_concurrent_rpcs=rpc_limit)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


async def serve(telemetry: Telemetry, witness: WitnessFile, ready_file: Path, rpc_limit: int | None) -> None:
    """Serve on a free port until SIGTERM, then cancel what is in flight and leave."""
    server, port = await started_server(telemetry, method_handlers(Servicer(witness)), rpc_limit)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    say_ready(ready_file, port)
    await stop.wait()
    telemetry.server_stopping()
    await server.stop(None)


def main() -> NoReturn:
    """Run one server process of the matrix."""
    options = servicer_options("tracelab.truth.servicer", __doc__)
    telemetry = configure(TelemetrySettings.from_environ("truth-server", os.environ, log_to_stdout=False))
    open_spans = watch_open_spans(telemetry)
    witness = WitnessFile(options.witness)
    asyncio.run(serve(telemetry, witness, options.ready_file, options.rpc_limit))
    write_open_spans(options.open_spans, open_spans())
    telemetry.shutdown()
    witness.close()
    raise SystemExit(0)


if __name__ == "__main__":
    main()
