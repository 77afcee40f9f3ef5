"""WCAG AA by axe on every view, in both themes, wide and narrow."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Backend, OpenPage
from tests.browser.sent_metrics import GET, calls, of_service, send_metrics
from tests.browser.sent_traces import failing, report, streaming

REPORT, FAILING, STREAM = report(0x701), failing(0x702), streaming(0x703)
RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
}
PLACES = {
    "search": ("/search", ".results li"),
    "nothing-found": ('/search?tags={"no.such":"value"}', ".state"),
    "waterfall": (f"/trace/{FAILING.trace_id}", ".wf-row"),
    "span": (f"/trace/{FAILING.trace_id}?span=00000000000000b7&uiFind=order", ".span-panel h2"),
    "sequence": (f"/trace/{FAILING.trace_id}?view=sequence", ".sq-step"),
    "operations": (f"/trace/{FAILING.trace_id}?view=operations", ".operations tbody tr"),
    "stream": (f"/trace/{FAILING.trace_id}?view=logs", ".tr-stage .ls-line"),
    "compare": (f"/trace/{REPORT.trace_id}...{FAILING.trace_id}", ".cm-table"),
    "compare-choose": (f"/trace/{REPORT.trace_id}...", ".cm-recent a"),
    "map": ("/map", ".mp-box"),
    "metrics": ("/monitor", ".ht-cell"),
    "logs": (f"/logs?traceId={FAILING.trace_id}", ".lg-line"),
    "missing": ("/no/such/place", ".state"),
}


@pytest.fixture(scope="module", autouse=True)
def stored(backend: Backend) -> None:
    """The traces that the views show."""
    backend.send(REPORT, FAILING, STREAM)
    send_metrics(backend.otlp_http, of_service("user", [*calls(GET, 9, 1), *calls(GET, 1, 1, status="INTERNAL")]))


def violations(page: Page) -> list[str]:
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("place", PLACES)
def test_every_view_reaches_aa_in_both_themes(open_page: OpenPage, place: str) -> None:
    path, shown = PLACES[place]
    page = open_page(path)
    page.locator(shown).first.wait_for()

    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page) == []


@pytest.mark.parametrize("place", ["search", "span", "sequence", "compare", "map", "metrics", "logs"])
def test_narrow_views_reach_aa_and_fit_the_width(open_page: OpenPage, place: str) -> None:
    path, shown = PLACES[place]
    page = open_page(path, width=400, height=860)
    page.locator(shown).first.wait_for()

    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_the_table_of_keys_reaches_aa(open_page: OpenPage) -> None:
    page = open_page("/search")
    page.locator(".results li").first.wait_for()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()

    assert violations(page) == []


def test_focus_returns_to_the_waterfall_when_the_panel_is_closed(open_page: OpenPage) -> None:
    page = open_page(f"/trace/{FAILING.trace_id}?span=00000000000000b7")
    page.get_by_role("button", name="Close the span's panel").focus()

    page.keyboard.press("Enter")

    expect(page.locator(".wf-scroller")).to_be_focused()


def test_reduced_motion_is_honoured(open_page: OpenPage) -> None:
    page = open_page("/search")
    page.locator(".results li").first.wait_for()

    moving = page.evaluate("getComputedStyle(document.querySelector('.results li')).transitionProperty")

    assert moving == "none"
