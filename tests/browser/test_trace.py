"""The page of one trace against a real backend: waterfall, sequence, operations, logs, find, keys and links."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import Backend, OpenPage
from tests.browser.sent_traces import failing, from_elsewhere, large, report, streaming

View = Callable[..., Page]


def rows(page: Page) -> list[str]:
    """Give the names of the spans that are shown, top to bottom."""
    found = page.locator(".wf-row[data-span]")
    read = found.evaluate_all(
        "items => items.map(row => [Number(row.getAttribute('aria-rowindex')),"
        " row.querySelector('.wf-service').innerText + ' ' + row.querySelector('.wf-operation').innerText])"
    )
    return [name for _, name in sorted(read)]


def test_the_waterfall_shows_every_span_in_order_with_its_logs_in_place(view_trace: View, backend: Backend) -> None:
    sent = report(0x301)
    backend.send(sent)

    page = view_trace(sent)

    assert rows(page) == [
        "demo ReportService/GetUserReport",
        "report ReportService/GetUserReport",
        "report UserService/GetUser",
        "user UserService/GetUser",
        "report OrderService/ListOrders",
        "order OrderService/ListOrders",
    ]
    assert page.locator(".wf-log").count() == 6
    line = page.locator(".wf-log", has_text="user.read")
    server = page.locator(".wf-row[data-span]", has_text="UserService/GetUser").nth(1)
    assert int(line.get_attribute("aria-rowindex") or 0) == int(server.get_attribute("aria-rowindex") or 0) + 1
    facts = page.locator(".wf-log-facts").all_inner_texts()
    assert any("order_count=" in text for text in facts)
    assert not any(known in text for text in facts for known in ("rpc_method=", "status_code=", "session.id="))


def test_status_deadline_attempts_and_orphans_are_said_in_words(view_trace: View, backend: Backend) -> None:
    sent = failing(0x302)
    backend.send(sent)

    page = view_trace(sent)

    text = page.locator(".wf-canvas").inner_text()
    for words in (
        "✕ DEADLINE_EXCEEDED",
        "deadline 200 ms",
        "199 ms left",
        "2 attempts",
        "attempt 2",
        "parent not received",
    ):
        assert words in text
    assert page.locator(".wf-deadline").count() > 0
    assert page.locator(".wf-attempt").count() == 1
    expect(page.locator(".tr-warning")).to_contain_text("came without a parent")


def test_what_other_senders_send_is_read_right(view_trace: View, backend: Backend) -> None:
    sent = from_elsewhere(0x330)
    backend.send(sent)

    page = view_trace(sent)

    assert rows(page) == [
        "shop GET /cart",
        "shop Stock/Find",
        "stock Stock/Find",
        "stock SELECT stock",
        "shop audit",
        "shop retry",
        "shop backoff",
    ]
    expect(page.locator(".tr-facts")).to_contain_text("40.0 ms")
    timeless = page.locator(".wf-row[data-span]", has_text="audit")
    expect(timeless.locator(".wf-call")).to_have_text("no time")
    expect(timeless.locator(".wf-duration")).to_have_text("\u2013")
    assert timeless.locator(".wf-bar").count() == 0
    circle = page.locator(".wf-row[data-span]", has_text="retry")
    expect(circle.locator(".wf-call")).to_have_text("circle of parents")
    line = page.locator(".wf-log", has_text="stock.found")
    server = page.locator(".wf-row[data-span]", has_text="Stock/Find").nth(1)
    assert int(line.get_attribute("aria-rowindex") or 0) == int(server.get_attribute("aria-rowindex") or 0) + 1
    warnings = " ".join(page.locator(".tr-warning").all_inner_texts())
    assert "1 span came without a time" in warnings
    assert "in 1 circle" in warnings
    assert "came without a parent" not in warnings
    timeless.click()
    expect(page.locator(".tr-side")).to_contain_text("its start or its end was never set")


def test_on_a_phone_the_names_have_the_room_of_lesser_notes(view_trace: View, backend: Backend) -> None:
    sent = report(0x320)
    backend.send(sent)

    page = view_trace(sent, width=390, height=844)

    expect(page.locator(".wf-call .minor").first).to_be_hidden()
    cut = page.locator(".wf-row[data-span] .wf-operation").evaluate_all(
        "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
    )
    assert cut == []


def test_the_critical_path_is_drawn_on_the_bars_and_tiles_the_strip(view_trace: View, backend: Backend) -> None:
    sent = report(0x303)
    backend.send(sent)

    page = view_trace(sent)

    assert page.locator(".wf-critical").count() >= 6
    widths = page.locator(".ov-step").evaluate_all("steps => steps.map(step => parseFloat(step.style.width))")
    assert abs(sum(widths) - 100) < 0.01
    expect(page.locator(".ov-legend")).to_contain_text("wire and queues")


def test_messages_of_a_stream_are_marked_on_both_sides(view_trace: View, backend: Backend) -> None:
    sent = streaming(0x304)
    backend.send(sent)

    page = view_trace(sent)

    assert page.locator(".wf-message.in").count() == 5
    assert page.locator(".wf-message.out").count() == 5
    expect(page.locator(".wf-row").first).to_contain_text("↑1 ↓5")


def test_the_sequence_shows_calls_streams_cancellations_and_logs(view_trace: View, backend: Backend) -> None:
    stream, bad = streaming(0x305), failing(0x306)
    backend.send(stream, bad)

    page = view_trace(stream, "?view=sequence")
    assert page.locator(".sq-step.message").count() == 5
    assert page.locator(".sq-step.request").count() == 1

    page = view_trace(bad, "?view=sequence")
    assert page.locator(".sq-step.cancel").count() >= 1
    assert page.locator(".sq-step.log").count() >= 5
    expect(page.locator(".sq-step.request").first).to_have_accessible_name(
        re.compile("demo calls report: ReportService")
    )


def test_a_step_of_the_sequence_opens_its_span(view_trace: View, backend: Backend) -> None:
    sent = report(0x307)
    backend.send(sent)
    page = view_trace(sent, "?view=sequence")

    page.locator(".sq-step.request").nth(1).focus()
    page.keyboard.press("Enter")

    expect(page.locator(".span-panel h2")).to_have_text("UserService/GetUser")
    assert "span=" in page.url


def test_critical_times_of_the_operations_add_up_to_the_trace(view_trace: View, backend: Backend) -> None:
    sent = report(0x308)
    backend.send(sent)

    page = view_trace(sent, "?view=operations")

    shares = page.locator(".operations tbody .share").all_inner_texts()
    assert len(shares) == 6
    assert abs(sum(float(share.removesuffix("%")) for share in shares) - 100) < 1.5
    page.get_by_role("button", name="Duration").click()
    expect(page.locator(".operations th[data-key=duration]")).to_have_attribute("aria-sort", "descending")
    expect(page.locator(".operations tbody tr").first).to_contain_text("demo")


def test_on_a_phone_the_operations_show_a_time(view_trace: View, backend: Backend) -> None:
    sent = report(0x321)
    backend.send(sent)

    page = view_trace(sent, "?view=operations", width=390, height=844)

    heading = page.get_by_role("columnheader", name=re.compile("^Duration")).bounding_box()
    assert heading is not None
    assert heading["x"] + heading["width"] <= 390


def test_a_line_of_the_stream_leads_to_its_span_and_back(view_trace: View, backend: Backend) -> None:
    sent = report(0x309)
    backend.send(sent)
    page = view_trace(sent)

    page.locator(".tr-stream .ls-line", has_text="order.listed").click()

    expect(page.locator(".span-panel h2")).to_have_text("OrderService/ListOrders")
    expect(page.locator(".wf-row[aria-selected=true]", has_text="order.listed")).to_be_visible()
    own = page.locator(".tr-stream li[data-own=true]")
    assert own.count() == 2
    expect(page.locator(".tr-stream li[data-chosen=true]")).to_contain_text("order_count")
    page.get_by_role("link", name="Its log lines").click()
    expect(page.locator(".lg-line")).to_have_count(2)
    page.locator(".lg-span").first.click()
    expect(page.locator(".span-panel h2")).to_have_text("OrderService/ListOrders")


def test_a_deep_link_opens_view_span_zoom_and_find(view_trace: View, backend: Backend) -> None:
    sent = report(0x30A)
    backend.send(sent)

    page = view_trace(sent, "?span=00000000000000a4&uiFind=user.read&zoom=1000000-6000000")

    expect(page.locator(".span-panel h2")).to_have_text("UserService/GetUser")
    expect(page.locator(".wf-row.matched")).to_have_count(1)
    expect(page.locator(".found")).to_have_text("1 of 1")
    expect(page.locator(".ov-window")).to_be_visible()
    expect(page.get_by_role("button", name="Show whole time")).to_be_visible()


def test_find_steps_through_what_it_found(view_trace: View, backend: Backend) -> None:
    sent = report(0x30B)
    backend.send(sent)
    page = view_trace(sent)

    page.get_by_placeholder("Find in this trace").fill("ListOrders nonsense")
    expect(page.locator(".found")).to_have_text("2")
    page.keyboard.press("Enter")
    expect(page.locator(".found")).to_have_text("1 of 2")
    page.keyboard.press("Enter")
    expect(page.locator(".found")).to_have_text("2 of 2")
    page.keyboard.press("Enter")
    expect(page.locator(".found")).to_have_text("1 of 2")
    assert "uiFind=ListOrders+nonsense" in page.url


def test_everything_can_be_done_by_keys(view_trace: View, backend: Backend) -> None:
    sent = failing(0x30C)
    backend.send(sent)
    page = view_trace(sent)
    press = page.keyboard.press
    expect(page.locator(".wf-scroller")).to_be_focused()

    press("ArrowLeft")
    assert rows(page) == ["demo ReportService/GetUserReport", "order UserService/BatchGetUsers"]
    press("ArrowRight")
    assert len(rows(page)) == 8
    press("l")
    expect(page.locator(".wf-log")).to_have_count(0)
    press("l")
    press("ArrowRight")
    press("Enter")
    expect(page.locator(".span-panel h2")).to_have_text("ReportService/GetUserReport")
    press("Escape")
    expect(page.locator(".span-panel")).to_be_hidden()
    press("x")
    expect(page.locator(".status-line")).to_contain_text("1 of 3")
    press("+")
    expect(page.locator(".ov-window")).to_be_visible()
    press("0")
    expect(page.locator(".ov-window")).to_be_hidden()
    for key, view in (("2", "sequence"), ("3", "operations"), ("4", "logs"), ("1", "waterfall")):
        press(key)
        expect(page.locator(".trace")).to_have_attribute("data-view", view)
    press("?")
    expect(page.get_by_role("dialog")).to_contain_text("next span that failed")
    press("Escape")
    press("/")
    expect(page.get_by_placeholder("Find in this trace")).to_be_focused()
    press("s")
    expect(page.get_by_placeholder("Find in this trace")).to_have_value("s")
    press("Escape")
    expect(page.locator(".wf-scroller")).to_be_focused()
    press("s")
    expect(page.locator(".search")).to_be_visible()


def test_single_letters_can_be_turned_off(view_trace: View, backend: Backend) -> None:
    sent = report(0x30D)
    backend.send(sent)
    page = view_trace(sent)

    page.get_by_role("button", name="Keys").click()
    page.get_by_label("Single letters are shortcuts").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("2")

    expect(page.locator(".trace")).to_have_attribute("data-view", "waterfall")


def test_the_link_of_a_span_is_copied(view_trace: View, backend: Backend) -> None:
    sent = report(0x30E)
    backend.send(sent)
    page = view_trace(sent, "?span=00000000000000a6")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    page.locator(".wf-scroller").focus()
    page.keyboard.press("y")

    expect(page.locator(".status-line")).to_contain_text("Copied the link")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{backend.url}/trace/{sent.trace_id}?span=00000000000000a6"


def test_the_start_of_an_id_opens_its_trace(open_page: OpenPage, backend: Backend) -> None:
    sent, other = report(0xBEEF0001), report(0xBEEF0002)
    backend.send(sent, other)
    page = open_page("/search")
    field = page.get_by_label("Open a trace by its id")

    field.fill("BEEF")
    field.press("Enter")
    expect(page.locator(".status-line")).to_have_text("2 traces begin with BEEF")
    field.fill("beef0001")
    field.press("Enter")

    page.locator(".trace").wait_for()
    assert page.url.endswith(f"/trace/{sent.trace_id}")


def test_a_trace_that_is_not_stored_opens_when_it_arrives(open_page: OpenPage, backend: Backend) -> None:
    sent = report(0x30F)
    page = open_page(f"/trace/{sent.trace_id}")
    expect(page.get_by_role("heading", name="This trace is not here")).to_be_visible()

    backend.send(sent)

    expect(page.locator(".trace h1")).to_contain_text("ReportService/GetUserReport")


def test_spans_that_come_late_are_added_and_what_is_folded_stays_folded(view_trace: View, backend: Backend) -> None:
    sent = report(0x310)
    early = type(sent)(sent.trace_id, sent.spans[:4], ())
    backend.send(early)
    page = view_trace(sent)
    page.locator(".wf-row[data-span='00000000000000a3'] .wf-twist").click()
    assert len(rows(page)) == 3

    backend.send(type(sent)(sent.trace_id, sent.spans[4:], sent.logs))

    expect(page.locator(".tr-facts")).to_contain_text("6 spans")
    assert rows(page)[-1] == "order OrderService/ListOrders"
    assert "user UserService/GetUser" not in rows(page)


def test_ten_thousand_spans_open_quickly_and_scroll_with_few_rows_painted(
    open_page: OpenPage, backend: Backend
) -> None:
    sent = large(10_000)
    backend.send(sent)
    page = open_page("/map?lookback=5m")
    asked = time.monotonic()
    page.evaluate(
        f"fetch('/api/lab/traces/{sent.trace_id}/analysis').then(answer => answer.arrayBuffer()).then(() => 1)"
    )
    server_s = time.monotonic() - asked

    begun = time.monotonic()
    page.goto(f"{backend.url}/trace/{sent.trace_id}")
    page.locator(".wf-row").first.wait_for()
    opened_s = time.monotonic() - begun

    print(f"10,000 spans: opened in {opened_s:.2f} s, of which the backend's answer {server_s:.2f} s")
    # A ratio inside this run, not a time: the page may add about as much as the backend took.
    assert opened_s < 3 * server_s + 1
    expect(page.locator(".wf-scroller")).to_have_attribute("aria-rowcount", "11000")
    assert page.locator(".wf-row").count() < 120
    page.locator(".wf-scroller").evaluate("element => { element.scrollTop = element.scrollHeight; }")
    expect(page.locator(".wf-row[aria-rowindex='11000'], .wf-row[aria-rowindex='10999']").first).to_be_visible()
    assert page.locator(".wf-row").count() < 120
    page.locator(".wf-scroller").focus()
    page.keyboard.press("Home")
    page.keyboard.press("c")
    expect(page.locator(".wf-scroller")).to_have_attribute("aria-rowcount", "1")
    frames = page.evaluate("""async () => {
        const scroller = document.querySelector('.wf-scroller');
        document.dispatchEvent(new KeyboardEvent('keydown', {key: 'e', bubbles: true}));
        let slowest = 0;
        for (let step = 0; step < 60; step += 1) {
            const begun = performance.now();
            scroller.scrollTop += 900;
            await new Promise(requestAnimationFrame);
            slowest = Math.max(slowest, performance.now() - begun);
        }
        return [scroller.scrollTop, slowest];
    }""")
    assert frames[0] > 50_000
