"""`python -m tests.browser.capture [FOLDER]`: takes the README's picture of the page, docs/images/page.png.

Starts the services, runs the demo a few times and looks at its report trace, in both themes (page.png is the light
one, page-dark.png the dark one).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from shutil import which
from typing import Literal

from playwright.sync_api import ViewportSize, sync_playwright

from tests.browser.conftest import ARGUMENTS, BROWSER_NAMES
from tests.browser.real_calls import ROOT, real_stack

RUN_COUNT = 6
"""The first runs make connections; the last one is like any later call."""

SIZE = ViewportSize(width=1280, height=720)
THEMES: tuple[tuple[Literal["light", "dark"], str], ...] = (("light", "page.png"), ("dark", "page-dark.png"))


def main() -> int:
    """Write the pictures and say where they are."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    executable = next(filter(None, map(which, BROWSER_NAMES)), None)
    with tempfile.TemporaryDirectory() as home, real_stack(Path(home)) as stack, sync_playwright() as playwright:
        trace_id = [stack.demo() for _ in range(RUN_COUNT)][-1]
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        for theme, name in THEMES:
            page = browser.new_page(
                viewport=SIZE, color_scheme=theme, device_scale_factor=2, timezone_id="UTC", reduced_motion="reduce"
            )
            page.goto(f"{stack.url}/trace/{trace_id}")
            page.locator(".wf-row[data-span]").nth(4).click()
            page.locator(".span-panel h2").wait_for()
            page.screenshot(path=folder / name)
            print(folder / name)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
