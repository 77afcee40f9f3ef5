"""A variant that makes a real call: one RPC with one request, on a channel of its own. Belongs to one event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote

import grpc
import grpc.aio
from google.protobuf.message import Message
from opentelemetry import baggage, context

from tracelab.compare.measurement.client_tracing import ClientTracing, begin_note
from tracelab.compare.measurement.request_sequence import CallRequests, RequestSequence
from tracelab.compare.measurement.runs import Outcome
from tracelab.compare.question.rpcs import Rpc
from tracelab.compare.statistics.sample import OK
from tracelab.own.failures import unreachable
from tracelab.own.target import Metadata, Target

MAX_RECEIVED_BYTES = 64 * 1024 * 1024
_COMPRESSION = {
    "none": grpc.Compression.NoCompression,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}
_BAGGAGE_KEY = "fault"
_WRONG_REQUEST = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED)


class CallManner(Protocol):
    """How a call is made."""

    @property
    def instrumentation(self) -> str:
        """How the client is traced: corrected, stock or off."""

    @property
    def compression(self) -> str:
        """What compresses its messages: none, gzip or deflate."""

    @property
    def channel(self) -> str:
        """Whose channel it takes: reuse, per-call or local-pool."""

    @property
    def deadline_s(self) -> float | None:
        """Its deadline; None sends none."""


class RpcVariant:
    """Calls `rpc` with one of `sequence` after another; an async context manager that owns its channel.

    `channel=per-call` opens and closes a channel around every call; with `local-pool` such a channel shares no
    connection with any other. Failed calls are outcomes, not errors.
    """

    def __init__(
        self,
        manner: CallManner,
        rpc: Rpc,
        sequence: RequestSequence,
        target: Target,
        tracing: ClientTracing,
        *,
        metadata: Metadata = (),
        fault: str = "",
    ) -> None:
        self._manner = manner
        self._rpc = rpc
        self._sequence = sequence
        self._target = target
        self._tracing = tracing
        self._channel: grpc.aio.Channel | None = None
        self._callable: Any = None
        self._context = context.get_current()
        self._metadata: Metadata | None = metadata or None
        self._last_error: grpc.aio.AioRpcError | None = None
        if fault and manner.instrumentation == "off":
            self._metadata = (*metadata, ("baggage", f"{_BAGGAGE_KEY}={quote(fault)}"))
        elif fault:
            self._context = baggage.set_baggage(_BAGGAGE_KEY, fault, self._context)

    async def __aenter__(self) -> Self:
        if self._manner.channel == "reuse":
            self._channel = self._open()
            self._callable = self._multicallable(self._channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._channel is not None:
            await self._channel.close()

    @property
    def name(self) -> str:
        """What is called, in short."""
        return self._rpc.name

    async def refusal(self) -> str:
        """Make one call, and tell why it was refused as asked wrongly; "" if it was not.

        TargetError where no server answered it.
        """
        self._last_error = None
        await self.call()
        error = self._last_error
        if error is None:
            return ""
        if failure := unreachable(error.code(), error.details() or "", self._target):
            raise failure
        return error.details() or "" if error.code() in _WRONG_REQUEST else ""

    def begin_run(self, place: int) -> None:
        """Let the next call be that of `place` in the sequence."""
        self._sequence.start_at(place)

    async def call(self) -> Outcome:
        """Make one call and wait for its end."""
        note = begin_note()
        token = context.attach(self._context)
        try:
            if self._callable is not None:
                await self._finish(self._callable)
            else:
                async with self._open() as channel:
                    await self._finish(self._multicallable(channel))
        except grpc.aio.AioRpcError as error:
            self._last_error = error
            return Outcome(error.code().name, note.trace_id)
        finally:
            context.detach(token)
        return Outcome(OK, note.trace_id)

    async def _finish(self, multicallable: Any) -> None:
        given = self._sequence.following()
        requests = _messages(given) if self._rpc.client_streams else given[0]
        call = multicallable(requests, timeout=self._manner.deadline_s, metadata=self._metadata)
        if not self._rpc.server_streams:
            await call
            return
        try:
            async for _ in call:
                pass
        finally:
            call.cancel()

    def _open(self) -> grpc.aio.Channel:
        local = int(self._manner.channel == "local-pool")
        options = [
            ("grpc.max_receive_message_length", MAX_RECEIVED_BYTES),
            ("grpc.use_local_subchannel_pool", local),
        ]
        return self._tracing.channel(self._target, options, _COMPRESSION[self._manner.compression])

    def _multicallable(self, channel: grpc.aio.Channel) -> Any:
        make: Callable[..., Any] = {
            (False, False): channel.unary_unary,
            (False, True): channel.unary_stream,
            (True, False): channel.stream_unary,
            (True, True): channel.stream_stream,
        }[self._rpc.client_streams, self._rpc.server_streams]
        return make(
            self._rpc.path,
            request_serializer=self._rpc.request_class.SerializeToString,
            response_deserializer=self._rpc.response_class.FromString,
        )


async def _messages(requests: CallRequests) -> AsyncIterator[Message]:
    for request in requests:
        yield request
