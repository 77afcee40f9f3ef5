"""Compare, map and logs against a real backend."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Backend, OpenPage
from tests.browser.sent_traces import failing, report, streaming
from tests.polling import eventually


def milliseconds(text: str) -> float:
    """Read a difference such as `+57.3 ms`."""
    number, unit = text.replace("\N{MINUS SIGN}", "-").split()
    return float(number) * {"ns": 1e-6, "µs": 1e-3, "ms": 1, "s": 1e3}[unit]


def test_the_rows_of_a_comparison_add_up_to_the_difference(open_page: OpenPage, backend: Backend) -> None:
    a, b = report(0x401), failing(0x402)
    backend.send(a, b)

    page = open_page(f"/trace/{a.trace_id}...{b.trace_id}")

    expect(page.locator(".cm-total b")).to_have_text("+186 ms")
    deltas = page.locator(".cm-delta > span:first-child").all_inner_texts()
    *parts, whole = (milliseconds(text) for text in deltas)
    assert abs(sum(parts) - whole) < 1
    expect(page.locator(".cm-table").first).to_contain_text("x1 → x2")
    expect(page.locator(".cm-table").first).to_contain_text("OK → UNAVAILABLE")
    expect(page.locator(".cm-logs")).to_contain_text("order.rejected")


def test_on_a_phone_every_difference_of_a_comparison_is_in_sight(open_page: OpenPage, backend: Backend) -> None:
    a, b = report(0x410), failing(0x411)
    backend.send(a, b)

    page = open_page(f"/trace/{a.trace_id}...{b.trace_id}", width=390, height=844)

    page.locator(".matched tbody tr").first.wait_for()
    ends = page.locator(".matched .cm-delta > span:first-child").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().right)"
    )
    assert len(ends) > 3
    assert max(ends) <= 390
    expect(page.locator(".matched")).to_contain_text("OK → UNAVAILABLE")


def test_an_address_where_nothing_is_leads_to_the_search(open_page: OpenPage) -> None:
    page = open_page("/nowhere")

    page.get_by_role("button", name="Search traces").click()

    page.locator(".results li").first.wait_for()


def test_a_number_of_the_comparison_leads_to_its_span(open_page: OpenPage, backend: Backend) -> None:
    a, b = report(0x403), report(0x404, slower=2)
    backend.send(a, b)
    page = open_page(f"/trace/{a.trace_id}...{b.trace_id}")

    page.locator(".cm-table tbody tr").nth(1).locator("a").last.click()

    expect(page.locator(".span-panel h2")).to_have_text("ReportService/GetUserReport")
    assert f"/trace/{b.trace_id}?span=" in page.url


def test_different_operations_are_compared_only_when_wished(open_page: OpenPage, backend: Backend) -> None:
    a, b = report(0x405), streaming(0x406)
    backend.send(a, b)
    page = open_page(f"/trace/{a.trace_id}...{b.trace_id}")

    expect(page.get_by_role("alert")).to_contain_text("the traces are of different operations")
    page.get_by_role("button", name="Compare them all the same").click()

    expect(page.locator(".cm-table").first).to_contain_text("\N{MINUS SIGN} removed")
    expect(page.locator(".cm-table").first).to_contain_text("+ added")


def test_half_a_comparison_asks_for_the_other_half(open_page: OpenPage, backend: Backend) -> None:
    a, b = report(0x407), report(0x40E, ago_s=0.1)
    backend.send(a, b)
    page = open_page(f"/trace/{a.trace_id}...")

    page.locator(f".cm-recent a[href*='{b.trace_id}']").click()

    expect(page.locator(".cm-sides")).to_be_visible()
    assert page.url.startswith(f"{backend.url}/trace/{a.trace_id}...")


def box_of(page: Page, service: str) -> dict[str, float]:
    found = page.locator(f".mp-box[data-service='{service}']").bounding_box()
    assert found is not None
    return {"x": found["x"], "y": found["y"]}


def test_the_map_shows_services_and_calls_with_their_figures(open_page: OpenPage, backend: Backend) -> None:
    backend.send(report(0x408), failing(0x409))

    page = open_page("/map?lookback=15m")

    page.locator(".mp-box[data-service='report']").wait_for()
    assert box_of(page, "demo")["x"] < box_of(page, "report")["x"] < box_of(page, "order")["x"]
    report_box = page.locator(".mp-box[data-service='report']")
    expect(report_box).to_have_accessible_name(re.compile(r"report: .*p50 [\d.]+ .*p95 [\d.]+ .*Search its traces"))
    row = page.locator(".map-page tbody tr", has_text="UserService/GetUser").first
    expect(row).to_contain_text("report")
    expect(row).to_contain_text(" ms")
    names = page.locator(".mp-link").evaluate_all("links => links.map(link => link.getAttribute('aria-label'))")
    assert any(re.match(r"report calls order: \d+ calls?, [\d.]+/(?:s|min|h), \d+ % failed", name) for name in names), (
        names
    )


def test_the_figures_of_a_service_stay_inside_its_box(open_page: OpenPage, backend: Backend) -> None:
    backend.send(*(report(0x412 + number) for number in range(9)), failing(0x41F))

    page = open_page("/map?lookback=15m")

    page.locator(".mp-box .bad").first.wait_for()
    room = page.locator(".mp-box").evaluate_all(
        "boxes => boxes.flatMap(box => [...box.querySelectorAll('text')].map(text =>"
        " box.querySelector('.mp-card').getBBox().x + box.querySelector('.mp-card').getBBox().width"
        " - text.getBBox().x - text.getBBox().width))"
    )
    assert min(room) >= 0


def test_a_service_of_the_map_leads_to_its_traces(open_page: OpenPage, backend: Backend) -> None:
    backend.send(report(0x40A))
    page = open_page("/dependencies")

    page.locator(".mp-box[data-service='user']").dispatch_event("click")

    expect(page.locator(".sentence")).to_contain_text("Traces with a span of user")


def test_logs_are_searched_by_words_service_and_severity(open_page: OpenPage, backend: Backend) -> None:
    backend.send(failing(0x40B))
    page = open_page("/logs")
    page.locator(".lg-line").first.wait_for()

    page.get_by_label("Severity").select_option("Warnings and up")
    page.get_by_label("Service").select_option("order")
    page.get_by_label("Words").fill("rejected")
    page.get_by_label("Words").press("Enter")

    expect(page.locator(".sentence")).to_have_text(
        "Warnings and up of order with the words 'rejected', in the last hour"
    )
    eventually(lambda: set(page.locator(".lg-body").all_inner_texts()), until=lambda shown: shown == {"order.rejected"})


def test_the_tail_of_the_logs_follows_without_a_reload(open_page: OpenPage, backend: Backend) -> None:
    page = open_page("/logs?lookback=5m")
    page.locator(".lg-line").first.wait_for()
    sent = report(0x40C, ago_s=0.05)

    backend.send(sent)

    link = page.locator(f".lg-span[href*='{sent.trace_id}']")
    expect(link).to_have_count(6)
    expect(link.last).to_be_in_viewport()


def test_a_line_shows_its_attributes_and_leads_to_its_span(open_page: OpenPage, backend: Backend) -> None:
    sent = report(0x40D)
    backend.send(sent)
    page = open_page(f"/logs?traceId={sent.trace_id}")

    page.locator(".lg-line", has_text="report.made").click()
    expect(page.locator(".lg-more")).to_contain_text("total_minor_units")
    page.get_by_role("link", name="Open its span").click()

    expect(page.locator(".wf-row[aria-selected=true]")).to_contain_text("ReportService/GetUserReport")


def test_pausing_stops_live_updates_and_resuming_catches_up(open_page: OpenPage, backend: Backend) -> None:
    page = open_page("/search")
    live = page.locator(".live")
    expect(live).to_have_attribute("data-state", "live")
    page.keyboard.press("p")
    expect(live).to_have_text("Paused")
    sent = report(0x40F, ago_s=0.1)
    backend.send(sent)

    page.keyboard.press("p")

    expect(live).to_have_text("Live")
    expect(page.locator(f"li[data-trace='{sent.trace_id}']")).to_have_count(1)


def test_the_chosen_theme_is_kept(open_page: OpenPage) -> None:
    page = open_page("/search")
    page.locator(".results li").first.wait_for()

    page.keyboard.press("t")
    page.keyboard.press("t")
    page.reload()

    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(19, 21, 23)"


def test_every_link_of_the_bar_leads_to_its_own_page(open_page: OpenPage) -> None:
    page = open_page("/")
    bar = page.get_by_role("navigation", name="Places")
    bar.get_by_role("link").first.wait_for()
    for name in bar.get_by_role("link").all_inner_texts():
        bar.get_by_role("link", name=name).click()
        expect(bar.locator("[aria-current=page]")).to_have_text(name)
