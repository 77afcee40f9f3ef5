"""Names that attack the page: markup, turned directions, ten thousand letters, terminal escapes."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from otel.viewer.export import export_html
from tests.browser.conftest import Backend, OpenPage
from tests.browser.sent_traces import hostile

SENT = hostile(0x501)
PLACES = {
    "search": "/search",
    "waterfall": f"/trace/{SENT.trace_id}",
    "span": f"/trace/{SENT.trace_id}?span=0000000000000001",
    "sequence": f"/trace/{SENT.trace_id}?view=sequence",
    "operations": f"/trace/{SENT.trace_id}?view=operations",
    "stream": f"/trace/{SENT.trace_id}?view=logs",
    "compare": f"/trace/{SENT.trace_id}...{SENT.trace_id}",
    "map": "/map",
    "logs": "/logs",
}


@pytest.fixture(scope="module", autouse=True)
def sent(backend: Backend) -> None:
    """The hostile trace, stored before any of these tests."""
    backend.send(SENT)


def assert_harmless(page: Page) -> None:
    """Nothing ran, no foreign element was made, and nothing sticks out of the page."""
    assert page.evaluate("window.hacked") is None
    assert page.locator("img, iframe, object, embed").count() == 0
    # Both script elements are the page's own.
    assert page.locator("body script:not([type='application/json']):not([type=module])").count() == 0
    text = page.locator("body").inner_text() + page.title()
    text += page.evaluate(
        "[...document.querySelectorAll('[aria-label], [title]')]"
        ".map(one => one.ariaLabel + one.getAttribute('title')).join()"
    )
    for control in ("\x1b", "\x00", "\x07", "\u202e", "\u2066"):
        assert control not in text
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0


@pytest.mark.parametrize("width", [1280, 400], ids=["wide", "narrow"])
@pytest.mark.parametrize("place", PLACES)
def test_a_hostile_name_is_only_text(open_page: OpenPage, place: str, width: int) -> None:
    page = open_page(PLACES[place], width=width)

    expect(page.locator("main")).to_contain_text("<script>window")
    assert_harmless(page)


def test_a_hostile_name_in_an_exported_file_is_only_text(
    open_page: OpenPage, backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> None:
    page = open_page("/search")
    analysis = page.evaluate(f"fetch('/api/lab/traces/{SENT.trace_id}/analysis').then(answer => answer.json())")
    file = tmp_path_factory.mktemp("export") / "hostile.html"
    file.write_text(export_html(analysis), "utf-8")

    page.goto(file.as_uri())

    expect(page.locator(".wf-row").first).to_contain_text("<script>window")
    assert_harmless(page)


def test_a_value_is_shown_whole_with_its_escapes_written_out(open_page: OpenPage) -> None:
    page = open_page(f"/trace/{SENT.trace_id}?span=0000000000000004")

    expect(page.locator(".sp-message")).to_contain_text(r"\x1b[31mred\x1b[0m\x07\x00")
