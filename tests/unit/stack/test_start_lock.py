"""The lock of a home: the second command waits for the first, or says who has it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tracelab.stack import StackError
from tracelab.stack.start_lock import StartLock


def test_the_second_says_who_it_waits_for_and_goes_on_when_the_first_is_done(tmp_path: Path) -> None:
    first = StartLock(tmp_path / "home").acquire(pytest.fail)
    said: list[str] = []
    waits = threading.Event()
    got: list[bool] = []

    def say(text: str) -> None:
        said.append(text)
        waits.set()

    def second() -> None:
        with StartLock(tmp_path / "home").acquire(say):
            got.append(True)

    thread = threading.Thread(target=second)
    thread.start()
    try:
        assert waits.wait(10)
        assert got == []
    finally:
        first.release()
        thread.join(10)
    assert said == [f"another ./lab (pid {os.getpid()}) uses {tmp_path / 'home'}; waiting for it"]
    assert got == [True]


def test_whoever_waited_long_enough_is_told_what_else_to_do(tmp_path: Path) -> None:
    with (
        StartLock(tmp_path).acquire(pytest.fail),
        pytest.raises(StackError, match=rf"pid {os.getpid()}") as refused,
    ):
        StartLock(tmp_path).acquire(lambda _: None, within_s=0.0)
    assert "--ports auto" in refused.value.hint


def test_a_lock_that_was_given_up_can_be_taken_again(tmp_path: Path) -> None:
    with StartLock(tmp_path).acquire(pytest.fail) as lock:
        lock.release()
        with StartLock(tmp_path).acquire(pytest.fail):
            pass
