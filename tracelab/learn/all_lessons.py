"""Runs every lesson, each in a process of its own, and reports the facts that no longer hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clients.discovery.defaults import MODULES
from clients.errors import LabError
from clients.output import print_json
from tracelab.fork_server import ForkedProcess, ProcessStarter
from tracelab.learn.catalogue import all_lessons
from tracelab.learn.lesson import Lesson

LESSON_BOUND_S: Final = 120.0
SIDE_BY_SIDE: Final = 2
LOADED: Final = (*MODULES.values(), "clients.cli", "tracelab.commands.learn", "tracelab.learn.servicer_process")


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
    processes = LessonProcesses(environ)
    pool = ThreadPoolExecutor(SIDE_BY_SIDE)
    try:
        yield from pool.map(lambda lesson: processes.run(lesson.slug), lessons)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        processes.terminate()
        pool.shutdown()
        processes.close()


class LessonProcesses:
    """Runs lessons as `lab learn SLUG --yes --json` does, from any thread.

    Each is a process of its own. Where that can be done it is forked from one that has loaded what lessons and stacks
    are made of, and so is what it starts: loading all that takes longer than many a lesson.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._starter = ProcessStarter(environ, LOADED)
        self._running: set[subprocess.Popen[bytes] | ForkedProcess] = set()

    def run(self, slug: str) -> Report:
        """Run one lesson, bounded."""
        words = ["clients.cli", "learn", slug, "--yes", "--json"]
        with tempfile.TemporaryDirectory(prefix="lab-learn-") as folder:
            stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
            process = self._starter.start(words, stdout, stderr, has_fork_server=True)
            self._running.add(process)
            try:
                status = process.wait(LESSON_BOUND_S)
            except subprocess.TimeoutExpired:
                return Report(slug, None, f"did not end in {LESSON_BOUND_S:.0f} s")
            finally:
                process.send_signal(signal.SIGTERM)  # nothing, if it has ended
                process.wait()
                self._running.discard(process)
            complaint = stderr.read_text(encoding="utf-8", errors="replace").strip()
            try:
                return Report(slug, json.loads(stdout.read_bytes()), complaint)
            except ValueError:
                return Report(slug, None, complaint or f"exit status {status}")

    def terminate(self) -> None:
        """Ask the lessons that run to end."""
        for process in tuple(self._running):
            process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """End the process that lessons are forked from, once none runs."""
        self._starter.close()
