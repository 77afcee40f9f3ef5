"""Coroutines without an event loop, and waits that end with the call they belong to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from services.grpc_api.stepping import SuspendedError, finish, responses_of
from services.grpc_api.thread_calls import ThreadCall, ThreadEvent, current_call
from services.grpc_api.threads import ThreadApi

BOUND_S = 20.0


class Caller:
    """Stands for gRPC's context of a call that somebody may cut short."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[], None]] = []
        self._is_active = True

    def is_active(self) -> bool:
        return self._is_active

    def add_callback(self, callback: Callable[[], None]) -> bool:
        if self._is_active:
            self.callbacks.append(callback)
        return self._is_active

    def leave(self) -> None:
        self._is_active = False
        for callback in self.callbacks:
            callback()


def test_what_would_suspend_is_refused_with_its_name() -> None:
    async def waits_for_a_loop() -> None:
        await asyncio.sleep(0)

    with pytest.raises(SuspendedError, match="waits_for_a_loop"):
        finish(waits_for_a_loop())


def test_an_abandoned_stream_of_responses_cleans_up_at_once() -> None:
    cleaned: list[str] = []

    async def responses() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            cleaned.append("up")

    stream = responses_of(responses())
    assert next(stream) == 1
    stream.close()
    assert cleaned == ["up"]


@pytest.mark.parametrize("is_over_before", [True, False], ids=["before it waits", "while it waits"])
def test_a_wait_ends_as_cancelled_when_its_call_is_over(is_over_before: bool) -> None:
    caller: Any = Caller()
    if is_over_before:
        caller.leave()
    else:
        leaving = threading.Timer(0.05, caller.leave)
        leaving.start()
    token = current_call.set(ThreadCall(caller))
    try:
        with pytest.raises(asyncio.CancelledError):
            ThreadEvent().block(BOUND_S)
    finally:
        current_call.reset(token)


def test_a_call_asks_grpc_once_however_often_it_waits() -> None:
    caller: Any = Caller()
    token = current_call.set(ThreadCall(caller))
    try:
        for _ in range(100):
            ThreadEvent().block(0.0)
    finally:
        current_call.reset(token)
    assert len(caller.callbacks) == 1


def test_side_by_side_gives_answers_in_their_order_and_never_more_than_the_limit_at_once() -> None:
    api = ThreadApi()
    lock = threading.Lock()
    inside, most = 0, 0

    def work(number: int) -> Callable[[], Any]:
        async def do() -> int:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            await api.sleep(0.002)
            with lock:
                inside -= 1
            return number

        return do

    assert finish(api.gather([work(number) for number in range(40)], 4)) == list(range(40))
    assert 1 < most <= 4


def test_after_the_first_failure_no_other_work_begins() -> None:
    begun: list[int] = []

    def work(number: int) -> Callable[[], Any]:
        async def do() -> None:
            begun.append(number)
            raise ValueError(str(number))

        return do

    with pytest.raises(ValueError, match="0"):
        finish(ThreadApi().gather([work(number) for number in range(40)], 1))
    assert begun == [0]
