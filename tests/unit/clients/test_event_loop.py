"""A client that is told to end by a signal: its calls are cancelled in order."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from clients.event_loop import run_until_signal

pytestmark = pytest.mark.skipif(os.name == "nt", reason="an event loop takes no signals there")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_cancels_the_calls_and_lets_them_clean_up(name: str) -> None:
    number = signal.Signals[name]
    before = signal.getsignal(number)
    ended: list[str] = []

    async def calls() -> None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # the loop still runs
            ended.append("cancelled")
            raise

    with pytest.raises(SystemExit) as ending:
        run_until_signal(calls())
    assert (ending.value.code, ended) == (128 + number, ["cancelled"])
    assert signal.getsignal(number) == before


def test_without_a_signal_the_result_comes_back() -> None:
    async def calls() -> int:
        return 3

    assert run_until_signal(calls()) == 3
