"""The page Metrics against a real backend: figures, heat map, the way to a trace and to a search."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from otel.instrument.semconv import CLIENT_CALL_DURATION
from tests.browser import sent_metrics
from tests.browser.conftest import Backend, OpenPage, start_backend
from tests.browser.sent_metrics import GET, LIST, calls, counted_by_core, of_service, send_metrics
from tests.browser.sent_traces import report
from tests.contract.telemetry import trace_id

# The trace that the metrics' exemplar names; a test of that trace's page needs no more than its id.
TRACED = report(0x801)
TRACE_NUMBER = int(TRACED.trace_id, 16)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A backend of its own: what other tests' services measured would be in the cards."""
    for running in start_backend(tmp_path_factory.mktemp("measured")):
        running.send(TRACED)
        send_metrics(
            running.otlp_http,
            of_service("user", [*calls(GET, 9, 1, trace=TRACE_NUMBER), *calls(GET, 1, 1, status="INTERNAL")]),
            of_service("order", calls(LIST, 2, 0)),
        )
        yield running


@pytest.fixture
def page(open_page: OpenPage, measured: Backend) -> Page:
    opened = open_page("/monitor", at=measured.url)
    opened.locator(".ht-cell").first.wait_for()
    return opened


def card(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name)


def figures(page: Page, name: str) -> dict[str, str]:
    found = card(page, name).locator(".mt-figures > div")
    return dict(zip(found.locator("dt").all_inner_texts(), found.locator("dd").all_inner_texts(), strict=True))


def searched(page: Page) -> dict[str, str]:
    page.wait_for_url(re.compile(r"/search\?"))
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def test_a_card_for_each_method_has_its_rate_failures_and_durations(page: Page) -> None:
    expect(page.locator(".mt-card h2")).to_have_text(["UserService/GetUser", "OrderService/ListOrders"])
    shown = figures(page, "UserService/GetUser")
    assert shown["Errors"] == "✕ 17 %"
    # 480 calls in 400 s, which touch 27 or 28 steps of 15 s.
    assert shown["Rate"] in {"1.19/s", "1.14/s"}
    # 10 of 12 calls took 10 to 25 ms, 2 of them 250 to 500 ms.
    assert shown["p50"] == "19.0 ms"
    assert shown["p95"] == "425 ms"
    assert figures(page, "OrderService/ListOrders")["Errors"] == "0 %"
    expect(page.locator(".mp-head .dim")).to_have_text("2 methods, 560 calls")


def test_a_cell_with_a_traced_call_opens_its_trace(page: Page) -> None:
    card(page, "UserService/GetUser").get_by_role("link", name=re.compile("Open one that took 400 ms")).click()

    page.locator(".wf-row").first.wait_for()
    assert trace_id(TRACE_NUMBER).hex() in page.url


def test_the_slow_ones_of_a_card_open_their_traces(page: Page) -> None:
    card(page, "UserService/GetUser").get_by_role("link", name="Trace of a call of 400 ms").click()

    page.locator(".wf-row").first.wait_for()
    assert f"/trace/{TRACED.trace_id}" in page.url


def test_a_cell_without_a_traced_call_searches_for_those_in_it(page: Page) -> None:
    card(page, "OrderService/ListOrders").locator(".ht-cell").last.click()

    asked = searched(page)
    assert (asked["operation"], asked["minDuration"], asked["maxDuration"]) == (LIST, "10ms", "25ms")
    assert int(asked["end"]) - int(asked["start"]) == (15 + 0.025) * 1_000_000


def test_a_time_that_is_brushed_is_searched(page: Page) -> None:
    stage = card(page, "UserService/GetUser").locator(".ht-stage")
    box = stage.bounding_box()
    assert box is not None

    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60, steps=4)
    expect(stage.locator(".ht-brush")).to_be_visible()
    page.mouse.up()

    asked = searched(page)
    assert asked["operation"] == GET
    assert "minDuration" not in asked
    length_s = (int(asked["end"]) - int(asked["start"])) / 1e6
    assert length_s == pytest.approx(0.3 * 900, abs=31)


