"""Calls a server in ways whose ending is known: answered, cut by a deadline, cancelled, of a method that it has not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import grpc
import grpc.aio
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from tracelab.own.contract import Method, RpcKind

UNKNOWN_METHOD: Final = "NoSuchMethod"
HELD_S: Final = 0.3
"""After this a call is cut whose stream of requests stays open, and any that takes longer than twice as long."""
LEAST_CUT_S: Final = 0.01
"""A shorter deadline may pass before the server has heard of the call."""

Metadata = Sequence[tuple[str, str | bytes]]
Traced = Callable[[str], AbstractContextManager[str]]
"""Opens a span of that name around a call, and gives the id of its trace."""


class Ending(StrEnum):
    """How a call is made to end."""

    ANSWER = "answer"
    DEADLINE = "deadline"
    CANCEL = "cancel"
    UNKNOWN_METHOD = "unknown method"


@dataclass(frozen=True, slots=True)
class Asked:
    """A method that may be called, and with what."""

    method: Method
    requests: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Probed:
    """A call as its client saw it. `cut_s` is when it was cut short, None for a call that was left alone.

    `duration_s` is the whole call's, `streamed_s` lies between its first and its last answer, `first_answer_s` before
    the first (0 where there was none). `keeps_open` calls never ended their stream of requests. A probe that was not
    made has a `skipped` sentence, and nothing else of worth.
    """

    method: Method
    ending: Ending
    trace_id: str = ""
    code: str = ""
    message: str = ""
    response_count: int = 0
    duration_s: float = 0.0
    streamed_s: float = 0.0
    cut_s: float | None = None
    keeps_open: bool = False
    skipped: str = ""
    first_answer_s: float = 0.0


class Prober:
    """Makes the calls of a check, one after the other, on one channel and its event loop."""

    def __init__(self, channel: grpc.aio.Channel, traced: Traced, timeout_s: float, metadata: Metadata = ()) -> None:
        self._channel = channel
        self._traced = traced
        self._timeout_s = timeout_s
        self._metadata = tuple(metadata)

    async def method(self, asked: Asked) -> list[Probed]:
        """Call a method until it answers, then again with a deadline and with a cancel that come before it can."""
        answered = await self.call(asked, Ending.ANSWER)
        if answered.code == "DEADLINE_EXCEEDED":
            answered = replace(answered, ending=Ending.DEADLINE, cut_s=self._timeout_s)
        cut_s = HELD_S if asked.method.takes_a_stream else min(HELD_S, answered.duration_s / 2)
        probed = [answered]
        for ending in (Ending.DEADLINE, Ending.CANCEL):
            if ending is answered.ending:
                continue
            if cut_s < LEAST_CUT_S:
                said = f"it answers in {answered.duration_s * 1e3:.1f} ms, too soon for it"
                probed.append(Probed(asked.method, ending, skipped=said))
            else:
                probed.append(await self.call(asked, ending, cut_s))
        await asyncio.sleep(min(answered.duration_s, self._timeout_s))  # a thread that was cut short works on
        return probed

    async def unknown_method(self, service_name: str) -> Probed:
        """Call a method that no server has."""
        name = f"{service_name}/{UNKNOWN_METHOD}"
        method = Method(name, RpcKind.UNARY, Empty, Empty)
        return await self.call(Asked(method, (Empty(),)), Ending.UNKNOWN_METHOD)

    async def call(self, asked: Asked, ending: Ending, cut_s: float | None = None) -> Probed:
        """Make one call; a failed one is a value, no exception."""
        keeps_open = asked.method.takes_a_stream and cut_s is not None
        timeout_s = cut_s if ending is Ending.DEADLINE and cut_s is not None else self._timeout_s
        with self._traced(f"check {ending.value}") as trace_id:
            begin_s = time.perf_counter()
            call = self._started(asked, timeout_s, keeps_open=keeps_open)
            if ending is Ending.CANCEL:
                asyncio.get_running_loop().call_later(cut_s or 0.0, call.cancel)
            times_s = [each async for each in _answers(call, asked.method)]
            code, message = await call.code(), await call.details()
            duration_s = time.perf_counter() - begin_s
        return Probed(
            asked.method,
            ending,
            trace_id,
            code.name,
            message or "",
            len(times_s),
            duration_s,
            times_s[-1] - times_s[0] if times_s else 0.0,
            cut_s,
            keeps_open,
            first_answer_s=times_s[0] - begin_s if times_s else 0.0,
        )

    def _started(self, asked: Asked, timeout_s: float, *, keeps_open: bool) -> Any:
        method = asked.method
        makes: dict[tuple[bool, bool], Callable[..., Any]] = {
            (False, False): self._channel.unary_unary,
            (False, True): self._channel.unary_stream,
            (True, False): self._channel.stream_unary,
            (True, True): self._channel.stream_stream,
        }
        make = makes[method.takes_a_stream, method.answers_with_a_stream]
        multicallable = make(method.path, method.request_type.SerializeToString, None)
        given = _requests(asked.requests, keeps_open=keeps_open) if method.takes_a_stream else asked.requests[0]
        return multicallable(given, timeout=timeout_s, metadata=self._metadata)


async def _requests(requests: Sequence[Message], *, keeps_open: bool) -> AsyncIterator[Message]:
    for request in requests:
        yield request
    if keeps_open:
        await asyncio.Event().wait()


async def _answers(call: Any, method: Method) -> AsyncIterator[float]:
    """Yield the moment of each answer, in seconds, until the call is over, however it ends."""
    try:
        if not method.answers_with_a_stream:
            await call
            yield time.perf_counter()
            return
        async for _ in call:
            yield time.perf_counter()
    except grpc.aio.AioRpcError:
        return
    except asyncio.CancelledError:
        if not call.cancelled():  # it was this task that somebody cancelled
            raise
