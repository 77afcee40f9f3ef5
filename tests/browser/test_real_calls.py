"""Calls of the real services, seen on the page while they happen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.real_calls import RealStack, real_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStack]:
    """Backend and services, which end with this module."""
    with real_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


def test_the_demos_calls_appear_on_an_empty_page_as_they_happen(open_page: OpenPage, stack: RealStack) -> None:
    page = open_page("/", at=stack.url)
    expect(page.get_by_role("heading", name="No trace yet")).to_be_visible()

    trace_id = stack.demo()

    row = page.locator(f"li[data-trace='{trace_id}']")
    expect(row).to_contain_text("ReportService/GetUserReport")
    for service in ("demo", "order", "report", "user"):
        expect(row.locator(".r-services")).to_contain_text(service)


def test_the_report_is_one_trace_over_four_services_with_the_logs_of_each(
    open_page: OpenPage, stack: RealStack
) -> None:
    trace_id = stack.demo()

    page = open_page(f"/trace/{trace_id}", at=stack.url)

    expect(page.locator(".tr-facts")).to_contain_text("4 services")
    expect(page.locator(".wf-row[data-span]")).to_have_count(6)
    text = page.locator(".wf-canvas").inner_text()
    for words in ("user.read", "order.listed", "rpc.finished", "deadline", "left"):
        assert words in text
    page.keyboard.press("2")
    heads = page.locator(".sq-head").all_inner_texts()
    assert set(heads) == {"demo", "report", "user", "order"}
    assert page.locator(".sq-step.request").count() == 3
    assert page.locator(".sq-step.response").count() == 3


def test_map_logs_and_comparison_know_the_demo(open_page: OpenPage, stack: RealStack) -> None:
    before, after = stack.demo(), stack.demo()

    page = open_page("/map", at=stack.url)
    expect(page.locator(".mp-box")).to_have_count(4)

    page = open_page(f"/logs?traceId={after}", at=stack.url)
    expect(page.locator(".lg-body", has_text="order.listed")).to_have_count(1)

    page = open_page(f"/trace/{before}...{after}", at=stack.url)
    expect(page.locator(".cm-table").first).to_contain_text("Sum")