def test_arrows_move_from_cell_to_cell_and_shift_chooses_a_time_to_search(page: Page) -> None:
    cells = card(page, "UserService/GetUser").locator(".ht-cell")
    expect(cells.and_(page.locator("[tabindex='0']"))).to_have_count(1)
    cells.last.focus()
    last = cells.last.get_attribute("aria-label")

    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")

    focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert last is not None
    assert last.startswith("250 ms to 500 ms, ")
    assert focused.startswith("10.0 ms to 25.0 ms, ")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    asked = searched(page)
    assert int(asked["end"]) - int(asked["start"]) == 45_000_000


def test_escape_gives_a_chosen_time_up(page: Page) -> None:
    first = card(page, "UserService/GetUser")
    first.locator(".ht-cell").last.focus()
    page.keyboard.press("Shift+ArrowLeft")
    expect(first.locator(".ht-brush")).to_be_visible()

    page.keyboard.press("Escape")

    expect(first.locator(".ht-brush")).to_be_hidden()


def test_the_time_and_the_side_are_in_the_address(page: Page) -> None:
    page.get_by_role("combobox", name="Time").select_option("1h")
    page.wait_for_url(re.compile(r"/monitor\?lookback=1h$"))

    page.get_by_role("combobox", name="Measured by").select_option("made")

    expect(page.get_by_role("heading", name="No metrics yet")).to_be_visible()
    assert page.url.endswith("/monitor?lookback=1h&side=made")


def test_a_key_leads_to_the_metrics_and_the_place_is_marked(page: Page) -> None:
    page.keyboard.press("s")
    page.wait_for_url(re.compile("/search"))

    page.keyboard.press("r")

    page.locator(".mt-card").first.wait_for()
    expect(page.get_by_role("link", name="Metrics")).to_have_attribute("aria-current", "page")


def test_attempts_stand_beside_calls_and_the_wire_beside_the_messages(open_page: OpenPage, tmp_path: Path) -> None:
    for running in start_backend(tmp_path):
        made = of_service("cli", calls(GET, 1, 0, points=1), name=CLIENT_CALL_DURATION)
        core = counted_by_core(GET, attempts=3, wire_bytes=120, message_bytes=5000)
        send_metrics(running.otlp_http, made, core)

        page = open_page("/monitor?side=made", at=running.url)

        expect(card(page, "UserService/GetUser").locator(".mt-core > span")).to_have_text(
            ["3 attempts of 1 call", "requests: 120 B on the wire for 5\u202f000 B of messages"]
        )
        page.close()


def test_where_core_counts_nothing_a_card_says_nothing_of_attempts(page: Page) -> None:
    expect(page.locator(".mt-core")).to_have_count(0)


def test_what_is_measured_while_the_page_is_open_appears(open_page: OpenPage, tmp_path: Path) -> None:
    for running in start_backend(tmp_path):
        page = open_page("/monitor", at=running.url)
        expect(page.get_by_role("heading", name="No metrics yet")).to_be_visible()

        send_metrics(running.otlp_http, of_service("user", calls(GET, 1, 0, points=3)))

        # The page asks anew every five seconds.
        expect(page.locator(".mt-card h2")).to_have_text("UserService/GetUser", timeout=15_000)
        page.close()


def test_a_foreign_method_name_is_text(open_page: OpenPage, tmp_path: Path) -> None:
    hostile = "<img src=x onerror=window.hacked=1>/\u202egnp"
    for running in start_backend(tmp_path):
        send_metrics(running.otlp_http, of_service("user", sent_metrics.calls(hostile, 1, 0, points=3)))

        page = open_page("/monitor", at=running.url)

        expect(page.locator(".mt-card h2")).to_contain_text("<img src=x onerror=window.hacked=1>/⟨U+202E⟩gnp")
        assert page.evaluate("window.hacked") is None
        page.close()
