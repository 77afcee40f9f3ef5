"""A lesson's page escapes every word and says what was seen, and where a fact failed what was wanted."""

from __future__ import annotations

from pathlib import Path

from tracelab.learn.all_lessons import Report
from tracelab.learn.catalogue import all_lessons, lesson_named
from tracelab.learn.html_page import index_page, lesson_page
from tracelab.learn.html_site import write_site

HOSTILE = "<script>alert(1)</script>"


def outcome(*, passed: bool) -> dict[str, object]:
    fact = {"name": "calls", "wanted": "5 & more", "seen": HOSTILE, "passed": passed}
    span = {"spanId": "ab", "serviceName": HOSTILE, "operation": "A/B"}
    exhibit = {"title": HOSTILE, "form": "waterfall", "traceId": "1", "marks": {"ab": HOSTILE}}
    analysis = {"traceId": "1", "rootServiceName": HOSTILE, "spans": [span]}
    return {"slug": "retry", "passed": passed, "facts": [fact], "exhibits": [{**exhibit, "analysis": analysis}]}


def test_foreign_words_stay_words() -> None:
    page = lesson_page(lesson_named("retry"), outcome(passed=True), ["t.html"], home="index.html", complaint=HOSTILE)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5


def test_a_failed_fact_says_what_was_wanted_and_one_that_held_does_not() -> None:
    lesson = lesson_named("retry")
    assert "(wanted: 5 &amp; more)" in lesson_page(lesson, outcome(passed=False), ["t.html"], home="/")
    assert "wanted:" not in lesson_page(lesson, outcome(passed=True), ["t.html"], home="/")


def test_before_a_run_the_page_asks_and_does_not_explain() -> None:
    page = lesson_page(lesson_named("retry"), None, [], home="/", run_action="/lessons/retry/run")
    assert "<h2>Predict</h2>" in page
    assert 'action="/lessons/retry/run"' in page
    assert "<h2>Explain</h2>" not in page


def test_code_in_the_words_of_a_lesson_is_code() -> None:
    page = lesson_page(lesson_named("cancellation"), None, [], home="/")
    assert "leaves its <code>async for</code> over a stream" in page
    assert "leaves its <code>async for</code> over a stream" in index_page(all_lessons())


def test_what_a_run_showed_has_one_place_to_go_to() -> None:
    for complaint in ("", "did not end in 120 s"):
        page = lesson_page(lesson_named("retry"), outcome(passed=True), ["t.html"], home="/", complaint=complaint)
        assert page.count('id="seen"') == 1


def test_the_index_names_every_lesson() -> None:
    page = index_page(all_lessons(), suffix=".html")
    assert all(f'href="{lesson.slug}.html"' in page for lesson in all_lessons())


def test_a_site_has_a_page_for_a_lesson_that_failed_too_and_it_says_so(tmp_path: Path) -> None:
    lessons = [lesson_named("retry"), lesson_named("deadline")]
    reports = [Report("retry", outcome(passed=True), ""), Report("deadline", None, "did not end in 120 s")]
    write_site(tmp_path / "new" / "site", lessons, reports)
    site = tmp_path / "new" / "site"
    assert sorted(file.name for file in site.iterdir()) == [
        "deadline.html",
        "index.html",
        "retry-trace-1.html",
        "retry.html",
    ]
    assert "did not end in 120 s" in (site / "deadline.html").read_text("utf-8")
    assert 'Next: <a href="deadline.html">' in (site / "retry.html").read_text("utf-8")
    assert "Next:" not in (site / "deadline.html").read_text("utf-8")
