"""What stays together, and what comes first, when several workers share the tests (`pytest -n`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

SPREAD: Final = (
    "tests/e2e/test_backend_process.py",
    "tests/e2e/test_lab_script.py",
    "tests/e2e/test_learn.py",
    "tests/e2e/test_services_processes.py",
    "tests/e2e/test_stack.py",
    "tests/e2e/test_telemetry_export.py",
    "tests/e2e/test_usual_ports.py",
    "tests/unit/compare/test_simulation.py",
)
"""Files whose tests take seconds and share nothing: each goes to whichever worker is free."""

FIRST: Final = ("tests/e2e/", "tests/browser/", "tests/unit/compare/test_simulation.py")
"""Where what takes longest is, so that no worker is left with it at the end."""

WAITING: Final = ("tests/e2e/", "tests/inprocess/")
"""Where tests wait for processes and for time more than they compute."""


class WorkUnits(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out whole files, in the order of collection: what a file's fixtures started is started once.

    Every other worker takes what waits as long as there is any, the others what computes: the machine is idle where all
    of them wait, and a deadline is missed where all compute.

    xdist's own `loadgroup` would be told by marks, but 3.8.0 writes them where pytest 9.2 no longer looks for them.
    """

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(SPREAD) else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        preferred = next_unit(self.workqueue, waits=self.nodes.index(node) % 2 == 0)
        self.workqueue.move_to_end(preferred, last=False)
        super()._assign_work_unit(node)


def next_unit(units: Iterable[str], *, waits: bool) -> str:
    """The first unit that waits, or that computes, as asked for; the first of all where there is no such one."""
    first, *rest = units
    return next((unit for unit in (first, *rest) if unit.startswith(WAITING) == waits), first)


def rank(nodeid: str) -> tuple[bool, bool]:
    """What sorts tests for their workers: whole files of what takes long, then single tests of it, then the rest."""
    return (not nodeid.startswith(FIRST), nodeid.startswith(SPREAD))


def sendable(report: Any) -> Any:
    """The same report, as what a worker sends, with every text as UTF-8 can hold it."""
    if isinstance(report, str):
        return report.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(report, dict):
        return {name: sendable(value) for name, value in report.items()}
    if isinstance(report, tuple):  # the reason of a skip is one, and stays one
        return tuple(sendable(value) for value in report)
    return [sendable(value) for value in report] if isinstance(report, list) else report
