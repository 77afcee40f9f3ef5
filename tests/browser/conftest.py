"""A real backend process, a real Chromium, and pages in it that fail a test on any error of theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from tests.browser import sent_traces
from tests.browser.sent_traces import Sent
from tests.polling import eventually

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# First the one that never had a window: the same engine, and a test takes half the CPU.
BROWSER_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
HOW_TO_GET_ONE = "no Chromium found: install one (apt-get install chromium-headless-shell, or chromium)"
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Backend:
    """A backend process: where it takes telemetry in and where its page is."""

    url: str
    otlp_http: str

    def send(self, *all_sent: Sent) -> None:
        """Send traces and return when they are stored."""
        for sent in all_sent:
            sent_traces.send(self.otlp_http, sent)


OpenPage = Callable[..., Page]


def start_backend(folder: Path, *arguments: str) -> Iterator[Backend]:
    """Run a backend on free ports with a store in memory; print what it said when it ends badly."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / "ready.json"
    log = folder / "backend.log"
    ports = ["--otlp-grpc-port", "0", "--otlp-http-port", "0", "--query-port", "0"]
    files = ["--store", ":memory:", "--ready-file", str(ready), "--log-file", str(log)]
    with subprocess.Popen(
        [sys.executable, "-m", "otel.backend", *ports, *files, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            eventually(lambda: ready.exists() or process.poll() is not None, within_s=30)
            assert process.poll() is None, process.communicate()[0]
            addresses = json.loads(ready.read_text("utf-8"))["addresses"]
            yield Backend(f"http://{addresses['query']}", addresses["otlp_http"])
        finally:
            process.terminate()
            output, _ = process.communicate(timeout=20)
            if output:
                print(output)
            if log.exists() and "error" in log.read_text("utf-8"):
                print(log.read_text("utf-8")[-4000:])


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A backend with some calls of the last minutes in it; tests add to it, and never rely on what others added."""
    for running in start_backend(tmp_path_factory.mktemp("backend")):
        running.send(*sent_traces.crowd(18))
        yield running


# Not for the whole session: playwright's event loop would be in the way of other folders' asynchronous tests.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The system's Chromium; where there is none the tests are skipped, in CI they fail."""
    path = next(filter(None, map(which, BROWSER_NAMES)), None)
    with sync_playwright() as playwright:
        try:
            running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        except PlaywrightError as error:
            if os.environ.get("CI"):
                pytest.fail(f"{HOW_TO_GET_ONE}\n{error}")
            pytest.skip(HOW_TO_GET_ONE)
        yield running
        running.close()


@contextmanager
def opened_pages(browser: Browser, backend: Backend) -> Iterator[OpenPage]:
    """Yield what opens a path of the backend's page; `theme` and `width` as wanted. Errors on it fail at the end."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # A 404 or 400 that the page asked for on purpose is told on the page, and in the console by the browser.
        if message.type == "error" and "Failed to load resource" not in message.text:
            problems.append(message.text)

    def open_(path: str, *, theme: str = "light", width: int = 1280, height: int = 800, at: str = "") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce",
            timezone_id="UTC",
            locale="en-GB",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", note)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto((at or backend.url) + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def open_page(browser: Browser, backend: Backend) -> Iterator[OpenPage]:
    """Open a path of the backend's page; `theme` and `width` as wanted. Errors on the page fail the test."""
    with opened_pages(browser, backend) as open_:
        yield open_


@pytest.fixture
def view_trace(open_page: OpenPage) -> Callable[..., Page]:
    """Open a trace that was sent and return once its first row is drawn."""

    def view(sent: Sent, query: str = "", **how: object) -> Page:
        page = open_page(f"/trace/{sent.trace_id}{query}", **how)
        page.locator(".trace").wait_for()
        return page

    return view
