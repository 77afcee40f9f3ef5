"""Runs one lesson's scenario with a lab of its own, and gives its outcome as values or as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otel.analysis.analysis_json import analysis_to_json
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Lesson
from tracelab.learn.outcome import Exhibit, Outcome
from tracelab.learn.telemetry import connect, without_telemetry


def run_lesson(lesson: Lesson, home: Path, environ: Mapping[str, str]) -> Outcome:
    """Run the scenario to its end and stop every process that it started, whatever happens. Blocks.

    Raises LessonError, StackError or QueryError, each with the sentence for a person.
    """
    return asyncio.run(_run(lesson, home, environ))


async def _run(lesson: Lesson, home: Path, environ: Mapping[str, str]) -> Outcome:
    lab = Lab(home, without_telemetry(environ), connect)
    try:
        return await lesson.run(lab)
    finally:
        await lab.close()


def outcome_to_json(lesson: Lesson, outcome: Outcome) -> dict[str, Any]:
    """The stable JSON form of an outcome: facts, and each exhibit as the analysis that the page draws."""
    return {
        "slug": lesson.slug,
        "question": lesson.question,
        "passed": outcome.passed,
        "facts": [
            {"name": fact.name, "wanted": fact.wanted, "seen": fact.seen, "passed": fact.passed}
            for fact in outcome.facts
        ],
        "exhibits": [_exhibit_to_json(exhibit) for exhibit in outcome.exhibits],
    }


def _exhibit_to_json(exhibit: Exhibit) -> dict[str, Any]:
    return {
        "title": exhibit.title,
        "form": exhibit.form,
        "traceId": exhibit.trace.trace_id,
        "marks": dict(exhibit.marks),
        "analysis": analysis_to_json(exhibit.trace, exhibit.logs),
    }
