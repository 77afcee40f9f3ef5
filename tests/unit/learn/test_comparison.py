"""A comparison inside a lesson ends with the lesson."""

from __future__ import annotations

import asyncio

import pytest

from tracelab.learn.comparison import compare


async def test_an_interrupted_comparison_gives_no_verdict_and_ends_its_lesson() -> None:
    begun = asyncio.Event()

    async def call() -> None:
        begun.set()
        await asyncio.sleep(0)

    comparing = asyncio.create_task(compare({"one": call, "other": call}))
    await begun.wait()
    comparing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await comparing
