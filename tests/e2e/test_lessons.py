"""Every lesson runs to its end on real processes, and all of its facts hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.lab_process import Lab
from tracelab.learn.catalogue import all_lessons
from tracelab.learn.lesson import Lesson

ALL_BOUND_S = 240  # what the whole set may take
SHOWN = {"critical-path"}  # what a test without a parameter looks at


def asked_for(items: list[pytest.Item]) -> set[str]:
    """The slugs of the lessons whose outcomes the selected tests of this file look at."""
    parameters = [item.callspec.params for item in items if item.path == Path(__file__) and hasattr(item, "callspec")]
    return {each["slug"] if "slug" in each else each["lesson"].slug for each in parameters}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The outcomes of `lab learn --all --json`, by slug; of those alone that were selected with `-k`."""
    home: Path = tmp_path_factory.mktemp("lessons") / "home"
    slugs = asked_for(request.session.items)
    if len(slugs) < len(all_lessons()) / 2:
        return {slug: json.loads(Lab(home).run("learn", slug, "--yes", "--json").stdout) for slug in slugs | SHOWN}
    process = Lab(home).start("learn", "--all", "--json")
    printed, complaint = process.communicate(timeout=ALL_BOUND_S)
    lessons = json.loads(printed)["lessons"]
    assert [entry["slug"] for entry in lessons] == [lesson.slug for lesson in all_lessons()], complaint
    assert (process.returncode == 0) == all(entry["passed"] for entry in lessons), complaint
    return {entry["slug"]: entry for entry in lessons}


@pytest.mark.timeout(ALL_BOUND_S + 60)
@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.slug)
def test_a_lesson_still_tells_the_truth(lesson: Lesson, ran: dict[str, Any]) -> None:
    outcome = ran[lesson.slug]
    assert [fact for fact in outcome["facts"] if not fact["passed"]] == []
    assert outcome["passed"], outcome.get("error")


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.slug)
def test_a_lesson_has_all_of_its_parts(lesson: Lesson) -> None:
    texts = (lesson.question, *lesson.prediction.choices, lesson.notice, lesson.explain, lesson.source)
    assert all(text.strip() for text in (*texts, lesson.try_it.task, lesson.try_it.hint, lesson.try_it.solution))
    assert bool(lesson.try_it.check) == bool(lesson.try_it.starter)
    assert len(set(lesson.prediction.choices)) == 3


def test_what_critical_path_calls_thick_is_drawn_thick(ran: dict[str, Any]) -> None:
    (exhibit,) = ran["critical-path"]["exhibits"]
    spans = {span["spanId"]: span for span in exhibit["analysis"]["spans"]}
    (thick,) = (spans[id_] for id_, text in exhibit["marks"].items() if text.startswith("thick"))
    (thin,) = (spans[id_] for id_, text in exhibit["marks"].items() if text.startswith("thin"))
    assert int(thick["criticalTimeNano"]) == int(thick["durationNano"])
    assert int(thin["criticalTimeNano"]) == 0


@pytest.mark.parametrize("slug", ["first-trace", "propagation", "links", "n-plus-one"])
def test_a_shown_trace_has_the_last_line_of_every_call(slug: str, ran: dict[str, Any]) -> None:
    for exhibit in ran[slug]["exhibits"]:
        served = [span["spanId"] for span in exhibit["analysis"]["spans"] if span["kind"] == "server"]
        ended = [line["spanId"] for line in exhibit["analysis"]["logs"] if line["eventName"] == "rpc.finished"]
        assert sorted(ended) == sorted(served), exhibit["title"]
