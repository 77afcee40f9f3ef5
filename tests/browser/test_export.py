"""A trace taken away as one file: opened from the disk, with the network off, it is the same trace view."""

from __future__ import annotations

import json
import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from otel.viewer.export import export_html
from tests.browser.conftest import ROOT, Backend, OpenPage
from tests.browser.sent_traces import failing


def test_the_button_downloads_a_file_that_works_with_the_network_off(
    open_page: OpenPage, backend: Backend, browser: Browser, tmp_path: Path
) -> None:
    sent = failing(0x601)
    backend.send(sent)
    page = open_page(f"/trace/{sent.trace_id}")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Save as HTML").click()
    file = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(file)
    assert file.name == f"trace-{sent.trace_id}.html"

    context = browser.new_context(offline=True)
    asked: list[str] = []
    problems: list[str] = []
    offline = context.new_page()
    offline.on("request", lambda request: asked.append(request.url))
    offline.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    offline.on("pageerror", lambda error: problems.append(str(error)))
    offline.goto(file.as_uri())

    expect(offline.locator(".wf-row[data-span]")).to_have_count(8)
    offline.keyboard.press("ArrowDown")
    offline.keyboard.press("Enter")
    expect(offline.locator(".span-panel h2")).to_have_text("ReportService/GetUserReport")
    offline.keyboard.press("2")
    expect(offline.locator(".sq-step.cancel").first).to_be_visible()
    offline.keyboard.press("3")
    expect(offline.locator(".operations tbody tr").first).to_be_visible()
    offline.keyboard.press("4")
    expect(offline.locator(".tr-stage .ls-line")).to_have_count(6)
    offline.reload()
    expect(offline.locator(".trace")).to_have_attribute("data-view", "logs")
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert problems == []
    context.close()


def test_the_file_says_that_it_may_connect_to_nothing() -> None:
    analysis = json.loads((ROOT / "tests" / "fixtures" / "analysis_report.json").read_text("utf-8"))

    page = export_html(analysis)

    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert "connect-src" not in policy[1]
    assert "unsafe" not in policy[1]
    assert re.findall(r"""(?:src|href)=["'](?!data:)""", page) == []


def test_text_that_would_end_the_element_stays_inside_it() -> None:
    page = export_html({"traceId": "1", "summary": "</script><script>alert(1)</script>", "rootServiceName": "<b>"})

    assert "<script>alert" not in page
    assert "<title>&lt;b&gt;" in page
