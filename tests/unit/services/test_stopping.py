"""Stop signals become an event, also where the event loop cannot take signals (Windows)."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import NoReturn

import pytest

from services import stopping
from services.grpc_api.stepping import finish
from services.stopping import blocking_stop_signals, stop_signals


def refuse(*_: object) -> NoReturn:
    raise NotImplementedError


@pytest.fixture(params=["loop", "no loop support"])
def signal_support(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no loop support":
        monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", refuse)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
@pytest.mark.usefixtures("signal_support")
async def test_a_stop_signal_sets_the_event_and_the_old_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with stop_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), timeout=10)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.usefixtures("signal_support")
async def test_the_second_signal_ends_the_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    exits: list[int] = []
    ended = asyncio.Event()

    def end(code: int) -> None:
        exits.append(code)
        ended.set()

    monkeypatch.setattr(os, "_exit", end)
    async with stop_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(stop.wait(), timeout=10)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(ended.wait(), timeout=10)
    assert exits == [130]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_without_a_loop_a_stop_signal_ends_the_wait_and_the_old_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with blocking_stop_signals() as stop:
        sender = threading.Thread(target=os.kill, args=(os.getpid(), number))
        sender.start()
        finish(stop.wait())
        sender.join()
    assert signal.getsignal(signal.SIGTERM) == before


def test_without_a_loop_too_the_second_signal_ends_the_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    exits: list[int] = []
    monkeypatch.setattr(os, "_exit", exits.append)
    with blocking_stop_signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        finish(stop.wait())
        os.kill(os.getpid(), signal.SIGTERM)
        assert exits == [130]


def test_ctrl_break_is_a_stop_signal_where_there_is_one() -> None:
    assert signal.SIGTERM in stopping.STOP_SIGNALS
    assert signal.SIGINT in stopping.STOP_SIGNALS
    assert hasattr(signal, "SIGBREAK") == any(each.name == "SIGBREAK" for each in stopping.STOP_SIGNALS)
