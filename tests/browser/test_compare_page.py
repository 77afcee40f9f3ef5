"""The page of a latency comparison, opened from the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.unit.compare.made_run import made_run
from tracelab.compare.views.html_page import page_of


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_is_no_wider_than_its_screen(width: int, tmp_path: Path, browser: Browser) -> None:
    file = tmp_path / "page.html"
    store = "/a/folder/with/a/name/that/is/longer/than/any/telephone/is/wide/telemetry.sqlite"
    file.write_text(page_of(replace(made_run(), store_file=store)), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 800}, offline=True)
    page = context.new_page()

    page.goto(file.as_uri())

    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
