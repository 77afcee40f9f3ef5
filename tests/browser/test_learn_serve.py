"""The lessons served by the real command: a learner runs one in the browser and sees its trace beside it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import ROOT

RUN_BOUND_MS = 90_000


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "clients.cli", "learn", "--serve", "--port", "0"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "LAB_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[2]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)


def test_a_learner_runs_a_lesson_and_sees_its_trace(address: str, browser: Browser) -> None:
    context = browser.new_context()
    problems: list[str] = []
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    page.get_by_role("link", name="retry").click()
    expect(page.locator(".facts")).to_have_count(0)

    page.get_by_role("button", name="Run it").click(timeout=RUN_BOUND_MS)
    expect(page.locator(".facts li.held").first).to_be_visible(timeout=RUN_BOUND_MS)
    expect(page.locator(".facts li.failed")).to_have_count(0)
    page.locator("iframe").first.scroll_into_view_if_needed()
    expect(page.frame_locator("iframe").first.locator(".wf-row[data-span]")).to_have_count(5)
    assert problems == []
    context.close()
