"""The search page against a real backend: what it lists, how it filters, what it says when there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Backend, OpenPage, start_backend
from tests.browser.sent_traces import failing, report


def test_the_newest_traces_are_listed_first_with_what_failed(open_page: OpenPage, backend: Backend) -> None:
    fine, bad = report(0x201, ago_s=0.4), failing(0x202, ago_s=0.2)
    backend.send(fine, bad)

    page = open_page("/search")

    rows = page.locator(".results li")
    expect(rows.nth(0)).to_contain_text("ReportService/GetUserReport")
    assert page.locator(f".results li[data-trace='{bad.trace_id}']").inner_text().find("✕ 3 failed") > 0
    order = rows.evaluate_all("items => items.map(item => item.dataset.trace)")
    assert order.index(bad.trace_id) < order.index(fine.trace_id)
    expect(page.locator(".found-words")).to_contain_text("with errors")


def test_a_point_of_the_scatter_opens_its_trace(open_page: OpenPage, backend: Backend) -> None:
    sent = report(0x203)
    backend.send(sent)
    page = open_page("/search?lookback=5m")

    page.locator(f".sc-point[data-trace='{sent.trace_id}']").dispatch_event("click")

    page.locator(".trace h1").wait_for()
    assert page.url.endswith(f"/trace/{sent.trace_id}")


def test_a_failed_trace_is_a_cross_and_not_only_red(open_page: OpenPage, backend: Backend) -> None:
    sent = failing(0x204)
    backend.send(sent)
    page = open_page("/search?lookback=5m")
    point = page.locator(f".sc-point[data-trace='{sent.trace_id}']")

    expect(point).to_have_count(1)
    assert point.locator("path").count() == 1
    assert "3 failed" in (point.get_attribute("aria-label") or "")


def test_on_a_phone_what_was_found_is_said_above_the_list(open_page: OpenPage, backend: Backend) -> None:
    page = open_page("/search?limit=5", width=390, height=844)
    page.locator(".results li").first.wait_for()

    expect(page.locator(".found-words")).to_contain_text("the limit: more may match")
    sizes = page.evaluate(
        "[...document.querySelectorAll('.scatter, .found-words, .results-box')].map(one => one.getBoundingClientRect())"
        ".map(box => [box.top, box.bottom])"
    )
    (_, scatter_end), (words, words_end), (rows, _) = sizes
    assert scatter_end <= words
    assert words_end <= rows


def test_filters_are_in_the_address_and_explain_themselves(open_page: OpenPage, backend: Backend) -> None:
    backend.send(failing(0x205))
    page = open_page("/search")
    page.locator(".results li").first.wait_for()

    page.get_by_label("Service", exact=True).select_option("order")
    page.get_by_role("button", name="Failed only").click()
    page.get_by_label("Min", exact=True).fill("1ms")
    page.get_by_label("Min", exact=True).press("Enter")

    expect(page.locator(".sentence")).to_have_text(
        "Traces with a span of order that failed of at least 1ms, in the last hour (all of it true of one span)"
    )
    assert "service=order" in page.url
    assert "minDuration=1ms" in page.url
    expect(page.locator(".results li").first).to_contain_text("failed")


def test_what_cannot_be_asked_says_so_and_asks_nothing(open_page: OpenPage) -> None:
    page = open_page("/search")
    address = page.url

    page.get_by_label("Min", exact=True).fill("fast")
    page.get_by_label("Min", exact=True).press("Enter")

    expect(page.get_by_role("alert")).to_have_text("'fast' is not a length of time such as 250us, 1.5s or 1m30s")
    assert page.url == address


def test_back_returns_to_the_search_before(open_page: OpenPage) -> None:
    page = open_page("/search")
    page.locator(".results li").first.wait_for()
    page.get_by_label("Service", exact=True).select_option("user")
    expect(page.locator(".sentence")).to_contain_text("of user")

    page.go_back()

    expect(page.locator(".sentence")).to_contain_text("all services")
    expect(page.get_by_label("Service", exact=True)).to_have_value("")


def test_two_ticked_traces_are_compared_older_first(open_page: OpenPage, backend: Backend) -> None:
    older, newer = report(0x206, ago_s=0.6), report(0x207, ago_s=0.3)
    backend.send(older, newer)
    page = open_page("/search")
    for sent in (newer, older):
        page.locator(f"li[data-trace='{sent.trace_id}'] input").check()

    page.get_by_role("button", name="Compare the two").click()

    page.locator(".cm-sides").wait_for()
    assert f"{older.trace_id}...{newer.trace_id}" in page.url


def test_new_traces_arrive_without_a_reload_or_a_shift(open_page: OpenPage, backend: Backend) -> None:
    page = open_page("/search")
    page.locator(".results li").first.wait_for()
    expect(page.locator(".live")).to_have_attribute("data-state", "live")
    page.evaluate("""() => { window.shift = 0; new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) window.shift += entry.value; }).observe({type: 'layout-shift'}); }""")
    sent = report(0x208, ago_s=0.1)

    backend.send(sent)

    expect(page.locator(f"li[data-trace='{sent.trace_id}']")).to_be_visible()
    assert page.evaluate("window.shift") == 0


def test_new_traces_wait_while_the_reader_is_at_a_row(open_page: OpenPage, backend: Backend) -> None:
    page = open_page("/search")
    page.locator(".results li .result-link").first.focus()
    sent = report(0x209, ago_s=0.1)

    backend.send(sent)

    expect(page.locator(".held")).to_have_text("1 new trace, show")
    expect(page.locator(f"li[data-trace='{sent.trace_id}']")).to_have_count(0)
    page.locator(".held").click()
    expect(page.locator(f"li[data-trace='{sent.trace_id}']")).to_have_count(1)


def test_nothing_found_offers_two_ways_on(open_page: OpenPage) -> None:
    page = open_page('/search?tags={"no.such":"value"}')

    expect(page.get_by_role("heading", name="No trace matches")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(page.locator(".results li").first).to_be_visible()


@pytest.mark.parametrize("base_path", ["", "/lab/x"], ids=["plain", "base-path"])
def test_an_empty_backend_says_how_to_get_a_trace(open_page: OpenPage, tmp_path: Path, base_path: str) -> None:
    for empty in start_backend(tmp_path, *(["--base-path", base_path] if base_path else [])):
        page = open_page(f"{base_path}/", at=empty.url)

        expect(page.get_by_role("heading", name="No trace yet")).to_be_visible()
        expect(page.locator(".command").first).to_contain_text("./lab demo")
        expect(page.locator(".start")).to_contain_text(f"http://{empty.otlp_http}")
        sent = report(0x20A)
        empty.send(sent)
        expect(page.locator(f"li[data-trace='{sent.trace_id}']")).to_be_visible()
        page.locator(".result-link").first.click()
        expect(page.locator(".trace h1")).to_contain_text("ReportService/GetUserReport")
        assert page.url == f"{empty.url}{base_path}/trace/{sent.trace_id}"
