"""`lab learn --html DIR`: the lessons as a static site with the traces of a real run, to publish or to take along."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from otel.viewer.export import export_html
from tracelab.learn.all_lessons import Report
from tracelab.learn.html_page import index_page, lesson_page
from tracelab.learn.lesson import Lesson


def write_site(
    folder: Path,
    lessons: Sequence[Lesson],
    reports: Iterable[Report],
    on_report: Callable[[Report], None] = lambda _: None,
) -> list[Report]:
    """Write a page for each lesson as its report comes, its traces beside it, and the index last. Raises OSError.

    Every file stands alone: no page loads anything but the traces next to it, and no trace loads anything at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    by_slug: Mapping[str, Lesson] = {lesson.slug: lesson for lesson in lessons}
    slugs = [lesson.slug for lesson in lessons]
    after = dict(pairwise(slugs))
    written = []
    for report in reports:
        on_report(report)
        _write_lesson(folder, by_slug[report.slug], report, after.get(report.slug))
        written.append(report)
    (folder / "index.html").write_text(index_page(lessons, suffix=".html"), encoding="utf-8")
    return written


def _write_lesson(folder: Path, lesson: Lesson, report: Report, after: str | None) -> None:
    traces = []
    for number, exhibit in enumerate(report.outcome["exhibits"] if report.outcome else (), start=1):
        name = f"{lesson.slug}-trace-{number}.html"
        (folder / name).write_text(export_html(exhibit["analysis"]), encoding="utf-8")
        traces.append(name)
    complaint = "" if report.passed else report.line
    following = (after, f"{after}.html") if after else None
    page = lesson_page(lesson, report.outcome, traces, home="index.html", complaint=complaint, following=following)
    (folder / f"{lesson.slug}.html").write_text(page, encoding="utf-8")
