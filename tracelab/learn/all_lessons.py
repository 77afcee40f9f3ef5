"""Runs every lesson, each in a process of its own, and reports the facts that no longer hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from clients.errors import LabError
from clients.output import print_json
from tracelab.learn.catalogue import all_lessons
from tracelab.learn.lesson import Lesson

LESSON_BOUND_S: Final = 120.0
SIDE_BY_SIDE: Final = 2


@dataclass(frozen=True, slots=True)
class Report:
    """What one lesson's process printed. `outcome` is None where it printed no outcome; `complaint` says why."""

    slug: str
    outcome: dict[str, Any] | None
    complaint: str

    @property
    def passed(self) -> bool:
        """Whether the lesson ran and all of its facts held."""
        return self.outcome is not None and bool(self.outcome["passed"])

    @property
    def json(self) -> dict[str, Any]:
        """The outcome, or why there is none."""
        return self.outcome or {"slug": self.slug, "passed": False, "facts": [], "error": self.complaint}

    @property
    def line(self) -> str:
        """One line for a person."""
        if self.outcome is None:
            return f"✘ {self.slug}: {self.complaint}"
        failed = [fact for fact in self.outcome["facts"] if not fact["passed"]]
        if failed:
            return f"✘ {self.slug}: {failed[0]['name']}: wanted {failed[0]['wanted']}, saw {failed[0]['seen']}"
        return f"✔ {self.slug}: {len(self.outcome['facts'])} facts"


def run_all(*, as_json: bool) -> None:
    """Run all lessons, print a line for each as it ends, and fail if one of them does."""
    reports = []
    for report in reports_of(all_lessons(), os.environ):
        reports.append(report)
        if not as_json:
            print(report.line, flush=True)
    if as_json:
        print_json({"lessons": [report.json for report in reports]})
    fail_unless_all_passed(reports)


def fail_unless_all_passed(reports: Sequence[Report]) -> None:
    """Raise LabError with the names of the lessons that did not pass."""
    failed = [report.slug for report in reports if not report.passed]
    if failed:
        raise LabError(f"{len(failed)} of {len(reports)} lessons failed: {', '.join(failed)}")


def reports_of(lessons: Sequence[Lesson], environ: Mapping[str, str]) -> Iterator[Report]:
    """Run these lessons, two at a time, and give their reports in order. An interrupt ends those that run."""
    running: set[subprocess.Popen[str]] = set()
    pool = ThreadPoolExecutor(SIDE_BY_SIDE)
    try:
        yield from pool.map(lambda lesson: run_in_process(lesson.slug, environ, running), lessons)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in tuple(running):
            process.terminate()
        pool.shutdown()


def run_in_process(slug: str, environ: Mapping[str, str], running: set[subprocess.Popen[str]] | None = None) -> Report:
    """Run one lesson as `lab learn SLUG --yes --json` does, bounded. It is in `running` meanwhile, to be terminated."""
    command = [sys.executable, "-m", "clients.cli", "learn", slug, "--yes", "--json"]
    process = subprocess.Popen(
        command,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for us, who end it in order
    )
    if running is not None:
        running.add(process)
    try:
        printed, complaint = process.communicate(timeout=LESSON_BOUND_S)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.communicate()
        return Report(slug, None, f"did not end in {LESSON_BOUND_S:.0f} s")
    except BaseException:
        process.terminate()
        process.communicate()
        raise
    finally:
        if running is not None:
            running.discard(process)
    try:
        return Report(slug, json.loads(printed), complaint.strip())
    except ValueError:
        return Report(slug, None, complaint.strip() or f"exit status {process.returncode}")
