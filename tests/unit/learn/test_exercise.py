"""What a learner's file can do wrong is answered with the place and the reason, however it fails or fails to end."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tracelab.learn.exercise import ExerciseError, answer_of, check
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal

WHERE = "answer.py"
STARTER = "async def answer(question):\n    return 0\n"


async def _run(lab: Lab) -> Outcome:
    raise AssertionError("only the exercise runs here")


async def _check(lab: Lab, names: Mapping[str, object]) -> Outcome:
    return Outcome((equal("the answer", 42, await answer_of(names, "answer(question)", "what?")),))


LESSON = Lesson(
    slug="answer",
    chapter=Chapter.READ_A_TRACE,
    number=1,
    question="what?",
    prediction=Prediction(("a", "b", "c"), "a"),
    run=_run,
    notice="",
    explain="",
    source="",
    try_it=TryIt(task="", hint="", solution="", starter=STARTER, check=_check),
)


def checked(source: str, home: Path, *, within_s: float = 60) -> Outcome:
    return check(LESSON, source, WHERE, home, {}, within_s=within_s)


def test_a_right_answer_passes_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    assert checked("async def answer(question):\n    return 42\n", tmp_path).passed
    assert not checked(STARTER, tmp_path).passed


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("async def answer(:\n", r"answer\.py:1: SyntaxError: invalid syntax$"),
        ("raise SystemExit(3)\n", r"answer\.py:1: SystemExit: 3$"),
        ("async def answer(question):\n    raise SystemExit(3)\n", r"answer\.py:2: SystemExit: 3$"),
        ("async def reply(question):\n    return 42\n", r"answer\.py does not define answer$"),
        ("answer = 42\n", "answer is no function$"),
        ("answer = max\n", "answer returned str, not a coroutine$"),
        ("async def answer():\n    return 42\n", r"answer cannot be called as answer\(question\): too many positional"),
        ("def answer(question):\n    return 42\n", "answer returned int, not a coroutine$"),
        (
            "async def ask(question):\n    return 42\n\nasync def answer(question):\n    return ask(question)\n",
            "answer returned a coroutine that nobody awaited$",
        ),
        ("async def answer(question):\n    return 1 / 0\n", r"answer\.py:2: ZeroDivisionError: division by zero$"),
    ],
)
def test_a_mistake_is_said_in_a_sentence_with_what_to_do(source: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ExerciseError, match=said) as caught:
        checked(source, tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("while True:\n    pass\n", r"answer\.py:[12]: "),
        ("async def answer(question):\n    while True:\n        pass\n", r"answer\.py:[23]: "),
        ("import asyncio\n\nasync def answer(question):\n    await asyncio.Event().wait()\n", r"answer\.py: "),
        ("import threading\n\nasync def answer(question):\n    threading.Event().wait()\n", r"answer\.py:4: "),
    ],
    ids=["at import", "without await", "for an event", "in a blocking call"],
)
def test_what_never_ends_is_stopped_and_said(source: str, place: str, tmp_path: Path) -> None:
    with pytest.raises(ExerciseError, match=place + r"not done after 0\.2 s$"):
        checked(source, tmp_path, within_s=0.2)


def test_one_ctrl_c_ends_a_loop_that_never_awaits(tmp_path: Path) -> None:
    pressed = "import os, signal\n\nasync def answer(question):\n    os.kill(os.getpid(), signal.SIGINT)\n"
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        checked(f"{pressed}    while True:\n        pass\n", tmp_path)
    assert signal.getsignal(signal.SIGINT) is before
