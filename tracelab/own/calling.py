"""One call of any kind to any method, with all that came back: messages, status, metadata, how long it took."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from tracelab.own.contract import Method
from tracelab.own.target import Metadata

LOST_STATUS = "Internal error from Core"
"""What `grpc.aio` says where a server ended a call while requests were still written: the server's status is lost."""

MetadataPairs = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How a call ended. `code` is the status as gRPC names it; lengths are in seconds."""

    code: grpc.StatusCode
    message: str
    response_count: int
    duration_s: float
    initial_metadata: MetadataPairs
    trailing_metadata: MetadataPairs

    @property
    def is_ok(self) -> bool:
        """Whether the call ended with OK."""
        return self.code is grpc.StatusCode.OK


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a call takes along."""

    timeout_s: float
    metadata: Metadata = ()
    compression: grpc.Compression | None = None


async def make_call(
    channel: grpc.aio.Channel,
    method: Method,
    requests: Sequence[Message],
    options: CallOptions,
    on_response: Callable[[Message], None],
) -> CallOutcome:
    """Make the call and hand each answer to `on_response` as it arrives. A failed call is an outcome, no exception.

    Of an answer that is none of the method's type only its failure is told, as INTERNAL: gRPC's library would give None
    and say OK.
    """
    begin = time.perf_counter()
    count = 0
    call = _started(channel, method, requests, options)
    try:
        async for body in _bodies(call, method):
            on_response(method.response_type.FromString(body))
            count += 1
        code, message = await call.code(), await call.details()
        metadata = _pairs(await call.initial_metadata()), _pairs(await call.trailing_metadata())
    except grpc.aio.AioRpcError as error:
        code, message = error.code(), error.details()
        if message == LOST_STATUS:
            message = "the server ended the call while requests were sent, and gRPC's library lost its status"
        metadata = _pairs(error.initial_metadata()), _pairs(error.trailing_metadata())
    except DecodeError:
        code, metadata = grpc.StatusCode.INTERNAL, ((), ())
        message = f"the answer is no {method.response_type.DESCRIPTOR.full_name}"
    finally:
        call.cancel()
    return CallOutcome(code, message or "", count, time.perf_counter() - begin, *metadata)


def _started(channel: grpc.aio.Channel, method: Method, requests: Sequence[Message], options: CallOptions) -> Any:
    # A stream of one message is sent as one message, the same on the wire: no later write can lose the status.
    is_stream = method.takes_a_stream and len(requests) != 1
    make: Any = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }[is_stream, method.answers_with_a_stream]
    # Answers are parsed here: where the library's parser raises, the caller gets None and OK.
    multicallable = make(method.path, method.request_type.SerializeToString, None)
    given = _each(requests) if is_stream else requests[0]
    return multicallable(given, timeout=options.timeout_s, metadata=options.metadata, compression=options.compression)


async def _bodies(call: Any, method: Method) -> AsyncIterator[bytes]:
    if not method.answers_with_a_stream:
        yield await call
        return
    async for body in call:
        yield body


async def _each(requests: Sequence[Message]) -> AsyncIterator[Message]:
    for request in requests:
        yield request


def _pairs(metadata: Any) -> MetadataPairs:
    return tuple((str(key), value) for key, value in metadata or ())
