"""The lessons' site, opened from the disk with the network off: text, facts, and the trace view beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import ROOT
from tracelab.learn.all_lessons import Report
from tracelab.learn.catalogue import lesson_named
from tracelab.learn.html_site import write_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    analysis = json.loads((ROOT / "tests" / "fixtures" / "analysis_report.json").read_text("utf-8"))
    first = analysis["spans"][0]["spanId"]
    exhibit = {"title": "one report", "form": "waterfall", "traceId": "1", "marks": {first: "look here"}}
    fact = {"name": "SERVER spans", "wanted": "3", "seen": "3", "passed": True}
    outcome = {"passed": True, "facts": [fact], "exhibits": [{**exhibit, "analysis": analysis}]}
    write_site(folder, [lesson_named("first-trace")], [Report("first-trace", outcome, "")])
    return folder


def test_a_learner_reads_a_lesson_with_the_network_off(site: Path, browser: Browser) -> None:
    context = browser.new_context(offline=True, java_script_enabled=True)
    asked: list[str] = []
    problems: list[str] = []
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((site / "index.html").as_uri())
    page.get_by_role("link", name="first-trace").click()

    lesson = lesson_named("first-trace")
    expect(page.locator("h1")).to_have_text(lesson.question)
    right = lesson.prediction.choices["abc".index(lesson.prediction.answer)]
    page.get_by_text(f"{lesson.prediction.answer}) {right}", exact=True).click()
    expect(page.get_by_text("Right.", exact=True)).to_be_visible()
    expect(page.locator(".facts")).to_be_hidden()
    page.get_by_text("Show what happened").click()
    expect(page.locator(".facts li")).to_have_text("✔ SERVER spans: 3")
    page.locator("iframe").scroll_into_view_if_needed()
    frame = page.frame_locator("iframe")
    expect(frame.locator(".wf-row[data-span]").first).to_be_visible()
    frame.locator(".wf-row[data-span]").nth(1).click()
    expect(frame.locator(".span-panel h2")).to_be_visible()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert problems == []
    context.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_is_wider_than_its_screen(width: int, site: Path, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, offline=True)
    page = context.new_page()
    for name in ("index.html", "first-trace.html"):
        page.goto((site / name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
    context.close()
